"""The nearest pairs of each query: the same as sorting all of them, whatever way each group of ids is put in order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.matching.core.compiled.jit import JIT
from pipeline.matching.core.selection import FEW, SOME, PairArrays, nearest
from tests.pipeline.matching.core.support import EXAMPLES

SIZES = (0, 1, 2, SOME, SOME + 1, FEW, FEW + 1, 2 * FEW) if JIT else (0, 1, SOME + 1)


def assert_nearest(parts: list[PairArrays], low: int, high: int, cap: int, real: int) -> None:
    wanted = []
    for query in range(low, high):
        pairs = sorted(
            (int(d), int(i)) for q, ids, ds in parts for i, d in zip(ids[q == query], ds[q == query], strict=True)
        )
        wanted += [(query, i, d) for d, i in (pairs[:cap] if query < real else pairs)]
    found = nearest(parts, low, high, cap, real)
    assert list(zip(*(column.tolist() for column in found), strict=True)) == wanted


@st.composite
def group(draw: st.DrawFn) -> list[int]:
    """Ids at one distance: in no order, ascending, two ascending runs, or many times the same."""
    size = draw(st.sampled_from(SIZES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    ids = rng.integers(-5, draw(st.sampled_from([3, 1000, 2**62])), size)
    order = draw(st.sampled_from(["none", "ascending", "runs", "falling"]))
    if order == "none":
        return [int(i) for i in ids]
    at = draw(st.integers(0, size)) if order == "runs" else 0
    ordered = [*np.sort(ids[:at]), *np.sort(ids[at:])]
    return [int(i) for i in (ordered[::-1] if order == "falling" else ordered)]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 31, 256]), group()), max_size=6),
    st.sampled_from([1, 3, SOME, 100, 2**31 - 1]),
    st.integers(0, 4),
    st.integers(1, 3),
)
def test_nearest_are_those_of_sorting(
    groups: list[tuple[int, int, list[int]]], cap: int, real: int, pieces: int
) -> None:
    parts: list[PairArrays] = []
    for start in range(0, max(1, len(groups)), pieces):
        some = [(q, i, d) for q, d, ids in groups[start : start + pieces] for i in ids]
        query, ids, distance = (np.array([row[k] for row in some], np.int64) for k in range(3))
        parts.append((query.astype(np.uint32), ids, distance.astype(np.uint16)))
    assert_nearest(parts, 0, 4, cap, real)
    assert_nearest(parts, 1, 3, cap, real)


@pytest.mark.parametrize("at", [0, 1, 30, 59, 60])
def test_two_ascending_runs_that_hold_the_same_ids(at: int) -> None:
    ids = np.concatenate([np.arange(at), np.arange(60 - at)]).astype(np.int64)
    part = np.zeros(60, np.uint32), ids, np.full(60, 256, np.uint16)
    for cap in (1, 29, 60, 100):
        assert_nearest([part], 0, 1, cap, 1)
