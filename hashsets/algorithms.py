"""Hash algorithms of the known-hash store: width, how a store table holds one, and values that must never be taken in.

A value of `width` bytes is held as big-endian 64-bit words (the last one shorter, right-aligned), because DuckDB
compares integers, not strings, in a join: 1 M SHA-1 against 50 M rows takes under one core-second that way.
PhotoDNA (144 bytes, opaque: compared as equal or not, never computed) is held as its bytes beside two mixing words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Algorithm:
    """One kind of hash. `words` is the number of 64-bit columns; `opaque` values also keep their bytes."""

    name: str
    width: int
    digest: bool = False
    opaque: bool = False
    indexed: bool = False

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


ALL = (
    Algorithm("sha256", 32, digest=True),
    Algorithm("sha1", 20, digest=True),
    Algorithm("md5", 16, digest=True),
    Algorithm("photodna", 144, opaque=True),
    Algorithm("pdq", 32, indexed=True),
    Algorithm("phash256", 32, indexed=True),
    Algorithm("phash64", 8, indexed=True),
    Algorithm("dhash64", 8, indexed=True),
)
"""Strongest first: the order in which a row's identity is decided."""

BY_NAME = {a.name: a for a in ALL}
DIGESTS = tuple(a for a in ALL if a.digest)
PERCEPTUAL = tuple(a for a in ALL if not a.digest)

EMPTY_FILE = {
    "md5": bytes.fromhex("d41d8cd98f00b204e9800998ecf8427e"),
    "sha1": bytes.fromhex("da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    "sha256": bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
}
"""Digests of a file with no bytes: in a hash set they would match every empty file (IPED keeps the same list)."""

_MIX = np.random.default_rng(0x5EED).integers(1, 2**63, size=(2, 18), dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def to_words(algorithm: Algorithm, values: NDArray[np.uint8]) -> list[NDArray[np.uint64]]:
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


def from_words(algorithm: Algorithm, words: list[NDArray[np.uint64]]) -> NDArray[np.uint8]:
    """The inverse of `to_words` for algorithms that are not opaque: uint8 of shape (n, width)."""
    n = len(words[0])
    padded = np.stack(words, axis=1).astype(">u8").view(np.uint8).reshape(n, algorithm.words * 8)
    whole = (algorithm.width // 8) * 8
    rest = algorithm.width - whole
    if not rest:
        return np.ascontiguousarray(padded)
    return np.ascontiguousarray(np.concatenate([padded[:, :whole], padded[:, whole + 8 - rest :]], axis=1))
