"""The nibble look-up filter against its plain Python twin and against popcounts, at every limit."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from pipeline.matching.core.compiled import nibbles, vectors
from pipeline.matching.core.compiled.jit import JIT
from pipeline.matching.core.compiled.processor import target
from pipeline.matching.core.driver import _aligned
from tests.pipeline.matching.core.compiled.test_vectors import words

pytestmark = pytest.mark.skipif(not JIT or "avx2" not in target()[2], reason="compiled for processors with AVX2")


def test_blocks_hold_32_words_in_order() -> None:
    split = nibbles.split

    @numba.njit
    def both(stored, planes):  # type: ignore[no-untyped-def]
        split(stored, 13, planes, 0)
        split(stored, 48, planes, 1)

    stored = words(5 * 16, 1)
    planes, twin = (_aligned(2 * nibbles.BLOCK // 4).view(np.uint8) for _ in range(2))
    both(stored, planes)
    nibbles._split(stored, 13, twin, 0)
    nibbles._split(stored, 48, twin, 1)
    assert (planes == twin).all()
    assert planes[: 8 * 32].reshape(8, 32)[:, 5].tolist() == [int(stored[18]) >> 4 * n & 15 for n in range(8)]


def test_queries_in_planes_that_a_word_is_near_to() -> None:
    split, near_queries = nibbles.split, nibbles.near_queries

    @numba.njit
    def asked_of(stored, low, high, asked, planes, look_up, bounds, at, filled):  # type: ignore[no-untyped-def]  # noqa: PLR0917
        for block in range((filled + 31) >> 5):
            split(asked, block << 5, planes, block)
        return near_queries(stored, low, high, planes, look_up, bounds, at, filled)

    stored, asked, table = words(5 * 16, 1), words(256, 2), nibbles.look_up()
    planes = _aligned(8 * nibbles.BLOCK // 4).view(np.uint8)
    seen = set()
    for filled in (1, 31, 32, 33, 64, 65, 130):
        for low, high in ((0, 1), (3, 3), (7, 40), (0, 80)):
            bounds = np.random.default_rng(filled).integers(5, 14, 256).astype(np.uint8)
            bounds[filled:] = 0
            for at in range(0, filled, 64):
                wanted = vectors._near_queries(stored, low, high, asked, bounds, at, filled)
                found = asked_of(stored, low, high, asked, planes, table, bounds, at, filled)
                assert found & 2**64 - 1 == wanted
                assert nibbles._near_queries(stored, low, high, planes, table, bounds, at, filled) == wanted
                seen.add(wanted != 0)
    assert seen == {False, True}


def test_distances_are_those_of_popcounts() -> None:
    split, next_near, lanes_of = nibbles.split, nibbles.next_near, nibbles.lanes_of

    @numba.njit
    def all_of(stored, planes, asked, bounds, at, look_up):  # type: ignore[no-untyped-def]  # noqa: PLR0917
        split(stored, 0, planes, 0)
        split(stored, 32, planes, 1)
        lanes = lanes_of(planes, 1, asked[at], np.uint32(bounds[at] - 1), look_up)
        return next_near(planes, 2, asked, bounds, at, 12, look_up), lanes

    stored, asked, table = words(4 * 16, 2), words(16, 3), nibbles.look_up()
    planes = _aligned(2 * nibbles.BLOCK // 4).view(np.uint8)
    seen = set()
    for bound in range(1, 34):
        bounds = np.full(16, bound, np.uint8)
        for at in range(12):
            near = np.bitwise_count(stored ^ asked[at:12, None]) < bound
            first = at + int(near.any(axis=1).argmax()) if near.any() else 12
            lanes = int(sum(1 << lane for lane in range(32) if near[0, 32 + lane]))
            assert all_of(stored, planes, asked, bounds, at, table) == (first, lanes)
            assert nibbles._next_near(planes, 2, asked, bounds, at, 12, table) == first
            assert nibbles._lanes_of(planes, 1, int(asked[at]), bound - 1, table) == lanes
            seen.add(first == 12)
    assert seen == {False, True}
