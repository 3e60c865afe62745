"""Queries laid out near a bucket: the compiled function against its plain twin, few and many queries."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from pipeline.matching.core.compiled import kernels, laying
from pipeline.matching.core.compiled.jit import JIT
from pipeline.matching.core.driver import Groups
from pipeline.matching.core.plan import most_masks, plan

pytestmark = pytest.mark.skipif(not JIT, reason="without the JIT the twin is what runs")


def grouped(count: int, values: int) -> tuple[Any, ...]:
    """Offsets, words and numbers of queries whose first chunks are among the first `values`."""
    rng = np.random.default_rng(count)
    chunks = rng.integers(0, 65536, (count, 16)).astype(np.uint16)
    chunks[:, 0] = rng.integers(0, values, count)
    offsets, words, index = np.zeros(65537, np.int32), np.zeros(count + 16, np.uint32), np.zeros(count + 16, np.uint32)
    kernels.group_queries(chunks, 0, offsets, words, index)
    return chunks, offsets, words, index


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("radius", [0, 31, 47])
@pytest.mark.parametrize(("count", "values"), [(1, 65536), (500, 65536), (3000, 64), (700, 2)])
def test_all_queries_near_a_bucket_come_once(count: int, values: int, radius: int, sparse: bool) -> None:
    chunks, offsets, words, index = grouped(count, values)
    occupied = Groups(offsets, words, index).occupied
    the_plan = plan(radius, 16)
    stop = int(the_plan.levels[the_plan.budgets[0]])
    lay_out, name = laying.lay_out, laying.name

    @numba.njit
    def both(bucket, probes, offsets, occupied, words, index, out):  # type: ignore[no-untyped-def]  # noqa: PLR0917
        masks, levels, limits, stop, sparse = probes
        block, numbers, bounds, near = out
        laid = lay_out(bucket, masks, levels, limits, offsets, occupied, words, block, bounds, near, sparse)
        name(np.int64(bucket), stop, masks, offsets, index, numbers, near, laid >> 32)
        return laid

    for bucket in (int(chunks[0, 0]), 0, 65535):
        made: list[list[Any]] = []
        probes = (the_plan.masks, the_plan.levels, the_plan.limits[0])
        for _ in range(2):
            sizes = ((count + 128, np.uint32), (count + 128, np.uint32), (count + 192, np.uint8))
            near = np.zeros(most_masks() + 1, np.int64)
            made.append([*(np.full(size, 77, kind) for size, kind in sizes), near])
        laid = both(bucket, (*probes, stop, sparse), offsets, occupied, words, index, tuple(made[0]))
        block, _, bounds, near = made[1]
        assert laid == laying._lay_out(bucket, *probes, offsets, occupied, words, block, bounds, near, sparse)
        filled = laid & 0xFFFFFFFF
        assert (made[0][0][:filled] == block[:filled]).all()
        assert (made[0][2][: filled + 64] == bounds[: filled + 64]).all()
        differing = np.bitwise_count(chunks[:, 0] ^ np.uint16(bucket))
        found = made[0][1][:filled]
        assert sorted(found.tolist()) == np.flatnonzero(differing < the_plan.budgets[0]).tolist()
        assert (bounds[:filled] == the_plan.limits[0][differing[found]] + 1).all()
        assert (block[:filled] == chunks[found, 1] | chunks[found, 2].astype(np.uint32) << np.uint32(16)).all()
