"""The index on disk: a folder of immutable segments and one manifest, opened by mapping plain arrays into memory.

    manifest.json                      what this is, and the checksums of every array
    <segment>/offsets.u32   (m, 65,537)     where each bucket of each table begins
    <segment>/words.u32     (m, stride)     chunks i+1 and i+2 of each entry of table i, in bucket order
    <segment>/rows.u24      (m, 3 stride)   row of each entry
    <segment>/hashes.u16    (rows, m)       the hashes, in the bit order of `layout.py`
    <segment>/ids.i64       (rows,)         known ids; the last rows are canaries and have negative ids
    <segment>-<n>.dead      (rows / 8,)     bit map of withdrawn rows

All numbers are little-endian and every file is padded to 64 bytes. A hash of 256 bits takes 152.5 bytes at 10 million:
64 of words, 48 of rows, 32 of hash, 8 of id, and the offsets.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import files
from pipeline.errors import IntegrityError, UsageError
from pipeline.matching.core.compiled.jit import JIT, kernel
from pipeline.matching.core.index.layout import IndexForm, algorithm

FORMAT = 1
"""Version of the files' layout; an index of another version is refused."""

MANIFEST = "manifest.json"
MOST_ROWS = 2**24
"""Most rows of a segment, canaries included: rows are numbered in three bytes."""
REBUILD = "Build the index again from its release: `triage index build`."
DTYPES = {
    "offsets.u32": np.uint32,
    "words.u32": np.uint32,
    "rows.u24": np.uint8,
    "hashes.u16": np.uint16,
    "ids.i64": np.int64,
}


@dataclass(frozen=True)
class Array:
    """One file: its bytes, SHA-256 (hex), and the quick sum that is compared before first use."""

    bytes: int
    sha256: str
    sum: str


@dataclass(frozen=True)
class Segment:
    """`rows` known hashes followed by `canaries` synthetic ones; `dead` of the former are withdrawn (bit map `tombstones`)."""

    name: str
    rows: int
    canaries: int
    dead: int
    tombstones: str
    arrays: dict[str, Array]

    @property
    def total(self) -> int:
        return self.rows + self.canaries

    def check(self, form: IndexForm) -> None:
        """Raises ValueError or TypeError where the counts are impossible or an array has not the size they give it."""
        for name in ("rows", "canaries", "dead"):
            _is(getattr(self, name), int, name)
        for name in (self.name, self.tombstones):
            _is(name, str, "name")
            if Path(name).name != name or name in {"", ".", ".."}:
                raise ValueError(f"{name!r} is no name of a file here")
        if not 0 <= self.dead <= self.rows or self.canaries != form.chunks or self.total > MOST_ROWS:
            raise ValueError(f"{self.name} cannot have {self.rows} rows, {self.dead} dead, {self.canaries} canaries")
        m, total = form.chunks, self.total
        sizes = {
            "offsets.u32": m * padded(65537, 4) * 4,
            "words.u32": m * stride(total) * 4,
            "rows.u24": m * stride(total) * 3,
            "hashes.u16": padded(total * m, 2) * 2,
            "ids.i64": padded(total, 8) * 8,
            "dead": padded(-(-total // 8), 1),
        }
        found = {name: array.bytes for name, array in self.arrays.items()}
        if found != sizes:
            raise ValueError(f"the arrays of {self.name} do not have the sizes of {total} rows")


def _is(value: Any, kind: type, name: str) -> None:
    if type(value) is not kind:
        raise TypeError(f"{name} is {value!r}")


def _segment(data: dict[str, Any]) -> Segment:
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
        if not isinstance(data, dict) or type(data.get("format")) is not int or data["format"] != FORMAT:
            found = data.get("format") if isinstance(data, dict) else None
            raise IntegrityError(
                f"Index {folder.name} has format {found}; this program reads format {FORMAT}.", REBUILD
            )
        stated = data.pop("digest", "")
        if hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest() != stated:
            raise IntegrityError(f"The manifest of index {folder.name} was altered.", REBUILD)
        # Whoever can write the folder can sign a manifest again: its members are looked at one by one.
        try:
            segments = tuple(_segment(s) for s in data.pop("segments"))
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
                yield segment.tombstones if name == "dead" else f"{segment.name}/{name}", array

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
        if self.rows != sum(s.rows - s.dead for s in self.segments):
            raise ValueError(f"{self.rows} rows are not those of its segments")
        if self.bytes != sum(a.bytes for s in self.segments for a in s.arrays.values()):
            raise ValueError(f"{self.bytes} bytes are not those of its arrays")

    def write(self, folder: Path) -> Manifest:
        """Write it, last of all files, and return it as it will be read."""
        files.write_json(folder / MANIFEST, self.as_dict())
        return Manifest.read(folder)


@kernel
def _sum(words: Any, state: Any) -> None:
    """Go on with Fletcher's checksum over 64-bit words, modulo 2^64: any change of up to 64 neighbouring bits is found."""
    first, second = state[0], state[1]
    nothing = first ^ first
    whole = len(words) // 4
    # Four sums at a time: word 4 k + j is added to sum j, and sum j to its own total `whole` - k times.
    a = b = c = d = nothing
    aa = bb = cc = dd = nothing
    for k in range(whole):
        a += words[4 * k]
        b += words[4 * k + 1]
        c += words[4 * k + 2]
        d += words[4 * k + 3]
        aa += a
        bb += b
        cc += c
        dd += d
    second += first * np.uint64(4 * whole) + ((aa + bb + cc + dd) << np.uint64(2))
    second -= b + (c << np.uint64(1)) + d + (d << np.uint64(1))
    first += a + b + c + d
    for k in range(4 * whole, len(words)):
        first += words[k]
        second += first
    state[0] = first
    state[1] = second


class QuickSum:
    """The quick sum of an array that comes in parts, each of whole 64-bit words."""

    def __init__(self) -> None:
        self._state = np.zeros(2, np.uint64)

    def update(self, array: NDArray[Any]) -> None:
        """Take in the next part (about 10 GB a second)."""
        words = array.reshape(-1).view(np.uint64)
        words.flags.writeable = False  # one compiled form, for mapped arrays and others
        if JIT:
            _sum(words, self._state)
        else:
            weights = np.arange(len(words), 0, -1, dtype=np.uint64)
            self._state[1:] += self._state[:1] * np.uint64(len(words)) + (words * weights).sum()
            self._state[:1] += words.sum()

    def hexdigest(self) -> str:
        return self._state.tobytes().hex()


def quick_sum(array: NDArray[Any]) -> str:
    """The quick sum, hex, of an array whose bytes are a multiple of 8."""
    total = QuickSum()
    total.update(array)
    return total.hexdigest()


def padded(count: int, size: int) -> int:
    """The least number of entries of `size` bytes, at least `count`, that fill whole lines of 64 bytes."""
    line = 64 // np.gcd(64, size)
    return int(-(-count // line) * line)


def stride(rows: int) -> int:
    """Entries in one table: all rows, padded to whole vectors."""
    return padded(rows, 4)


def check_machine() -> None:
    """Raises UsageError on a big-endian machine, whose arrays would be read wrongly."""
    if sys.byteorder != "little":
        raise UsageError("The matching core runs on little-endian machines only.")


def map_array(path: Path, array: Array, dtype: Any) -> NDArray[Any]:
    """Map a file read-only. Raises IntegrityError when it is missing or has another length than the manifest says."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise IntegrityError(f"Index file {path.parent.name}/{path.name} is missing.", REBUILD) from None
    if size != array.bytes:
        raise IntegrityError(
            f"Index file {path.parent.name}/{path.name} has {size} bytes instead of {array.bytes}.", REBUILD
        )
    if size == 0:
        return np.empty(0, dtype)
    return np.memmap(path, dtype=dtype, mode="r")


class MappedSegment:
    """The arrays of one segment, mapped: shared between processes and read from disk as they are touched."""

    def __init__(self, folder: Path, segment: Segment, form: IndexForm) -> None:
        self.segment, self.form = segment, form
        self.folder = folder
        flat = {
            name: map_array(folder / segment.name / name, segment.arrays[name], dtype) for name, dtype in DTYPES.items()
        }
        self.dead = map_array(folder / segment.tombstones, segment.arrays["dead"], np.uint8)
        m, total = form.chunks, segment.total
        self.flat = {**flat, "dead": self.dead}
        offsets = padded(65537, 4)
        try:
            self.offsets = flat["offsets.u32"].reshape(m, offsets)[:, :65537]
            self.words = flat["words.u32"].reshape(m, stride(total))
            self.rows = flat["rows.u24"].reshape(m, 3 * stride(total))
            self.hashes = flat["hashes.u16"][: total * m].reshape(total, m)
            self.ids = flat["ids.i64"][:total]
        except ValueError as error:
            raise IntegrityError(
                f"Segment {segment.name} does not have the size its manifest says.", REBUILD
            ) from error
        if not (self.offsets[:, -1] == total).all():
            raise IntegrityError(
                f"The tables of segment {segment.name} do not hold the {total} rows its manifest says.", REBUILD
            )
        self._filled: list[NDArray[np.int64] | None] = [None] * m
        self._largest: list[int | None] = [None] * m

    def largest(self, table: int) -> int:
        """Entries in the largest bucket of a table."""
        known = self._largest[table]
        if known is None:
            known = self._largest[table] = int(np.diff(self.offsets[table].astype(np.int64)).max())
        return known

    def filled(self, table: int) -> NDArray[np.int64]:
        """Buckets of a table that hold anything, int64 ascending."""
        known = self._filled[table]
        if known is None:
            known = self._filled[table] = np.flatnonzero(np.diff(self.offsets[table].astype(np.int64)))
        return known

    def check(self) -> None:
        """Compare the quick sum of every array; raises IntegrityError naming the first that was altered."""
        for name, array in self.flat.items():
            if quick_sum(np.asarray(array)) != self.segment.arrays[name].sum:
                raise IntegrityError(f"Array {name} of segment {self.segment.name} was altered.", REBUILD)


class Index:
    """A known-hash index: `manifest`, `form` (its algorithm) and the mapped `segments`. Made by `open_index`."""

    def __init__(self, folder: Path) -> None:
        check_machine()
        self.folder = folder
        self.manifest = Manifest.read(folder)
        self.form = algorithm(self.manifest.algorithm)
        self.segments = [MappedSegment(folder, s, self.form) for s in self.manifest.segments]
        self._checked = False

    @property
    def rows(self) -> int:
        """Known hashes that are not withdrawn."""
        return self.manifest.rows

    def ensure_checked(self) -> None:
        """Compare all quick sums once in the life of this object: nothing altered is ever matched against."""
        if not self._checked:
            for segment in self.segments:
                segment.check()
            self._checked = True

    def verify(self) -> int:
        """Read every file and compare its SHA-256; returns the bytes read. Raises IntegrityError for an altered one."""
        read = 0
        for place, array in self.manifest.listed():
            if files.sha256(self.folder / place) != array.sha256:
                raise IntegrityError(f"Index file {place} was altered: its SHA-256 differs.", REBUILD)
            read += array.bytes
        return read


def open_index(folder: Path) -> Index:
    """Open an index by mapping it; takes milliseconds, whatever its size.

    Raises UsageError when there is none; IntegrityError for another format version, an altered manifest, and files
    that are missing or have another length. Altered content is found before its first use, see `Index.ensure_checked`.
    """
    return Index(Path(folder))
