"""The index on disk: a folder of immutable segments and one manifest, opened by mapping plain arrays into memory.

    manifest.json                      what this is, and the checksums of every array
    <segment>/offsets.u32   (m, 65,537)     where each bucket of each table begins
    <segment>/words.u32     (m, stride)     chunks i+1 and i+2 of each entry of table i, in bucket order
    <segment>/rows.u24      (m, 3 stride)   row of each entry
    <segment>/hashes.u16    (rows, m)       the hashes, in the bit order of `layout.py`
    <segment>/ids.i64       (rows,)         known ids; the last rows are canaries and have negative ids
    <segment>-<n>.dead      (rows / 8,)     bit map of withdrawn rows

A segment of shared hashes (`shared.py`) has numbers instead of known ids, counted through all such segments, and besides:

    <segment>/starts.i64    (rows + 1,)     where the ids of each hash begin
    <segment>/holders.i64   (holders,)      the ids of the known media that have the hash, ascending
    <segment>-<n>.gone      (holders / 8,)  bit map of withdrawn ids

All numbers are little-endian and every file is padded to 64 bytes. A hash of 256 bits takes 152.5 bytes at 10 million:
64 of words, 48 of rows, 32 of hash, 8 of id, and the offsets.
"""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import files
from pipeline.errors import IntegrityError, UsageError
from pipeline.matching.core.index.checksum import quick_sum
from pipeline.matching.core.index.layout import IndexForm, algorithm
from pipeline.matching.core.index.manifest import CHANGING, REBUILD, Array, Manifest, Segment, padded, stride

DTYPES = {
    "offsets.u32": np.uint32,
    "words.u32": np.uint32,
    "rows.u24": np.uint8,
    "hashes.u16": np.uint16,
    "ids.i64": np.int64,
}
SHARED_DTYPES = {"starts.i64": np.int64, "holders.i64": np.int64}


def check_machine() -> None:
    """Raises UsageError on a big-endian machine, whose arrays would be read wrongly."""
    if sys.byteorder != "little":
        raise UsageError("The matching core runs on little-endian machines only.")


def map_array(path: Path, array: Array, dtype: Any) -> NDArray[Any]:
    """Map a file read-only. Raises IntegrityError when it is missing or has another length than the manifest says."""
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        raise IntegrityError(f"Index file {path.parent.name}/{path.name} is missing.", REBUILD) from None
    if size != array.bytes:
        raise IntegrityError(
            f"Index file {path.parent.name}/{path.name} has {size} bytes instead of {array.bytes}.", REBUILD
        )
    if size == 0:
        return np.empty(0, dtype)
    return np.memmap(path, dtype=dtype, mode="r")


class Holders:
    """The ids of the shared hashes of a segment: those of row k, ascending, begin at `starts`[k] of `ids`; `bits` tells the withdrawn."""

    def __init__(self, flat: dict[str, NDArray[Any]], bits: dict[str, NDArray[Any]], segment: Segment) -> None:
        self.starts = flat["starts.i64"][: segment.rows + 1]
        self.ids = flat["holders.i64"][: segment.holders]
        self.bits = bits["gone"]
        self._segment = segment

    def check(self) -> None:
        """Raises IntegrityError unless every id belongs to one hash."""
        starts = self.starts
        if starts[0] != 0 or starts[-1] != len(self.ids) or (np.diff(starts) < 1).any():
            raise IntegrityError(
                f"The ids of the shared hashes of segment {self._segment.name} have no order.", REBUILD
            )

    @property
    def gone(self) -> NDArray[np.bool_]:
        """Which ids are withdrawn."""
        return np.unpackbits(np.asarray(self.bits), count=len(self.ids), bitorder="little").astype(bool)

    def in_force(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`starts` int64 (rows + 1,) and ids int64 of what is not withdrawn."""
        if not self._segment.gone:
            return self.starts, self.ids
        left = ~self.gone
        before = np.concatenate([[0], np.cumsum(left)])
        return before[self.starts], self.ids[left]


class MappedSegment:
    """The arrays of one segment, mapped: shared between processes and read from disk as they are touched."""

    def __init__(self, folder: Path, segment: Segment, form: IndexForm) -> None:
        self.segment, self.form = segment, form
        self.folder = folder
        dtypes = {**DTYPES, **(SHARED_DTYPES if segment.holders else {})}
        flat = {
            name: map_array(folder / segment.place(name), segment.arrays[name], dtype) for name, dtype in dtypes.items()
        }
        bits = {
            name: map_array(folder / segment.place(name), segment.arrays[name], np.uint8)
            for name in CHANGING
            if name in segment.arrays
        }
        self.dead = bits["dead"]
        m, total = form.chunks, segment.total
        self.flat = {**flat, **bits}
        offsets = padded(65537, 4)
        try:
            self.offsets = flat["offsets.u32"].reshape(m, offsets)[:, :65537]
            self.words = flat["words.u32"].reshape(m, stride(total))
            self.rows = flat["rows.u24"].reshape(m, 3 * stride(total))
            self.hashes = flat["hashes.u16"][: total * m].reshape(total, m)
            self.ids = flat["ids.i64"][:total]
            self.holders = Holders(flat, bits, segment) if segment.holders else None
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

    def check(self, *, compiled: bool = True) -> None:
        """Compare the quick sum of every array; raises IntegrityError naming the first that was altered."""
        for name, array in self.flat.items():
            if quick_sum(np.asarray(array), compiled=compiled) != self.segment.arrays[name].sum:
                raise IntegrityError(f"Array {name} of segment {self.segment.name} was altered.", REBUILD)
        if self.holders is not None:
            self.holders.check()


class Index:
    """A known-hash index: `manifest`, `form` (its algorithm) and the mapped `segments`. Made by `open_index`."""

    def __init__(self, folder: Path) -> None:
        check_machine()
        self.folder = folder
        self.manifest = Manifest.read(folder)
        self.form = algorithm(self.manifest.algorithm)
        self.segments = [MappedSegment(folder, s, self.form) for s in self.manifest.segments]
        self.plain = [s for s in self.segments if s.holders is None]
        self.shared = [s for s in self.segments if s.holders is not None]
        self._checked = False

    @property
    def rows(self) -> int:
        """Known hashes that are not withdrawn."""
        return self.manifest.rows

    @cached_property
    def held(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The ids of all shared hashes that are in force: those of number k begin at `starts`[k], int64 (k + 1,), of ids, int64."""
        parts = [s.holders.in_force() for s in self.segments if s.holders is not None]
        if len(parts) == 1:
            return parts[0]
        ends = np.cumsum([0, *(len(ids) for _, ids in parts)])
        starts = [starts[:-1] + end for (starts, _), end in zip(parts, ends[:-1], strict=True)]
        return np.concatenate([*starts, ends[-1:]]), np.concatenate([ids for _, ids in parts])

    def ensure_checked(self, *, compiled: bool = True) -> None:
        """Compare all quick sums once in the life of this object: nothing altered is ever matched against.

        Without `compiled` they are made by NumPy, which for a small index takes less time than loading a kernel.
        """
        if not self._checked:
            for segment in self.segments:
                segment.check(compiled=compiled)
            numbered = 0
            for segment in self.shared:
                rows = segment.segment.rows
                if not (segment.ids[:rows] == np.arange(numbered, numbered + rows)).all():
                    raise IntegrityError(
                        f"The shared hashes of segment {segment.segment.name} are not counted on.", REBUILD
                    )
                numbered += rows
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
