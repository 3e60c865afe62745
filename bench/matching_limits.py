"""How many 32-bit words a core compares in a second when nothing else is done: the limit of the matching core.

Words lie in the first-level cache, 4,096 of them; queries follow each other, none of which is near. `popcount` is XOR,
popcount and minimum as LLVM makes them for the processor; `look_up`, in the AVX2 family, the nibble filter on planes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from pipeline.matching.core.compiled import nibbles, vectors
from pipeline.matching.core.driver import _aligned

WORDS = 4096
BLOCKS = WORDS // 32
QUERIES = 4096


def rate(work: Callable[[int], int]) -> float:
    """Words compared in a CPU second: the best of five rounds of a tenth of a second or more."""
    work(1)
    best, repeats = 0.0, 4
    for _ in range(5):
        start = time.process_time()
        work(repeats)
        best = max(best, repeats * QUERIES * WORDS / (time.process_time() - start))
    return best


def measure() -> dict[str, float]:
    """Words per core-second of each way of comparing that this family has."""
    near_queries, next_near, split = vectors.near_queries, nibbles.next_near, nibbles.split
    rng = np.random.default_rng(1)
    words, asked = _aligned(WORDS), _aligned(QUERIES + 16)
    words[:] = rng.integers(0, 2**31, WORDS, dtype=np.uint32)
    asked[:] = ~words[0]
    bounds = np.zeros(QUERIES + 64, np.uint8)

    @numba.njit(nogil=True)
    def popcounts(repeats: Any, words: Any, asked: Any, bounds: Any) -> Any:
        found = 0
        for _ in range(repeats):
            for q in range(0, QUERIES, 64):
                found += near_queries(words, 0, WORDS, asked, bounds, q, QUERIES)
        return found

    result = {"popcount_words_a_second": rate(lambda n: popcounts(n, words, asked, bounds))}
    if nibbles.USED:
        planes, table = _aligned(BLOCKS * nibbles.BLOCK // 4).view(np.uint8), nibbles.look_up()

        @numba.njit(nogil=True)
        def look_ups(  # noqa: PLR0917 - arrays by position
            repeats: Any, planes: Any, table: Any, words: Any, asked: Any, bounds: Any
        ) -> Any:
            found = 0
            for block in range(BLOCKS):
                split(words, 32 * block, planes, block)
            for repeat in range(repeats):
                asked[QUERIES] = repeat  # unread, but without it all but one call would be left out
                found += next_near(planes, BLOCKS, asked, bounds, 0, QUERIES, table)
            return found

        result["look_up_words_a_second"] = rate(lambda n: look_ups(n, planes, table, words, asked, bounds))
    return result
