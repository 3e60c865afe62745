"""Hash algorithms of the known-hash store: width, and how a store table holds one.

A value of `width` bytes is held as big-endian 64-bit words (the last one shorter, right-aligned), because DuckDB
compares integers, not strings, in a join: 1 M SHA-1 against 50 M rows takes under one core-second that way.
PhotoDNA (144 bytes, opaque: compared as equal or not, never computed) is held as its bytes beside two mixing words.
`words.py` makes them.
"""

from __future__ import annotations

from dataclasses import dataclass

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
