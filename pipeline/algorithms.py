"""The algorithms: one table with name, length and version. Hashes of different versions are never compared.

Raise a version when the same file may give another value: a change in the canonical form (planes.py), in the hash, or in
a decoder that the golden tests notice. A perceptual hash that arrives from outside counts as the version that its
publishers define, which ours reproduces.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import UsageError


@dataclass(frozen=True)
class Algorithm:
    """`bits` of the hash; `column` in the record type `fingerprints`, if we compute it; `perceptual` hashes have distances."""

    name: str
    bits: int
    version: str
    perceptual: bool
    computed: bool = True

    @property
    def bytes(self) -> int:
        return self.bits // 8


ALGORITHMS: dict[str, Algorithm] = {
    a.name: a
    for a in (
        Algorithm("md5", 128, "rfc1321", perceptual=False),
        Algorithm("sha1", 160, "fips180-4", perceptual=False),
        Algorithm("sha256", 256, "fips180-4", perceptual=False),
        Algorithm("pdq", 256, "pdq-1", perceptual=True),
        Algorithm("phash256", 256, "imagehash-4", perceptual=True),
        Algorithm("phash64", 64, "imagehash-4", perceptual=True),
        Algorithm("dhash64", 64, "imagehash-4", perceptual=True),
        Algorithm("photodna", 1152, "external", perceptual=True, computed=False),
    )
}
CANONICAL = "canonical-1"
"""Version of the rules that turn a file into the plane that is hashed (planes.py)."""


def version_of(name: str) -> str:
    """Version of an algorithm. Raises UsageError for a name that is not in the table."""
    try:
        return ALGORITHMS[name].version
    except KeyError:
        raise UsageError(f"There is no algorithm {name!r}.", f"Known: {', '.join(ALGORITHMS)}.") from None


def algorithm_version() -> str:
    """Version of everything that decides a fingerprint's perceptual hashes: what a row of `fingerprints` carries."""
    perceptual = {a.version for a in ALGORITHMS.values() if a.perceptual and a.computed}
    return "+".join([CANONICAL, *sorted(perceptual)])


def comparable(name: str, version: str, other: str) -> bool:
    """Whether two values of an algorithm, made by these versions, may be compared."""
    return version == other and name in ALGORITHMS
