"""The sorted tables of a segment against an obvious twin, and the quick sum against its definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.matching import core
from pipeline.matching.core.compiled.jit import JIT, bare
from pipeline.matching.core.compiled.reducing import row_number
from pipeline.matching.core.index import canaries, checksum, tables
from pipeline.matching.core.index.bitorder import to_hashes
from pipeline.matching.core.index.checksum import QuickSum, quick_sum
from pipeline.matching.core.index.layout import to_chunks
from pipeline.matching.core.index.store import MappedSegment
from tests.pipeline.matching.core.support import build, random_hashes

ROWS = 3000 if JIT else 60


def spread(name: str, width: int) -> NDArray[np.uint8]:
    """Hashes whose chunks fill the buckets evenly, a single group of 256 buckets, few buckets, or one."""
    hashes = random_hashes(ROWS, width, 1)
    if name == "one group":
        stored = to_chunks(hashes) & 0xFF | 0x3700
        order = np.argsort(np.arange(width * 8) * 37 % (width * 8))
        return np.packbits(np.unpackbits(stored.view(np.uint8), axis=1, bitorder="little")[:, order], axis=1)
    return {"even": hashes, "few": hashes[np.arange(ROWS) % 3], "one": np.repeat(hashes[:1], ROWS, axis=0)}[name]


@pytest.mark.parametrize("width", [32, 8])
@pytest.mark.parametrize("name", ["even", "one group", "few", "one"])
@pytest.mark.parametrize("block", [32, 2**16])
def test_tables_are_in_order_of_chunk_and_then_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, name: str, block: int
) -> None:
    monkeypatch.setattr(tables, "BLOCK", block)
    segment = build(tmp_path / "a", spread(name, width), algorithm="pdq" if width == 32 else "phash64").segments[0]
    stored = segment.chunks(0, segment.segment.total)
    if name in {"even", "one group"}:  # of the others all but a few are in a segment of shared hashes
        assert (
            stored == to_chunks(np.concatenate([spread(name, width), canaries.hashes("segment-0000", width)]))
        ).all()
    chunks = stored.astype(np.uint32)
    total, m = chunks.shape
    for i in range(m):
        order = np.argsort(chunks[:, i], kind="stable")
        low = segment.rows[i].view(np.uint16)
        assert (low[:total] == order & 0xFFFF).all() and not low[total:].any()
        words = chunks[:, (i + 1) % m] | chunks[:, (i + 2) % m] << 16
        assert (segment.words[i, :total] == words[order]).all() and not segment.words[i, total:].any()
        assert (segment.offsets[i] == np.searchsorted(chunks[order, i], np.arange(65537))).all()
        entry, bucket = np.arange(total), chunks[order, i].astype(np.int64)
        assert (segment.rows_of(i, entry, bucket) == order).all()
        assert (segment.hashes_of(i, entry, bucket, order) == stored[order]).all()
    assert (segment.chunks(5, 9) == stored[5:9]).all()


def obvious(segment: MappedSegment, table: int, rows: NDArray[np.int64], bucket: NDArray[np.int64]) -> None:
    """Which bits are set, and which places noted, is what `reduced.py` says."""
    places = np.arange(len(rows)) + bucket * segment.span + (rows >> 16)
    bits = np.unpackbits(segment.highs[table], bitorder="little")
    assert (np.flatnonzero(bits) == places).all()
    assert (segment.marks[table, : -(-len(rows) // 256)] == places[::256]).all()


@pytest.mark.skipif(not JIT, reason="needs more rows than 16 bits number")
@pytest.mark.parametrize("values", [65536, 40, 1])
def test_rows_beyond_16_bits(tmp_path: Path, values: int) -> None:
    """Buckets of a few entries, of thousands, and of all: of each entry its row comes back, by NumPy and by the kernels."""
    rng = np.random.default_rng(3)
    chosen = rng.choice(65536, values, replace=False).astype(np.uint16)
    known = to_hashes(chosen[rng.integers(0, values, (200_000, 4))])
    segment = build(tmp_path / "a", known, algorithm="phash64").plain[0]
    rows = segment.segment.total
    stored = segment.chunks(0, rows)
    assert segment.span == 1 + (rows - 1 >> 16)
    for table in range(4):
        order = np.argsort(stored[:, table], kind="stable")
        bucket = stored[order, table].astype(np.int64)
        obvious(segment, table, order, bucket)
        some = np.unique(np.concatenate([rng.integers(0, rows, 3000), [0, rows - 1]]))
        assert (segment.rows_of(table, some, bucket[some]) == order[some]).all()
        offsets, _, low, highs, marks, span, *_ = segment.stored(table)
        for entry in some[:300]:
            found = one_row(low, highs, marks, span, offsets, int(bucket[entry]), int(entry))
            assert found == order[entry]


@bare
def one_row(  # noqa: PLR0917 - as `row_number`
    rows: Any, highs: Any, marks: Any, span: Any, offsets: Any, bucket: Any, entry: Any
) -> Any:
    return row_number(rows, highs, marks, span, offsets, bucket, entry)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000])
def test_ids_come_back_however_far_apart_they_are(tmp_path: Path, count: int) -> None:
    rng = np.random.default_rng(4)
    top = 2**63 - 1 if JIT else 2**62  # plain Python warns where 64 bits are needed, with canaries beside it
    kinds = [np.arange(count), np.arange(count)[::-1] * 3 + 7, rng.integers(0, top, count), np.full(count, top)]
    kinds += [rng.integers(0, 2 ** int(size), count) for size in (8, 16, 24, 40, 57)]
    kinds.append(np.concatenate([np.arange(count // 2), np.arange(count - count // 2) + 2**60]))
    for k, ids in enumerate(kinds):
        hashes = random_hashes(count, 8, 5)
        index = build(tmp_path / str(k), hashes, ids, algorithm="phash64")
        assert (index.segments[0].all_ids()[:count] == ids).all()
        if count:
            found = core.join(index, hashes[-1:], [0], radius=0)
            assert found.table["known_id"].to_pylist() == [int(ids[-1])]


def test_ids_that_ascend_take_a_byte(tmp_path: Path) -> None:
    ids = np.arange(0, 1024) + 10**12
    arrays = build(tmp_path / "a", random_hashes(1024, 8, 5), ids, algorithm="phash64").manifest.segments[0].arrays
    assert arrays["ids.u8"].bytes < 1024 + 128


@pytest.mark.parametrize("compiled", [True, False])
def test_quick_sum_is_fletchers_however_it_is_cut(monkeypatch: pytest.MonkeyPatch, compiled: bool) -> None:
    monkeypatch.setattr(checksum, "PART", 16)
    words = np.random.default_rng(2).integers(0, 2**64, 103, dtype=np.uint64)
    first = second = 0
    for word in words.tolist():
        first = (first + word) % 2**64
        second = (second + first) % 2**64
    expected = np.array([first, second], np.uint64).tobytes().hex()
    assert quick_sum(words, compiled=compiled) == expected
    for cut in (0, 1, 6, 50, 103):
        parts = QuickSum(compiled=compiled)
        parts.update(words[:cut])
        parts.update(words[cut:])
        assert parts.hexdigest() == expected
    assert quick_sum(words[:0], compiled=compiled) == "0" * 32
