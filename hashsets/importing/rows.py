"""Staged rows: a batch of raw columns becomes typed Arrow rows, and the rest becomes rejects with reason and place."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashsets.algorithms import ALL
from hashsets.importing import clean
from hashsets.readers.base import Batch
from hashsets.words import to_words

FLAGS = (
    "withdraw",
    "disputed",
    "victim_identified",
    "offender_identified",
    "distributed",
    "precategorised",
    "suspected",
)
_SIZES = ("votes", "size")
_TEXTS = ("entry_id", "member", "mime", "updated", "extra")
_LISTS = ("series", "tags")
_TIME = pa.timestamp("us", tz="UTC")


def schema() -> pa.Schema:
    """Arrow schema of staged rows: the place in the file, word columns per hash algorithm, and the opinion."""
    fields = [pa.field("position", pa.int64(), nullable=False)]
    for algorithm in ALL:
        fields += [pa.field(c, pa.uint64()) for c in algorithm.columns]
        if algorithm.opaque:
            fields.append(pa.field(algorithm.name, pa.binary()))
    fields += [pa.field(n, pa.bool_()) for n in FLAGS]
    fields += [pa.field(n, pa.int64()) for n in _SIZES]
    fields += [pa.field(n, pa.string()) for n in (*_TEXTS, "category")]
    fields += [pa.field(n, pa.list_(pa.string())) for n in _LISTS]
    fields.append(pa.field("updated_at", _TIME))
    return pa.schema(fields)


SCHEMA = schema()


@dataclass(frozen=True)
class Reject:
    """What was refused: the record or line (from 1), the field ("row" for the whole row), a reason code, the value."""

    position: int
    field: str
    reason: str
    value: str


@dataclass
class Cleaned:
    """Result of one batch. `rejected` rows are gone; `defects` are single values dropped from rows that stayed."""

    table: pa.Table
    rejected: list[Reject] = field(default_factory=list)
    defects: list[Reject] = field(default_factory=list)


def clean_batch(batch: Batch) -> Cleaned:
    """Judge a batch. len(batch.position) == table rows + rejected rows.

    A row is rejected when it names the empty file or keeps no hash (unless it withdraws an entry by its id). A bad
    hash beside a good one is dropped and listed as a defect: a damaged PhotoDNA must not cost a good SHA-1.
    """
    n = len(batch.position)
    refusals = clean.Refusals()
    columns: dict[str, Any] = {"position": pa.array(batch.position, pa.int64())}
    for row, refused in enumerate(batch.columns.get("unsupported", ())):
        if refused is not None:
            refusals.add(row, "row", *refused)
    keyed = _hash_columns(batch, columns, refusals, n)
    hash_refusals = len(refusals.items)
    _opinion_columns(batch, columns, refusals, n)
    by_id = np.zeros(n, bool)
    if "withdraw" in batch.columns and "entry_id" in batch.columns:
        by_id = np.asarray(
            pc.and_(pc.fill_null(columns["withdraw"], False), pc.is_valid(columns["entry_id"])).to_numpy(
                zero_copy_only=False
            ),
            bool,
        )
    empties = {row for row, _, reason, _ in refusals.items[:hash_refusals] if reason == "empty_file"}
    stays = keyed | by_id
    if empties:
        stays[list(empties)] = False
    result = Cleaned(pa.table([columns[f.name] for f in SCHEMA], schema=SCHEMA))
    if refusals.items or not stays.all():
        _sort_out(batch, refusals, stays, result)
    return result


def _sort_out(batch: Batch, refusals: clean.Refusals, stays: Any, result: Cleaned) -> None:
    first: dict[int, tuple[str, str, str]] = {}
    for row, name, reason, value in refusals.items:
        if stays[row]:
            result.defects.append(Reject(batch.position[row], name, reason, value))
        elif row not in first or reason == "empty_file":
            first[row] = (name, reason, value)
    for row in np.flatnonzero(~stays).tolist():
        name, reason, value = first.get(row, ("row", "no_hash", ""))
        result.rejected.append(Reject(batch.position[row], name, reason, value))
    if result.rejected:
        result.table = result.table.filter(pa.array(stays))


def _hash_columns(batch: Batch, columns: dict[str, Any], refusals: clean.Refusals, n: int) -> Any:
    keyed = np.zeros(n, bool)
    for algorithm in ALL:
        values = batch.columns.get(algorithm.name)
        if values is None:
            for name in algorithm.columns:
                columns[name] = pa.nulls(n, pa.uint64())
            if algorithm.opaque:
                columns[algorithm.name] = pa.nulls(n, pa.binary())
            continue
        decoded, present = clean.hash_column(algorithm, values, refusals)
        mask = None if present.all() else ~present
        for name, words in zip(algorithm.columns, to_words(algorithm, decoded), strict=True):
            columns[name] = pa.array(words, pa.uint64(), mask=mask)
        if algorithm.opaque:
            fixed = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(algorithm.width), n, [None, pa.py_buffer(np.ascontiguousarray(decoded))]
            )
            whole = fixed.cast(pa.binary())
            columns[algorithm.name] = whole if mask is None else pc.if_else(pa.array(present), whole, None)
        keyed |= present
    return keyed


def _opinion_columns(batch: Batch, columns: dict[str, Any], refusals: clean.Refusals, n: int) -> None:
    given = batch.columns
    for names, make, type_ in (
        (FLAGS, clean.tristate_column, pa.bool_()),
        (_SIZES, clean.size_column, pa.int64()),
        (_LISTS, clean.list_column, pa.list_(pa.string())),
    ):
        for name in names:
            values = given.get(name)
            if values is None or values.count(None) == n:
                columns[name] = pa.nulls(n, type_)
            else:
                columns[name] = make(name, values, refusals)
    for name in _TEXTS:
        values = given.get(name)
        columns[name] = _texts(name, values, refusals, n)
    values = given.get("category")
    columns["category"] = pa.nulls(n, pa.string()) if values is None else _categories(values, refusals)
    columns["updated_at"] = timestamps(columns["updated"])
    for row in np.flatnonzero(unread_times(columns["updated"], columns["updated_at"])).tolist():
        refusals.add(row, "updated", "not_a_time", columns["updated"][row].as_py())


def _texts(name: str, values: list[Any] | None, refusals: clean.Refusals, n: int) -> pa.Array:
    if values is None or values.count(None) == n:
        return pa.nulls(n, pa.string())
    try:
        if set(map(type, values)) == {int}:
            return pa.array(values, pa.int64()).cast(pa.string())
        array = pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return clean.text_column(name, values, refusals)
    lengths = pc.binary_length(array)
    if name != "extra" and (pc.max(lengths).as_py() or 0) > clean.MAX_TEXT:
        return clean.text_column(name, values, refusals)
    if pc.min(lengths).as_py() == 0:
        array = pc.if_else(pc.equal(lengths, 0), pa.scalar(None, pa.string()), array)
    return array


def _categories(values: list[Any], refusals: clean.Refusals) -> pa.Array:
    try:
        if bool in set(map(type, values)):  # True equals 1 as a key, but is no category
            raise TypeError
        known = {v: clean.one_category(v) for v in set(values)}
        return pa.array([known[v] for v in values], pa.string())
    except (clean.ValueRefusedError, TypeError, KeyError):
        return clean.text_column("category", values, refusals, clean.one_category)


_NET = re.compile(r"/Date\((-?\d{1,16})(?:[+-]\d{4})?\)/$")
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9})\d*)?\s*(Z|[+-]\d\d:?\d\d(?:Z)?|)$")


_BASIC = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(.*)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_NAMED_ZONE = re.compile(r"(.*?)\[!?([A-Za-z_+/-]+)\]")


def unread_times(texts: pa.Array, times: pa.Array) -> Any:
    """Which texts (bool of shape n) are no time that could be read; they are kept, and put nothing in order."""
    return pc.and_(pc.is_valid(texts), pc.is_null(times)).to_numpy(zero_copy_only=False)


def _in_iso(text: str) -> str:
    """ISO 8601 basic, RFC 2822 and a day alone (its beginning in UTC) as plain ISO 8601; any other text as it is."""
    if basic := _BASIC.fullmatch(text):
        year, month, day, hour, minute, second, rest = basic.groups()
        return f"{year}-{month}-{day}T{hour}:{minute}:{second}{rest}"
    if _DAY.fullmatch(text):
        return f"{text}T00:00:00Z"
    if text[:1].isascii() and "," in text[:5]:
        mail = parsedate_to_datetime(text)
        return mail.isoformat() if mail.tzinfo else text
    return text


def _in_named_zone(text: str) -> datetime | None:
    """A time whose zone is a name alone (`[Europe/London]`); None for any other, and in the hour in which the clock is changed."""
    named = _NAMED_ZONE.fullmatch(text)
    iso = _ISO.match(named[1]) if named else None
    if named is None or iso is None or iso[8]:
        return None
    plain = datetime.fromisoformat("{}-{}-{}T{}:{}:{}".format(*iso.groups()[:6]))
    zone = ZoneInfo(named[2])
    if plain.replace(tzinfo=zone, fold=0).utcoffset() != plain.replace(tzinfo=zone, fold=1).utcoffset():
        return None
    micros = int((iso[7] or "0").ljust(6, "0")[:6])
    return plain.replace(microsecond=micros, tzinfo=zone).astimezone(UTC)


def one_timestamp(text: str | None) -> datetime | None:
    """UTC time of the spellings seen in real files: any number of decimals, `+02:00Z`, `.NET /Date(ms)/`, no zone (UTC), ISO
    8601 basic, RFC 2822, `[Europe/London]`, a day alone.

    None when it cannot be read: the text itself is always kept beside it.
    """
    if text is None:
        return None
    text = text.strip()
    try:
        net = _NET.match(text)
        if net:
            return datetime.fromtimestamp(int(net.group(1)) / 1000, UTC)
        text = _in_iso(text)
        if text.endswith("]"):
            before = text.partition("[")[0].strip()
            iso = _ISO.match(before)
            if iso is None or not iso[8]:
                return _in_named_zone(text)
            text = before  # with an offset before it the name says nothing more
        iso = _ISO.match(text)
        if not iso:
            return None
        *parts, fraction, zone = iso.groups()
        micros = int((fraction or "0").ljust(6, "0")[:6])
        base = datetime(*map(int, parts), micros, tzinfo=UTC)  # type: ignore[misc, arg-type]
        zone = zone.removesuffix("Z")
        if zone:
            minutes = int(zone[1:3]) * 60 + int(zone[-2:])
            shift = np.timedelta64(minutes if zone[0] == "+" else -minutes, "m").astype(object)
            base = base - shift
    except (ValueError, OverflowError, OSError, TypeError, KeyError):
        return None
    return base


def timestamps(texts: pa.Array) -> pa.Array:
    """UTC timestamps (microseconds) of a column of texts, null where they cannot be read."""
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), _TIME)
    try:
        return pc.cast(pc.cast(texts, pa.timestamp("ns", tz="UTC")), _TIME, safe=False)
    except pa.ArrowInvalid:
        return pa.array([one_timestamp(t) for t in texts.to_pylist()], _TIME)
