"""Each vector primitive against its plain Python twin, on values at and around every threshold."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from pipeline.matching.core.compiled import vectors
from pipeline.matching.core.compiled.jit import JIT
from pipeline.matching.core.compiled.vectors import LANES, TILE
from pipeline.matching.core.driver import _aligned
from pipeline.matching.core.plan import plan

pytestmark = pytest.mark.skipif(not JIT, reason="without the JIT the twins are what runs")


def words(count: int, seed: int) -> np.ndarray:
    out = _aligned(count)
    out[:] = np.random.default_rng(seed).integers(0, 2**32, count, dtype=np.uint32)
    return out


def test_words_within_a_limit() -> None:
    any_within, any_within4, within = vectors.any_within, vectors.any_within4, vectors.within

    @numba.njit
    def all_of(stored, asked, at, limit):  # type: ignore[no-untyped-def]
        one = any_within(stored, 1, 4, asked[at], np.uint32(limit))
        return (
            one,
            any_within4(stored, 1, 4, asked, at, np.uint32(limit)),
            within(stored, 2, asked[at], np.uint32(limit)),
        )

    stored, asked = words(5 * LANES, 1), words(16, 2)
    seen = set()
    for limit in range(33):
        for at in range(12):
            found = all_of(stored, asked, at, limit)
            query = int(asked[at])
            assert found == (
                vectors._any_within(stored, 1, 4, query, limit),
                vectors._any_within4(stored, 1, 4, asked, at, limit),
                vectors._within(stored, 2, query, limit),
            )
            seen.add(found[:2])
    assert seen == {(False, False), (False, True), (True, True)}


@pytest.mark.parametrize(("m", "radius"), [(16, 31), (16, 47), (4, 8)])
def test_tiles(m: int, radius: int) -> None:
    near, admitted = getattr(vectors, f"lanes_near{m}"), getattr(vectors, f"lanes_admitted{m}")
    beyond, ones = vectors.lanes_beyond, vectors.ones

    @numba.njit
    def all_of(columns, queries, query, radius, rules, bits):  # type: ignore[no-untyped-def]  # noqa: PLR0917
        masks = np.zeros(2 + rules.shape[1], np.int64)
        masks[0] = near(columns, 1, queries, query, radius, bits)
        masks[1] = beyond(columns, 3, queries[query, 2], np.uint16(2))
        for table in range(rules.shape[1]):
            masks[2 + table] = admitted(bits, table, rules)
        return masks, ones(masks[0])

    rng = np.random.default_rng(3)
    centre = rng.integers(0, 2**16, m, dtype=np.uint16)
    share = radius / (32 * m)

    def noisy(count: int) -> np.ndarray:
        return centre ^ np.packbits(rng.random((count, m * 16)) < share, axis=1).view(np.uint16)

    columns = _aligned(2 * m * TILE // 2).view(np.uint16)
    columns[:] = np.concatenate([noisy(TILE).T.ravel(), noisy(TILE).T.ravel()])
    queries, rules = noisy(20), plan(radius, m).rules
    bits, twin = (_aligned((m + 1) * TILE // 2).view(np.uint16) for _ in range(2))
    near_pairs = 0
    for query in range(20):
        masks, count = all_of(columns, queries, query, radius, rules, bits)
        assert masks[0] == vectors._lanes_near(columns, 1, queries, query, radius, twin)
        assert (bits == twin).all() and count == int(masks[0]).bit_count()
        assert masks[1] == vectors._lanes_beyond(columns, 3, int(queries[query, 2]), 2)
        assert [*masks[2:]] == [vectors._lanes_admitted(twin, table, rules) for table in range(m)]
        near_pairs += count
    assert 0 < near_pairs < 20 * TILE
