"""Published vectors and an independent implementation, faiss, as judges of the core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.matching import core
from pipeline.matching.core.compiled.jit import JIT
from tests import naive
from tests.pipeline.matching.core.support import build, pairs_of, random_hashes

PUBLISHED = {0: 50, 8: 150, 16: 152, 24: 250, 30: 250, 31: 250, 32: 250, 48: 317, 64: 352, 96: 365, 128: 74_566}
"""Pairs of needle and haystack within each distance, as published with the vectors."""

needs_speed = pytest.mark.skipif(not JIT, reason="takes minutes as plain Python")


def read(path: Path) -> np.ndarray:
    lines = [line.strip().split(",")[0] for line in path.read_text().splitlines() if line.strip()]
    return np.frombuffer(b"".join(bytes.fromhex(line) for line in lines), np.uint8).reshape(-1, 32)


@needs_speed
def test_published_pair_counts_before_and_after_save_and_compaction(corpora: Path, tmp_path: Path) -> None:
    needles, haystack = (read(corpora / "vectors" / f"pdq_{name}.txt") for name in ("needles", "haystack"))
    build(tmp_path / "a", haystack[:700])
    added = (np.arange(700, len(haystack)), haystack[700:])
    core.extend_index(tmp_path / "a", tmp_path / "b", [added], [], release="8")
    core.compact_index(tmp_path / "b", tmp_path / "c")
    for folder in ("b", "c"):
        index = core.open_index(tmp_path / folder)
        for radius, pairs in PUBLISHED.items():
            found = core.join(index, needles, np.arange(len(needles)), radius=radius, threads=2)
            assert (radius, found.table.num_rows) == (radius, pairs)
        matched = {r: _matched(index, needles, r) for r in (0, 16, 31)}
        assert matched == {0: 50, 16: 100, 31: 100}


def _matched(index: core.Index, needles: np.ndarray, radius: int) -> int:
    totals = core.join(index, needles, np.arange(len(needles)), radius=radius).totals["pairs"].to_numpy()
    return int((totals > 0).sum())


@needs_speed
@pytest.mark.parametrize(("width", "radii"), [(32, (31, 47, 90)), (8, (8, 10, 16))])
@pytest.mark.parametrize("kind", ["uniform", "clustered"])
def test_equal_to_faiss(tmp_path: Path, width: int, radii: tuple[int, ...], kind: str) -> None:
    faiss = pytest.importorskip("faiss")
    rng = np.random.default_rng(21)
    known = random_hashes(30_000, width, 1)
    if kind == "clustered":
        known = known[rng.integers(0, 300, 30_000)] ^ np.packbits(rng.random((30_000, width * 8)) < 0.04, axis=1)
    queries = known[::200] ^ np.packbits(rng.random((150, width * 8)) < 0.06, axis=1)
    index = build(tmp_path / "i", known, algorithm="pdq" if width == 32 else "phash64")
    oracle = faiss.IndexBinaryFlat(width * 8)
    oracle.add(known)
    for radius in radii:
        limits, distances, labels = oracle.range_search(queries, radius + 1)
        wanted = sorted(
            (q, int(labels[p]), int(distances[p])) for q in range(150) for p in range(limits[q], limits[q + 1])
        )
        found = core.join(index, queries, np.arange(150), radius=radius, threads=2)
        assert sorted(naive.rows(found.table)) == wanted


@pytest.mark.parametrize("cap", [None, 2])
@pytest.mark.parametrize("sizes", [(4, 30), (30, 4), (0, 5), (5, 0)])
def test_matching_two_sets_whichever_is_smaller(sizes: tuple[int, int], cap: int | None) -> None:
    pool = np.repeat(random_hashes(3, 32, 2), 12, axis=0)
    rng = np.random.default_rng(1)
    pool ^= np.packbits(rng.random((36, 256)) < 0.05, axis=1)
    known, queries = pool[: sizes[0]], pool[-sizes[1] :] if sizes[1] else pool[:0]
    keys, asked = np.arange(len(known)) * 2, np.arange(len(queries)) - 2
    found = core.join_arrays((keys, known), (asked, queries), algorithm="phash256", radius=40, cap=cap)
    wanted, totals = naive.join(pairs_of(known, keys), pairs_of(queries, asked), 40, cap)
    assert naive.rows(found.table) == wanted and found.totals["pairs"].to_pylist() == totals
    assert (found.report.rows, found.report.queries, found.report.pairs) == (*sizes, sum(totals))


@needs_speed
def test_a_flooded_known_hash_is_asked_again_in_small_company(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.matching.core.pairwise.FLOOD", 3)
    monkeypatch.setattr("pipeline.matching.core.pairwise.PAIRS", 25)
    known, queries = np.zeros((30, 32), np.uint8), np.zeros((10, 32), np.uint8)
    found = core.join_arrays((np.arange(30), known), (np.arange(10), queries), algorithm="pdq", radius=5, cap=4)
    assert naive.rows(found.table) == [(q, k, 0) for q in range(10) for k in range(4)]
    assert found.totals["pairs"].to_pylist() == [30] * 10
