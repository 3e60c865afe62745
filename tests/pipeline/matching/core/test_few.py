"""A pass of few queries by NumPy gives what the kernels give, on indexes whose buckets hold more than one entry, and knows its limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.matching import core
from pipeline.matching.core import few
from pipeline.matching.core.compiled.jit import JIT
from tests.pipeline.matching.core.support import build, flipped, random_hashes


def known_hashes(kind: str, count: int) -> np.ndarray:
    known = random_hashes(count, 32, 1)
    if kind == "clustered":
        rng = np.random.default_rng(21)
        known = known[rng.integers(0, 30, count)] ^ np.packbits(rng.random((count, 256)) < 0.04, axis=1)
    return known


@pytest.mark.skipif(not JIT, reason="takes minutes as plain Python")
@pytest.mark.parametrize("kind", ["uniform", "clustered"])
@pytest.mark.parametrize("radius", [0, 8, 31, 47, 64])
def test_equal_to_the_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, radius: int) -> None:
    monkeypatch.setattr(few, "ROOM", 1000)  # several slices of queries
    known = known_hashes(kind, 70_000)
    queries = np.array([flipped(known[1000 * k + 1], range(0, 4 * k, 2)) for k in range(few.QUERIES)])
    core.build_index(
        [(np.arange(50_000), known[:50_000])], tmp_path / "a", algorithm="pdq", hasher_version="t1", release="7"
    )
    added = (np.arange(50_000, 70_000), known[50_000:])
    core.extend_index(tmp_path / "a", tmp_path / "b", [added], np.arange(0, 50_000, 7), release="8")
    index = core.open_index(tmp_path / "b")
    monkeypatch.setattr("pipeline.matching.core.plan.Plan.scan", lambda self, rows, count: False)
    ids = np.arange(len(queries))
    for cap in (None, 2):
        one, other = (core.join(index, queries, ids, radius=radius, cap=cap, compiled=c) for c in (True, False))
        assert one.table.equals(other.table) and one.totals.equals(other.totals)
        for count in ("canaries", "visits", "candidates", "pairs", "kept", "capped_queries", "plan"):
            assert getattr(one.report, count) == getattr(other.report, count), count
    assert one.table.num_rows >= 1


@pytest.mark.parametrize("what", ["queries", "rows", "deep"])
def test_what_is_more_than_few_is_done_by_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    index = build(tmp_path / "i", random_hashes(3, 32, 1))
    monkeypatch.setattr(few, "run", None)
    if what == "rows":
        monkeypatch.setattr(few, "ROWS", 3)  # canaries count
    queries = random_hashes(few.QUERIES + (what == "queries"), 32, 1)
    found = core.join(index, queries, np.arange(len(queries)), radius=100 if what == "deep" else 8, compiled=False)
    assert found.table.num_rows >= 3
