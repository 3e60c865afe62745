"""The index on disk: a folder of immutable segments and one manifest, opened by mapping plain arrays into memory.

    manifest.json                      what this is, and the checksums of every array
    <segment>/offsets.u32   (m, 65,537)     where each bucket of each table begins
    <segment>/words.u32     (m, stride)     chunks i+1 and i+2 of each entry of table i, in bucket order
    <segment>/rows.u16      (m, stride)     row of each entry, the low 16 bits
    <segment>/highs.u8      (m, bytes)      the other bits of the rows, see `reduced.py`
    <segment>/marks.u32     (m, rows / 256) where every 256th of those is
    <segment>/reduced.u16   (rows, m - 3)   the hashes, in the bit order of `bitorder.py`, without what their place in a table says
    <segment>/blocks.i64    (rows / 256, 2) the least known id of every 256 rows, and where and how long the others are
    <segment>/ids.u8        (bytes,)        known ids beyond it; the last rows are canaries and have negative ids
    <segment>-<n>.dead      (rows / 8,)     bit map of withdrawn rows

A segment of shared hashes (`shared.py`) has numbers instead of known ids, counted through all such segments, and besides:

    <segment>/starts.i64    (rows + 1,)     where the ids of each hash begin
    <segment>/holders.i64   (holders,)      the ids of the known media that have the hash, ascending
    <segment>-<n>.gone      (holders / 8,)  bit map of withdrawn ids

A segment with groups of near-identical hashes has the arrays of `groups/stored.py` besides, and its tables hold the other rows only.
Segments of the first two formats have instead, and are read as they are:

    <segment>/rows.u24      (m, 3 stride)   row of each entry
    <segment>/hashes.u16    (rows, m)       the hashes
    <segment>/ids.i64       (rows,)         known ids

All numbers are little-endian and every file is padded to 64 bytes. A hash of 256 bits takes 128 bytes at 10 million:
64 of words, 36 of rows, 26 of hash, about 1 of id where ids ascend, and the offsets.
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
from pipeline.matching.core.groups.stored import DTYPES as GROUP_DTYPES
from pipeline.matching.core.groups.stored import MappedGroups
from pipeline.matching.core.index.checksum import quick_sum
from pipeline.matching.core.index.layout import IndexForm, algorithm
from pipeline.matching.core.index.manifest import (
    CHANGING,
    REBUILD,
    Array,
    Manifest,
    Segment,
    highs_stride,
    marks_stride,
    padded,
    stride,
)
from pipeline.matching.core.index.reduced import (
    BLOCK,
    GROUP,
    ids_of,
    kept_lanes,
    places,
    recipe,
    restored,
    span,
    with_last,
)

TABLES = {"offsets.u32": np.uint32, "words.u32": np.uint32}
DTYPES = {
    "rows.u16": np.uint8,
    "highs.u8": np.uint8,
    "marks.u32": np.uint32,
    "reduced.u16": np.uint16,
    "blocks.i64": np.int64,
    "ids.u8": np.uint8,
}
WHOLE_DTYPES = {"rows.u24": np.uint8, "hashes.u16": np.uint16, "ids.i64": np.uint8}
SHARED_DTYPES = {"starts.i64": np.int64, "holders.i64": np.int64}


def check_machine() -> None:
    """Raises UsageError on a big-endian machine, whose arrays would be read wrongly."""
    if sys.byteorder != "little":
        raise UsageError("The matching core runs on little-endian machines only.")


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """The array, not to be written to: as mapped ones are, so that kernels have one form."""
    array.flags.writeable = False
    return array


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


STEP = 2**14
"""Rows whose ids are read at a time."""


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
        dtypes = {
            **TABLES,
            **(WHOLE_DTYPES if segment.whole else DTYPES),
            **(SHARED_DTYPES if segment.holders else {}),
            **(GROUP_DTYPES if segment.groups else {}),
        }
        flat = {
            name: map_array(folder / segment.place(name), segment.arrays[name], dtype) for name, dtype in dtypes.items()
        }
        bits = {
            name: map_array(folder / segment.place(name), segment.arrays[name], np.uint8)
            for name in CHANGING
            if name in segment.arrays
        }
        self.dead = bits["dead"]
        m = form.chunks
        self.flat = {**flat, **bits}
        offsets = padded(65537, 4)
        try:
            self.offsets = flat["offsets.u32"].reshape(m, offsets)[:, :65537]
            self.words = flat["words.u32"].reshape(m, stride(segment.entries))
            if segment.whole:
                self._take_whole(flat)
            else:
                self._take(flat)
            self.holders = Holders(flat, bits, segment) if segment.holders else None
            self.groups = MappedGroups(self.flat, segment) if segment.groups else None
        except ValueError as error:
            raise IntegrityError(
                f"Segment {segment.name} does not have the size its manifest says.", REBUILD
            ) from error
        if not (self.offsets[:, -1] == segment.entries).all():
            raise IntegrityError(
                f"The tables of segment {segment.name} do not hold the {segment.entries} rows its manifest says.",
                REBUILD,
            )
        self._filled: list[NDArray[np.int64] | None] = [None] * m
        self._largest: list[int | None] = [None] * m

    def _take(self, flat: dict[str, NDArray[Any]]) -> None:
        m, total, entries = self.form.chunks, self.segment.total, self.segment.entries
        self.span = span(total)
        self.rows = flat["rows.u16"].reshape(m, 2 * stride(entries))
        self.highs = flat["highs.u8"].reshape(m, highs_stride(entries, self.span))
        self.marks = flat["marks.u32"].reshape(m, marks_stride(entries))
        self.hashes = flat["reduced.u16"][: total * (m - 3)].reshape(total, m - 3)
        self.blocks = flat["blocks.i64"][: 2 * -(-total // BLOCK)].reshape(-1, 2)
        self.ids = flat["ids.u8"]
        self.kept = frozen(kept_lanes(m, m - 3))

    def _take_whole(self, flat: dict[str, NDArray[Any]]) -> None:
        m, total = self.form.chunks, self.segment.total
        self.span = 0
        self.rows = flat["rows.u24"].reshape(m, 3 * stride(total))
        self.highs = frozen(np.zeros((m, 64), np.uint8))
        self.marks = frozen(np.zeros((m, 16), np.uint32))
        self.hashes = flat["hashes.u16"][: total * m].reshape(total, m)
        self.blocks = frozen(np.zeros((0, 2), np.int64))
        self.ids = flat["ids.i64"]
        self.kept = frozen(kept_lanes(m, m))

    def stored(self, table: int) -> tuple[Any, ...]:
        """What the kernels are given of a table, see `compiled/reducing.py`."""
        return (
            self.offsets[table], self.words[table], self.rows[table], self.highs[table], self.marks[table], self.span,
            recipe(table, self.form.chunks), self.hashes, self.kept, self.dead, self.ids, self.blocks, self.segment.rows,
        )  # fmt: skip

    @cached_property
    def last_groups(self) -> NDArray[np.int64]:
        """The last four chunks of each hash as one number, int64 (rows,): what `hashes` are without. All 0 in a segment of whole hashes."""
        from pipeline.matching.core.compiled import reducing  # loads Numba

        out = np.zeros(self.segment.total, np.int64)
        if self.span:
            offsets, words, rows, highs, _, span_, how, hashes, *_ = self.stored(self.form.chunks - GROUP)
            reducing.last_groups(offsets, words, rows, highs, span_, how, hashes, out)
        if self.groups is not None:
            self.groups.last_groups(out)
        return out

    def forget(self) -> None:
        """Give up what was made of the whole segment: 8 bytes for each hash."""
        self.__dict__.pop("last_groups", None)

    def chunks(self, start: int, stop: int) -> NDArray[np.uint16]:
        """The hashes of rows [start, stop), uint16 (n, m)."""
        stored = np.asarray(self.hashes[start:stop])
        if not self.span:
            return stored
        return with_last(stored, self.last_groups[start:stop].view(np.uint16).reshape(-1, GROUP))

    def rows_of(self, table: int, entry: NDArray[np.int64], bucket: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows, int64 (n,), of entries of a table that are in these buckets."""
        rows = self.rows[table]
        size = 2 if self.span else 3
        row: NDArray[np.int64] = np.zeros(len(entry), np.int64)
        for byte in range(size):
            row |= rows[size * entry + byte].astype(np.int64) << 8 * byte
        if not self.span:
            return row
        first, before = self.offsets[table][bucket].astype(np.int64), bucket * self.span
        place = places(self.highs[table], self.marks[table], entry, first, first + before)
        return row | (place - entry - before) << 16

    def hashes_of(
        self, table: int, entry: NDArray[np.int64], bucket: NDArray[np.int64], row: NDArray[np.int64]
    ) -> NDArray[np.uint16]:
        """The hashes, uint16 (n, m), of entries of a table that are in these buckets and have these rows."""
        stored = self.hashes[row]
        return restored(stored, table, self.form.chunks, bucket, self.words[table][entry]) if self.span else stored

    def ids_of(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        """The known ids, int64 (n,), of rows."""
        return ids_of(self.ids, self.blocks, row) if self.span else self.ids.view(np.int64)[row]

    def all_ids(self) -> NDArray[np.int64]:
        """The known ids of all rows, int64 (total,), canaries last."""
        total = self.segment.total
        out = np.empty(total, np.int64)
        for start in range(0, total, STEP):
            out[start : start + STEP] = self.ids_of(np.arange(start, min(start + STEP, total)))
        return out

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
        if not self.segment.whole:
            # Ids are read where the blocks say.
            place, size = self.blocks[:, 1] >> 4, self.blocks[:, 1] & 15
            rows = np.minimum(BLOCK, self.segment.total - BLOCK * np.arange(len(place)))
            if (place < 0).any() or (size > 8).any() or (place + size * rows).max() + 8 > len(self.ids):
                raise IntegrityError(f"The ids of segment {self.segment.name} are not where they should be.", REBUILD)
        if self.groups is not None:
            self.groups.check()
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
                if not (segment.all_ids()[:rows] == np.arange(numbered, numbered + rows)).all():
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
