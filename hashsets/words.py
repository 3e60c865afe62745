"""Values of many hashes to the 64-bit words that store tables hold them as (`algorithms.py`), and back."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from hashsets.algorithms import StoredHash


@cache
def _mix() -> NDArray[np.uint64]:
    """Odd factors, uint64 (2, 18). Made when first needed: NumPy's random numbers are slow to load."""
    drawn = np.random.default_rng(0x5EED).integers(1, 2**63, size=(2, 18), dtype=np.uint64)
    return drawn * np.uint64(2) + np.uint64(1)


def to_words(algorithm: StoredHash, values: NDArray[np.uint8]) -> list[NDArray[np.uint64]]:
    """Word columns of values given as uint8 of shape (n, width); each column is uint64 of shape (n,).

    The words of an opaque value are two multiply-add mixes of its eighteen 64-bit words: equal values give equal
    words, and equality is always confirmed on the bytes.
    """
    n = values.shape[0]
    if algorithm.opaque:
        wide = np.ascontiguousarray(values).view(">u8").reshape(n, algorithm.width // 8).astype(np.uint64)
        return [(wide * row).sum(axis=1, dtype=np.uint64) for row in _mix()]
    padded = np.zeros((n, algorithm.words * 8), np.uint8)
    whole = (algorithm.width // 8) * 8
    padded[:, :whole] = values[:, :whole]
    rest = algorithm.width - whole
    if rest:
        padded[:, whole + 8 - rest :] = values[:, whole:]
    wide = padded.view(">u8").reshape(n, algorithm.words)
    return [wide[:, i].astype(np.uint64) for i in range(algorithm.words)]


def from_words(algorithm: StoredHash, words: list[NDArray[np.uint64]]) -> NDArray[np.uint8]:
    """The inverse of `to_words` for algorithms that are not opaque: uint8 of shape (n, width)."""
    n = len(words[0])
    padded = np.stack(words, axis=1).astype(">u8").view(np.uint8).reshape(n, algorithm.words * 8)
    whole = (algorithm.width // 8) * 8
    rest = algorithm.width - whole
    if not rest:
        return np.ascontiguousarray(padded)
    return np.ascontiguousarray(np.concatenate([padded[:, :whole], padded[:, whole + 8 - rest :]], axis=1))
