"""The manifest of an index: what its segments hold, and the checksums by which every file is known again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import files
from pipeline.errors import IntegrityError, UsageError
from pipeline.matching.core.index import canaries
from pipeline.matching.core.index.layout import IndexForm, algorithm
from pipeline.matching.core.index.reduced import BLOCK, MARKED, span

FORMAT = 4
"""Version of the files' layout that is written."""
READ = frozenset({1, 2, 3, FORMAT})
"""Versions that are read. Segments of the first two keep rows in three bytes, hashes whole and ids in eight bytes, which one of a later
version may share; the first has no segments of shared hashes; the first three have no groups. Others are refused."""

MANIFEST = "manifest.json"
MOST_ROWS = 2**24
"""Most rows of a segment, canaries included: rows are numbered in three bytes."""
NAMES = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
"""Names of segments and of their bit maps: files in the folder of the index, of any system."""
CHANGING = ("dead", "gone")
"""Arrays that an extension writes anew: bit maps of withdrawn rows, and of withdrawn ids of shared hashes."""
REBUILD = "Build the index again from its release: `triage index build`."


def padded(count: int, size: int) -> int:
    """The least number of entries of `size` bytes, at least `count`, that fill whole lines of 64 bytes."""
    line = 64 // np.gcd(64, size)
    return int(-(-count // line) * line)


def stride(entries: int) -> int:
    """Entries in one table, padded to whole vectors."""
    return padded(entries, 4)


def highs_stride(entries: int, span: int) -> int:
    """Bytes of the bits that tell the rows of one table, and eight more, so that eight can be read from any bit on."""
    return padded((entries + 65536 * span + 7) // 8 + 8, 1)


def marks_stride(entries: int) -> int:
    """Noted places of one table."""
    return padded(-(-entries // MARKED), 4)


GROUP_CHUNKS, TILE = 16, 32
"""Chunks of the hashes that are ever in groups, and places of a tile."""


def group_sizes(groups: int, tiles: int) -> dict[str, int]:
    """Bytes of the arrays of groups, see `groups/stored.py`."""
    return {
        "firsts.u32": padded(groups + 1, 4) * 4,
        "centres.u32": padded(GROUP_CHUNKS // 2 * groups, 4) * 4,
        "reach.u16": padded(groups, 2) * 2,
        "tiles.u16": GROUP_CHUNKS * TILE * tiles * 2,
        "members.u32": TILE * tiles * 4,
        "holds.i64": TILE * tiles * 8,
    }


@dataclass(frozen=True)
class Array:
    """One file: its bytes, SHA-256 (hex), and the quick sum that is compared before first use."""

    bytes: int
    sha256: str
    sum: str


@dataclass(frozen=True)
class Segment:
    """`rows` hashes followed by `canaries` synthetic ones; `dead` of the former are withdrawn (bit map `tombstones`).

    In a plain segment a row is one known media item. In a segment of shared hashes (`shared.py`) it is a hash with a list of
    ids: `holders` are the ids of all its rows, of which `gone` are withdrawn; both are 0 in a plain one.
    `grouped` rows, canaries included, are in no table but in `groups` of `tiles` (`groups/stored.py`); all three may be 0.
    """

    name: str
    rows: int
    canaries: int
    dead: int
    tombstones: str
    arrays: dict[str, Array]
    holders: int
    gone: int
    groups: int
    grouped: int
    tiles: int

    @property
    def total(self) -> int:
        return self.rows + self.canaries

    @property
    def entries(self) -> int:
        """Rows that are in the tables."""
        return self.total - self.grouped

    @property
    def whole(self) -> bool:
        """Whether it is of the first two formats."""
        return "rows.u24" in self.arrays

    @property
    def known(self) -> int:
        """Pairs of a known media item and a hash that are in force."""
        return self.holders - self.gone if self.holders else self.rows - self.dead

    @property
    def alike(self) -> int:
        """Known hashes that are in groups of near-identical ones, withdrawn ones among them."""
        return self.grouped - canaries.GROUPED if self.groups else 0

    def place(self, array: str) -> str:
        """Path of an array below the folder of the index; the bit maps of what is withdrawn lie beside the segment."""
        if array in CHANGING:
            return Path(self.tombstones).with_suffix(f".{array}").name
        return f"{self.name}/{array}"

    def check(self, form: IndexForm) -> None:
        """Raises ValueError or TypeError where the counts are impossible or an array has not the size they give it."""
        for name in ("rows", "canaries", "dead", "holders", "gone", "groups", "grouped", "tiles"):
            _is(getattr(self, name), int, name)
        for name in (self.name, self.tombstones):
            _is(name, str, "name")
            if not NAMES.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a file here")
        own = form.chunks + (canaries.GROUPED if self.groups else 0)
        if not 0 <= self.dead <= self.rows or self.canaries != own or self.total > MOST_ROWS:
            raise ValueError(f"{self.name} cannot have {self.rows} rows, {self.dead} dead, {self.canaries} canaries")
        if not 0 <= self.gone <= self.holders <= MOST_ROWS or (self.holders and self.holders < self.rows):
            raise ValueError(f"{self.name} cannot have {self.holders} ids, {self.gone} gone, of {self.rows} hashes")
        self._check_groups(form)
        m, total, entries = form.chunks, self.total, self.entries
        sizes = {
            "offsets.u32": m * padded(65537, 4) * 4,
            "words.u32": m * stride(entries) * 4,
            "dead": padded(-(-total // 8), 1),
        }
        if self.whole:
            sizes["rows.u24"] = m * stride(total) * 3
            sizes["hashes.u16"] = padded(total * m, 2) * 2
            sizes["ids.i64"] = padded(total, 8) * 8
        else:
            sizes["rows.u16"] = m * stride(entries) * 2
            sizes["highs.u8"] = m * highs_stride(entries, span(total))
            sizes["marks.u32"] = m * marks_stride(entries) * 4
            # One more, because a hash is read with whole vectors.
            sizes["reduced.u16"] = padded((total + 1) * (m - 3) + 3, 2) * 2
            sizes["blocks.i64"] = padded(2 * -(-total // BLOCK), 8) * 8
            # How many bytes ids take follows from the blocks, which `MappedSegment.check` looks at.
            short = self.arrays["ids.u8"].bytes
            sizes["ids.u8"] = short if 0 < short <= padded(8 * total + 8, 1) and short % 64 == 0 else -1
        if self.groups:
            sizes |= group_sizes(self.groups, self.tiles)
        if self.holders:
            sizes["starts.i64"] = padded(self.rows + 1, 8) * 8
            sizes["holders.i64"] = padded(self.holders, 8) * 8
            sizes["gone"] = padded(-(-self.holders // 8), 1)
        found = {name: array.bytes for name, array in self.arrays.items()}
        if found != sizes:
            raise ValueError(f"the arrays of {self.name} do not have the sizes of {total} rows")

    def _check_groups(self, form: IndexForm) -> None:
        """Raises ValueError where the counts of groups are impossible."""
        counts = self.groups, self.grouped, self.tiles
        possible = 0 < self.groups <= self.tiles <= self.grouped < self.total and self.grouped <= TILE * self.tiles
        if any(counts) and not (possible and form.chunks == GROUP_CHUNKS and not self.whole):
            raise ValueError(f"{self.name} cannot have {counts[1]} rows in {counts[0]} groups of {counts[2]} tiles")


def _is(value: Any, kind: type, name: str) -> None:
    if type(value) is not kind:
        raise TypeError(f"{name} is {value!r}")


def _segment(data: dict[str, Any], version: int) -> Segment:
    if version < 3 and "rows.u24" not in data["arrays"]:
        raise ValueError(f"a segment of format {version} has rows in three bytes")
    for first, members in ((2, ("holders", "gone")), (4, ("groups", "grouped", "tiles"))):
        if version < first:
            data = {**data, **dict.fromkeys(members, 0)} if members[0] not in data else {}
    arrays = {name: Array(**array) for name, array in data["arrays"].items()}
    for array in arrays.values():
        for value, kind in ((array.bytes, int), (array.sha256, str), (array.sum, str)):
            _is(value, kind, "member of an array")
    return Segment(**{**data, "arrays": arrays})


@dataclass(frozen=True)
class Manifest:
    """What an index holds. `rows` counts known hashes that are not withdrawn, `bytes` all of its files."""

    algorithm: str
    hasher_version: str
    release: str
    rows: int
    bytes: int
    segments: tuple[Segment, ...]
    format: int = FORMAT
    digest: str = field(default="", compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with `digest` the SHA-256 of all the others."""
        data = asdict(self)
        data["segments"] = [asdict(s) for s in self.segments]
        data.pop("digest")
        return {**data, "digest": hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()}

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read and check `folder`/manifest.json.

        Raises UsageError when there is no index, IntegrityError when it is of another version, cut short or altered.
        """
        path = folder / MANIFEST
        try:
            data = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise UsageError(f"There is no index in {folder.name}.", REBUILD) from None
        except ValueError as error:
            raise IntegrityError(f"The manifest of index {folder.name} is not JSON: it is damaged.", REBUILD) from error
        if not isinstance(data, dict) or type(data.get("format")) is not int or data["format"] not in READ:
            found = data.get("format") if isinstance(data, dict) else None
            raise IntegrityError(
                f"Index {folder.name} has format {found}; this program reads format {FORMAT}.", REBUILD
            )
        stated = data.pop("digest", "")
        if hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest() != stated:
            raise IntegrityError(f"The manifest of index {folder.name} was altered.", REBUILD)
        # Whoever can write the folder can sign a manifest again: its members are looked at one by one.
        try:
            segments = tuple(_segment(s, data["format"]) for s in data.pop("segments"))
            manifest = cls(**data, segments=segments, digest=stated)
            manifest.check()
        except (TypeError, KeyError, AttributeError, ValueError, UsageError) as error:
            raise IntegrityError(
                f"The manifest of index {folder.name} says what cannot be: {type(error).__name__}: {error}.", REBUILD
            ) from error
        return manifest

    def listed(self) -> Iterator[tuple[str, Array]]:
        """Every array with its path below the folder of the index."""
        for segment in self.segments:
            for name, array in segment.arrays.items():
                yield segment.place(name), array

    def check(self) -> None:
        """Raises ValueError, TypeError or UsageError where members contradict each other or are of another type."""
        form = algorithm(self.algorithm)
        for name in ("algorithm", "hasher_version", "release"):
            _is(getattr(self, name), str, name)
        for name in ("rows", "bytes"):
            _is(getattr(self, name), int, name)
        if len({s.name for s in self.segments}) != len(self.segments) or not self.segments:
            raise ValueError("its segments are none, or two have one name")
        for segment in self.segments:
            segment.check(form)
        if self.rows != sum(s.known for s in self.segments):
            raise ValueError(f"{self.rows} rows are not those of its segments")
        if self.bytes != sum(a.bytes for s in self.segments for a in s.arrays.values()):
            raise ValueError(f"{self.bytes} bytes are not those of its arrays")

    def write(self, folder: Path) -> Manifest:
        """Write it, last of all files, and return it as it will be read."""
        files.write_json(folder / MANIFEST, self.as_dict())
        return Manifest.read(folder)
