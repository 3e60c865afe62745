"""The quick sum of an array: Fletcher's checksum over its 64-bit words, modulo 2^64. Not one change of up to 64 neighbouring bits is missed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PART = 2**15
"""Words that NumPy sums at a time: they stay in the caches."""


class QuickSum:
    """The quick sum of an array that comes in parts, each of whole 64-bit words. Without `compiled` NumPy makes it, at a fifth of
    the speed and without loading Numba."""

    def __init__(self, *, compiled: bool = True) -> None:
        self._state = np.zeros(2, np.uint64)
        self._compiled = compiled

    def update(self, array: NDArray[Any]) -> None:
        """Take in the next part."""
        words = array.reshape(-1).view(np.uint64)
        if self._compiled:
            from pipeline.matching.core.compiled import sums  # loads Numba

            if sums.JIT:
                words.flags.writeable = False  # one compiled form, for mapped arrays and others
                sums.add(words, self._state)
                return
        _add(words, self._state)

    def hexdigest(self) -> str:
        return self._state.tobytes().hex()


def _add(words: NDArray[np.uint64], state: NDArray[np.uint64]) -> None:
    """As `sums.add`."""
    weights = np.arange(PART, 0, -1, dtype=np.uint64)
    for start in range(0, len(words), PART):
        part = words[start : start + PART]
        state[1:] += state[:1] * np.uint64(len(part)) + (part * weights[PART - len(part) :]).sum()
        state[:1] += part.sum()


def quick_sum(array: NDArray[Any], *, compiled: bool = True) -> str:
    """The quick sum, hex, of an array whose bytes are a multiple of 8."""
    total = QuickSum(compiled=compiled)
    total.update(array)
    return total.hexdigest()
