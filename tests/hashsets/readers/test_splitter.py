"""The streaming JSON reader against json.loads: same rows, same verdicts, whatever the chunk."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashsets.importing import rows
from hashsets.readers import vics
from hashsets.readers.base import Batch
from hashsets.readers.columns import Table
from hashsets.readers.splitter import Envelope, SplitError, split
from tests.hashsets import samples

HEX = st.binary(min_size=16, max_size=16).map(bytes.hex)
WORDS = st.sampled_from(["", "a", "a,b", " a , b", "a,a", "é", 'q"uote', "back\\slash", "tab\t", "x" * 50, "\x7f", ","])
VALUES = {
    "MediaID": st.one_of(st.integers(-5, 2**70), WORDS, st.none()),
    "MD5": st.one_of(HEX, HEX.map(str.upper), WORDS, st.none(), st.just("0" * 32), st.just("d41d8cd98f00b204e9800998ecf8427e")),
    "SHA1": st.one_of(st.binary(min_size=20, max_size=20).map(bytes.hex), st.none()),
    "Category": st.one_of(st.integers(-1, 9), st.none(), st.sampled_from(["1", " 1", "A", ""]), st.floats(0, 3)),
    "MediaSize": st.one_of(st.integers(-1, 2**64), st.sampled_from(["12", "", "x", "+5", " 7"]), st.floats(0, 9), st.none()),
    "VictimIdentified": st.one_of(st.booleans(), st.none(), st.sampled_from(["true", "False", "TRUE", "y", "maybe", "", "1"]), st.integers(0, 2)),
    "Series": st.one_of(WORDS, st.none(), st.lists(WORDS, max_size=2), st.integers(0, 9)),
    "DateUpdated": st.sampled_from(["2026-06-07T02:31:49.8300Z", "2026-06-07T02:31:49+02:00Z", "/Date(1700000000000)/", "soon", "2026-06-07", None]),
    "Tags": WORDS,
    "Comments": WORDS,
    "MediaFiles": st.lists(st.fixed_dictionaries({"FileName": WORDS}), max_size=2),
}  # fmt: skip
TABLE = Table(vics.COLUMNS)
OBJECTS = st.fixed_dictionaries({}, optional=VALUES)


def by_json(items: list[dict[str, Any]]) -> pa.Table:
    """The plain twin: every object decoded by json, every value judged alone."""
    columns = {c: [i.get(n) for i in items] for n, c in vics.COLUMNS.items()}
    extra = [{k: v for k, v in i.items() if k not in vics.COLUMNS} for i in items]
    columns["extra"] = [json.dumps(e, ensure_ascii=False, separators=(",", ":")) if e else None for e in extra]
    return rows.clean_batch(Batch(list(range(1, len(items) + 1)), columns)).table


def by_kernel(text: bytes, chunk: int) -> pa.Table:
    """The reader under test, over chunks of a size."""
    envelope = Envelope()
    parts = []
    for found in split(io.BytesIO(text), 2, b"value", TABLE, envelope, chunk=chunk):
        table, usual = found.table.arrow(found.data, found.count, found.first)
        parts.append(table)
        if not usual.all():
            parts.append(rows.clean_batch(vics._batch(samples_source(), found, ~usual, 0)).table)
    envelope.value()
    return pa.concat_tables([rows.SCHEMA.empty_table(), *parts]).sort_by("position")


def samples_source() -> Any:
    from hashsets.readers.base import Source

    return Source(Path("x.json"))


@settings(max_examples=80, deadline=None)
@given(
    items=st.lists(OBJECTS, max_size=6),
    indent=st.sampled_from([None, 1]),
    ascii_=st.booleans(),
    chunk=st.integers(1, 400),
)
def test_rows_are_those_of_a_plain_json_parser(
    items: list[dict[str, Any]], indent: int | None, ascii_: bool, chunk: int
) -> None:
    items = [i if all(abs(v) < 2**63 for v in i.values() if isinstance(v, int)) else {} for i in items]
    text = json.dumps({**samples.context(), "value": items}, indent=indent, ensure_ascii=ascii_).encode()
    assert by_kernel(text, chunk).to_pylist() == by_json(items).to_pylist()


@settings(max_examples=120, deadline=None)
@given(
    items=st.lists(OBJECTS, min_size=1, max_size=4),
    place=st.floats(0, 1),
    byte=st.sampled_from([*b'{}[]",:\\0aN\n\xff\x00', None]),
    chunk=st.integers(1, 400),
)
def test_a_damaged_document_is_refused_when_a_strict_parser_refuses_it(
    items: list[dict[str, Any]], place: float, byte: int | None, chunk: int
) -> None:
    import orjson

    text = bytearray(json.dumps({**samples.context(), "value": items}).encode())
    at = min(int(place * len(text)), len(text) - 1)
    if byte is None:
        del text[at]
    else:
        text[at] = byte
    try:
        whole = orjson.loads(bytes(text))
        sound = isinstance(whole, dict)
    except orjson.JSONDecodeError:
        sound = False
    from pipeline.errors import InputError

    try:
        by_kernel(bytes(text), chunk)
        accepted = True
    except (SplitError, InputError):
        accepted = False
    assert sound or not accepted


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
def test_the_place_of_the_damage_is_named(chunk: int) -> None:
    items = [json.dumps(samples.media(i)) for i in range(30)]
    items[17] = items[17].replace('"Category": 1', '"Category": 1x')
    text = (json.dumps(samples.context())[:-1] + ', "value": [' + ",\n".join(items) + "]}").encode()
    with pytest.raises(SplitError) as caught:
        by_kernel(text, chunk)
    assert caught.value.record == 18
    assert abs(caught.value.offset - text.index(b"1x")) <= 2


def test_deep_nesting_is_refused() -> None:
    deep = '{"MD5": ' + "[" * 100 + "]" * 100 + "}"
    text = (json.dumps(samples.context())[:-1] + ', "value": [' + deep + "]}").encode()
    with pytest.raises(SplitError, match="nested deeper"):
        by_kernel(text, 1 << 20)


def test_kernel_words_are_the_bytes_of_the_hash() -> None:
    text = json.dumps({**samples.context(), "value": [samples.media("x")]}).encode()
    [row] = by_kernel(text, 1 << 20).to_pylist()
    words = np.array([row["sha1_0"], row["sha1_1"]], ">u8").tobytes() + row["sha1_2"].to_bytes(4, "big")
    assert words.hex() == samples.digest("sha1", "x")
