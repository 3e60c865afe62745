"""The nibble look-up filter against its plain Python twin and against popcounts, at every limit."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from pipeline.matching.core.compiled import nibbles
from pipeline.matching.core.compiled.jit import JIT
from pipeline.matching.core.compiled.processor import target
from pipeline.matching.core.driver import _aligned
from tests.pipeline.matching.core.compiled.test_vectors import words

pytestmark = pytest.mark.skipif(not JIT or "avx2" not in target()[2], reason="compiled for processors with AVX2")


def test_blocks_hold_the_words_of_two_vectors_in_order() -> None:
    split = nibbles.split

    @numba.njit
    def both(stored, planes):  # type: ignore[no-untyped-def]
        split(stored, 1, 2, planes, 0)
        split(stored, 4, 4, planes, 1)

    stored = words(5 * 16, 1)
    planes, twin = (_aligned(2 * nibbles.BLOCK // 4).view(np.uint8) for _ in range(2))
    both(stored, planes)
    nibbles._split(stored, 1, 2, twin, 0)
    nibbles._split(stored, 4, 4, twin, 1)
    assert (planes == twin).all()


def test_distances_are_those_of_popcounts() -> None:
    split, any_near, lanes_of = nibbles.split, nibbles.any_near, nibbles.lanes_of

    @numba.njit
    def all_of(stored, planes, asked, limit, look_up):  # type: ignore[no-untyped-def]
        split(stored, 0, 1, planes, 0)
        split(stored, 2, 3, planes, 1)
        return any_near(planes, 2, asked, np.uint32(limit), look_up), lanes_of(
            planes, 1, asked, np.uint32(limit), look_up
        )

    stored, asked, table = words(4 * 16, 2), words(16, 3), nibbles.look_up()
    planes = _aligned(2 * nibbles.BLOCK // 4).view(np.uint8)
    seen = set()
    for limit in range(33):
        for word in asked[:12]:
            near = np.bitwise_count(stored ^ word) <= limit
            wanted = bool(near.any()), int(sum(1 << lane for lane in range(32) if near[32 + lane]))
            assert all_of(stored, planes, word, limit, table) == wanted
            assert nibbles._any_near(planes, 2, int(word), limit, table) == wanted[0]
            assert nibbles._lanes_of(planes, 1, int(word), limit, table) == wanted[1]
            seen.add(wanted[0])
    assert seen == {False, True}
