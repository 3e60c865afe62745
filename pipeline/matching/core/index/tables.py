"""Writing a segment's arrays: one file after the other front to back, sorted, summed and hashed while in the caches.

The tables are sorted two at a time, each in two counting sorts: all hashes by the high byte of their chunk (256 places
to write to, which fit the caches), then each of these groups by the low byte (a group fits them too).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.matching.core.compiled import buildir, reducing
from pipeline.matching.core.compiled.jit import JIT, bare, inlined
from pipeline.matching.core.index.checksum import QuickSum
from pipeline.matching.core.index.manifest import Array, highs_stride, marks_stride, padded, stride
from pipeline.matching.core.index.reduced import BLOCK as ID_BLOCK
from pipeline.matching.core.index.reduced import span

BLOCK = 2**16
"""Entries written at a time, unless one group has more."""

_ONE, _SIX, _LAST, _LINE, _63 = np.uint64(1), np.uint64(6), np.uint64(7), np.uint64(8), np.uint64(63)
"""Places are unsigned, so that the compiler need not ask whether they count from the end."""


def _write_line(source: Any, first: Any, target: Any, at: Any) -> None:
    target[at : at + _LINE] = source[first : first + _LINE]


def _written() -> None:
    """Plain stores are seen at once."""


write_line: Any = buildir.write_line if JIT else _write_line
written: Any = buildir.written if JIT else _written


class File:
    """A file written in parts, with its sums and a final padding to 64 bytes."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb")
        self._digest, self._sum = hashlib.sha256(), QuickSum()
        self.bytes = 0

    def write(self, array: NDArray[Any]) -> None:
        """Append an array whose bytes are a multiple of 8."""
        part = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self._sum.update(part)
        self._digest.update(part.data)
        self._file.write(part.data)
        self.bytes += len(part)

    def close(self) -> Array:
        self.write(np.zeros(-self.bytes % 64, np.uint8))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return Array(self.bytes, self._digest.hexdigest(), self._sum.hexdigest())


@bare
def count(chunks: Any, groups: Any) -> None:
    """Add hashes, uint16 (n, m), to the counts of each table's groups, int64 (m, 256)."""
    n, m = chunks.shape
    for row in range(n):
        for table in range(m):
            groups[table, chunks[row, table] >> 8] += 1


@inlined
def _carry(group: Any, entry: Any, heads: Any, lines: Any, carried: Any) -> None:
    """Append an entry to the line of a group, which leaves `lines` for `carried` when it is full; see `_group`."""
    at = heads[group]
    heads[group] = at + _ONE
    line = group * _LINE
    lines[line + (at & _LAST)] = entry
    if at & _LAST == _LAST:
        write_line(lines, line, carried, at - _LAST)


@bare
def _group(  # noqa: PLR0917 - compiled functions take their arrays by position
    chunks: Any, first: int, runs: Any, heads: Any, lines: Any, carried: Any
) -> None:
    """Sort the hashes of `runs`, int64 (k, 2), rows from and to, by the high byte of chunks `first` and `first` + 1, within a group in order of row.

    Into `carried`, int64: row << 40 | low byte << 32 | the word of the entry. `heads`, uint64 (512,), says where each
    group begins, for one chunk and then the other, always at a whole line of 64 bytes, and is moved to where it ends.
    Lines are filled in `lines`, int64 (4096,), and leave it when they are full.
    """
    m = chunks.shape[1]
    third, fourth = (first + 2) % m, (first + 3) % m
    for run in range(len(runs)):
        for row in range(runs[run, 0], runs[run, 1]):
            one, two = int(chunks[row, first]), int(chunks[row, first + 1])
            three, four = int(chunks[row, third]), int(chunks[row, fourth])
            _carry(np.uint64(one >> 8), row << 40 | (one & 255) << 32 | three << 16 | two, heads, lines, carried)
            _carry(
                np.uint64(256 + (two >> 8)), row << 40 | (two & 255) << 32 | four << 16 | three, heads, lines, carried
            )
    for head in range(512):
        at = heads[head]
        for k in range(at & _LAST):
            carried[at - (at & _LAST) + k] = lines[8 * head + k]
    written()


@bare
def _sort(  # noqa: PLR0917 - compiled functions take their arrays by position
    carried: Any, starts: Any, bounds: Any, low: int, high: int, offsets: Any, ordered: Any, filled: int, heads: Any,
    highs: Any, marks: Any, span: int,
) -> int:  # fmt: skip
    """Append groups `low` to `high` - 1 of a table, each sorted by the low byte, to `ordered`; returns its new length.

    Group g is at `starts`[g] of `carried` and has entries `bounds`[g] to `bounds`[g + 1] of the table, int64 (257,).
    Where each of its buckets ends goes to `offsets`, what `reduced.py` says of the rows to `highs`, uint64, and `marks`. `heads`, uint64
    (256,), is scratch.
    """
    for group in range(low, high):
        begin = starts[group]
        end = begin + bounds[group + 1] - bounds[group]
        for bucket in range(256):
            heads[bucket] = 0
        for k in range(begin, end):
            heads[carried[k] >> 32 & 255] += _ONE
        # Plain loops: array expressions compile ten times as long.
        before = np.uint64(0)
        for bucket in range(256):
            count = heads[bucket]
            heads[bucket] = before + np.uint64(filled)
            before += count
            offsets[256 * group + 1 + bucket] = before + np.uint64(bounds[group])
        origin = bounds[group] + 256 * group * span
        for k in range(begin, end):
            value = carried[k]
            bucket = value >> 32 & 255
            at = heads[bucket]
            heads[bucket] = at + _ONE
            ordered[at] = value
            place = np.uint64(origin + np.int64(at) - filled + bucket * span + (value >> 56 & 255))
            highs[place >> _SIX] |= _ONE << (place & _63)
        for entry in range(-(-bounds[group] // 256) * 256, bounds[group + 1], 256):
            value = ordered[filled + entry - bounds[group]]
            marks[entry >> 8] = entry + (256 * group + (value >> 32 & 255)) * span + (value >> 56 & 255)
        filled += end - begin
    return filled


@bare
def _split(ordered: Any, words: Any, rows: Any) -> None:
    """Words, uint32 (n,), and the low 16 bits of rows, uint16 (n,), of n entries."""
    for k in range(len(ordered)):
        words[k] = ordered[k] & 0xFFFFFFFF
    for k in range(len(ordered)):
        rows[k] = ordered[k] >> 40 & 0xFFFF


def write(
    place: Path, chunks: NDArray[np.uint16], groups: NDArray[np.int64], runs: NDArray[np.int64]
) -> dict[str, Array]:
    """Write all tables of a segment's hashes, uint16 (n, m), into the folder `place`: of `runs`, int64 (k, 2), rows from and to.

    `groups` are the counts of these hashes. Holds 16 bytes per hash, and 8 for each hash of the largest group.
    """
    rows, m = chunks.shape
    total = int(groups[0].sum())
    out = {name: File(place / name) for name in ("offsets.u32", "words.u32", "rows.u16", "highs.u8", "marks.u32")}
    carried, lines = _aligned(2 * (total + 256 * 8)), _aligned(512 * 8)
    ordered = np.empty(stride(max(BLOCK, int(groups.max())) + 16), np.int64)
    for first in range(0, m, 2):
        counts = groups[first : first + 2].reshape(-1)
        starts = np.concatenate([[0], np.cumsum(-(-counts // 8) * 8)[:-1]])
        _group(chunks, first, runs, starts.astype(np.uint64), lines, carried)
        for k in range(2):
            _write_table(out, carried, starts[256 * k : 256 * k + 256], groups[first + k], ordered, span(rows))
    return {name: file.close() for name, file in out.items()}


class ReducedFile:
    """The file of what is stored of a segment's hashes, of m chunks each."""

    def __init__(self, path: Path, m: int) -> None:
        self._file = File(path)
        self._rows = np.zeros((0, m - 3), np.uint16)
        self._over = 0

    def write(self, chunks: NDArray[np.uint16]) -> None:
        """Append hashes, uint16 (n, m)."""
        n, over = len(chunks), self._over
        if len(self._rows) < n + 8:
            self._rows = np.concatenate([self._rows[:over], np.zeros((n + 8 - over, self._rows.shape[1]), np.uint16)])
        reducing.reduce(chunks, self._rows, over)
        whole = (over + n) // 4 * 4  # rows that fill eight bytes, as sums ask
        self._file.write(self._rows[:whole])
        self._over = over + n - whole
        self._rows[: self._over] = self._rows[whole : over + n]

    def close(self) -> Array:
        rest = np.zeros(8 * self._rows.shape[1], np.uint16)
        rest[: self._over * self._rows.shape[1]] = self._rows[: self._over].reshape(-1)
        used = 2 * (self._over + 1) * self._rows.shape[1] + 6  # one more, because a hash is read with whole vectors
        self._file.write(rest.view(np.uint8)[: -(-used // 8) * 8])
        return self._file.close()


class IdFiles:
    """The files of a segment's known ids, in the folder `place`."""

    def __init__(self, place: Path) -> None:
        self._blocks, self._short = File(place / "blocks.i64"), File(place / "ids.u8")
        self._over = np.zeros(0, np.int64)

    def write(self, ids: NDArray[np.int64]) -> None:
        """Append ids, int64 (n,)."""
        ids = np.concatenate([self._over, ids])
        whole = len(ids) // ID_BLOCK * ID_BLOCK
        self._take(ids[:whole])
        self._over = ids[whole:]

    def close(self) -> dict[str, Array]:
        # Eight bytes can be read from any id on.
        self._take(self._over)
        self._short.write(np.zeros(8, np.uint8))
        return {"blocks.i64": self._blocks.close(), "ids.u8": self._short.close()}

    def _take(self, ids: NDArray[np.int64]) -> None:
        blocks = np.zeros((-(-len(ids) // ID_BLOCK), 2), np.int64)
        with np.errstate(
            over="ignore"
        ):  # 64 bits from the least id to the farthest are as right as 63, and as plain Python warned of
            size = reducing.widths(ids, blocks, self._short.bytes)
            short = np.zeros(-(-size // 8) * 8, np.uint8)
            reducing.shorten(ids, blocks, short)
        self._blocks.write(blocks)
        self._short.write(short)


def _aligned(count: int) -> NDArray[np.int64]:
    """`count` int64, not set, from a multiple of 64 bytes on."""
    room = np.empty(count + 8, np.int64)
    return room[-room.ctypes.data % 64 // 8 :][:count]


def _write_table(  # noqa: PLR0917 - one table, called in one place
    out: dict[str, File],
    carried: NDArray[np.int64],
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
    ordered: NDArray[np.int64],
    spans: int,
) -> None:
    bounds = np.concatenate([[0], np.cumsum(counts)])
    offsets = np.zeros(padded(65537, 4), np.uint32)
    words, rows = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint16)
    heads = np.empty(256, np.uint64)
    total = int(bounds[-1])
    highs, marks = np.zeros(highs_stride(total, spans) // 8, np.uint64), np.zeros(marks_stride(total), np.uint32)
    group, filled = 0, 0
    while group < 256:
        last = max(group + 1, int(np.searchsorted(bounds, bounds[group] + BLOCK, "right")) - 1)
        filled = _sort(carried, starts, bounds, group, last, offsets, ordered, filled, heads, highs, marks, spans)
        group = last
        if last == 256:
            ordered[filled : stride(filled)] = 0
            filled = stride(filled)
        whole = filled - filled % 16  # whole vectors; what is over comes first in the next block
        for start in range(0, whole, BLOCK):
            part = ordered[start : min(start + BLOCK, whole)]
            _split(part, words, rows)
            out["words.u32"].write(words[: len(part)])
            out["rows.u16"].write(rows[: len(part)])
        ordered[: filled - whole] = ordered[whole:filled]
        filled -= whole
    out["offsets.u32"].write(offsets)
    out["highs.u8"].write(highs)
    out["marks.u32"].write(marks)
