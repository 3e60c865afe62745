"""The algorithms: one table with name, length and version. Hashes of different versions are never compared.

Raise a version when the same file may give another value: a change in the canonical form (planes.py), in the hash, or in
a decoder that the golden tests notice. A perceptual hash that arrives from outside counts as the version that its
publishers define, which ours reproduces.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pipeline.errors import UsageError


@dataclass(frozen=True)
class Algorithm:
    """One digest or perceptual hash, as every room knows it.

    `label` is what people read. `width` in bytes. `empty` is the digest of a file with no bytes: it says nothing about a file, so it never matches
    and never links. `near` hashes are searched within a distance by an index; the others are compared as equal or not.
    `computed` ones have a column of their name in the record type `fingerprints`; `stated` ones may come with a referral.
    """

    name: str
    label: str
    width: int
    version: str
    empty: bytes | None = None
    near: bool = False
    computed: bool = True
    stated: bool = False

    @property
    def digest(self) -> bool:
        """Whether equal values mean equal bytes of the file."""
        return self.empty is not None

    @property
    def bits(self) -> int:
        return self.width * 8


def _digest(name: str, label: str, version: str) -> Algorithm:
    empty = hashlib.new(name, usedforsecurity=False).digest()
    return Algorithm(name, label, len(empty), version, empty=empty, stated=True)


ALGORITHMS: dict[str, Algorithm] = {
    a.name: a
    for a in (
        _digest("sha256", "SHA-256", "fips180-4"),
        _digest("sha1", "SHA-1", "fips180-4"),
        _digest("md5", "MD5", "rfc1321"),
        Algorithm("photodna", "PhotoDNA", 144, "external", computed=False),
        Algorithm("pdq", "PDQ", 32, "pdq-1", near=True, stated=True),
        Algorithm("phash256", "pHash", 32, "imagehash-4", near=True),
        Algorithm("phash64", "pHash (64 bits)", 8, "imagehash-4", near=True),
        Algorithm("dhash64", "dHash", 8, "imagehash-4", near=True),
    )
}
"""Strongest digest first. A further algorithm is one line here, one column where it is computed or stated, and what the
tests then ask for (docs/extending.md)."""

DIGESTS = tuple(a.name for a in ALGORITHMS.values() if a.digest)
"""Names of the digests, strongest first."""

PERCEPTUAL = tuple(a.name for a in ALGORITHMS.values() if not a.digest)
COMPUTED = tuple(a.name for a in ALGORITHMS.values() if a.computed)
INDEXED = tuple(a.name for a in ALGORITHMS.values() if a.near)
"""Names of the hashes that are searched within a distance, the widest first."""

EXCHANGED = (*reversed(DIGESTS), *PERCEPTUAL)
"""All names in the order in which files of the field list them: MD5 first."""

STATED = {name: ALGORITHMS[name].width for name in EXCHANGED if ALGORITHMS[name].stated}
"""Hashes that a referral may state of a file, with their length in bytes."""

EMPTY_FILE: dict[str, bytes] = {a.name: a.empty for a in ALGORITHMS.values() if a.empty is not None}
"""Digests of a file with no bytes: in a hash set they would match every empty file (IPED keeps the same list)."""

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
    perceptual = {ALGORITHMS[name].version for name in PERCEPTUAL if ALGORITHMS[name].computed}
    return "+".join([CANONICAL, *sorted(perceptual)])


def comparable(name: str, version: str, other: str) -> bool:
    """Whether two values of an algorithm, made by these versions, may be compared."""
    return version == other and name in ALGORITHMS
