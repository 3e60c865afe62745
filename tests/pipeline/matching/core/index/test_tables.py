"""The sorted tables of a segment against an obvious twin, and the quick sum against its definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.matching.core.compiled.jit import JIT
from pipeline.matching.core.index import checksum, tables
from pipeline.matching.core.index.checksum import QuickSum, quick_sum
from pipeline.matching.core.index.layout import to_chunks
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
    chunks = np.asarray(segment.hashes).astype(np.uint32)
    total, m = chunks.shape
    for i in range(m):
        order = np.argsort(chunks[:, i], kind="stable")
        rows = segment.rows[i].reshape(-1, 3).astype(np.uint32) @ np.array([1, 1 << 8, 1 << 16], np.uint32)
        words = chunks[:, (i + 1) % m] | chunks[:, (i + 2) % m] << 16
        assert (rows[:total] == order).all() and not rows[total:].any()
        assert (segment.words[i, :total] == words[order]).all() and not segment.words[i, total:].any()
        assert (segment.offsets[i] == np.searchsorted(chunks[order, i], np.arange(65537))).all()


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
