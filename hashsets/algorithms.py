"""Hash algorithms of the known-hash store: width, how a store table holds one, and values that must never be taken in.

A value of `width` bytes is held as big-endian 64-bit words (the last one shorter, right-aligned), because DuckDB
compares integers, not strings, in a join: 1 M SHA-1 against 50 M rows takes under one core-second that way.
PhotoDNA (144 bytes, opaque: compared as equal or not, never computed) is held as its bytes beside two mixing words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.algorithms import ALGORITHMS


@dataclass(frozen=True)
class StoredHash:
    """How the store holds one algorithm of `pipeline/algorithms.py`. `words` is the number of 64-bit columns; `opaque`
    values also keep their bytes; `indexed` ones have a matching index."""

    name: str
    width: int
    digest: bool
    opaque: bool
    indexed: bool

    @property
    def words(self) -> int:
        return 2 if self.opaque else -(-self.width // 8)

    @property
    def columns(self) -> list[str]:
        """Names of the word columns in staged rows, for example sha1_0, sha1_1, sha1_2."""
        return [f"{self.name}_{i}" for i in range(self.words)]

    @property
    def table(self) -> str:
        """The store table that holds values of this algorithm."""
        return f"hash_{self.name}"


ALL = tuple(
    StoredHash(a.name, a.width, digest=a.digest, opaque=not a.computed, indexed=a.near) for a in ALGORITHMS.values()
)
"""Strongest first: the order in which a row's identity is decided."""

BY_NAME = {a.name: a for a in ALL}
DIGESTS = tuple(a for a in ALL if a.digest)
PERCEPTUAL = tuple(a for a in ALL if not a.digest)

_MIX = np.random.default_rng(0x5EED).integers(1, 2**63, size=(2, 18), dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def to_words(algorithm: StoredHash, values: NDArray[np.uint8]) -> list[NDArray[np.uint64]]:
    """Word columns of values given as uint8 of shape (n, width); each column is uint64 of shape (n,).

    The words of an opaque value are two multiply-add mixes of its eighteen 64-bit words: equal values give equal
    words, and equality is always confirmed on the bytes.
    """
    n = values.shape[0]
    if algorithm.opaque:
        wide = np.ascontiguousarray(values).view(">u8").reshape(n, algorithm.width // 8).astype(np.uint64)
        return [(wide * row).sum(axis=1, dtype=np.uint64) for row in _MIX]
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
