"""Which hashes of a segment are near-identical to many others: found while it is built, by what chunks have in common.

1. As hashes come, each is counted in a cell of its first three chunks. Of hashes that are near each other many agree there; of others
   none do, but that cells are shared by chance. What comes to a cell that has met SAME before is a candidate.
2. When the segment is full a candidate joins the nearest leader within REACH bits, among those that share a chunk with it, or is a
   leader itself. A leader that few candidates joined is none: of unrelated hashes nothing is left here, and nothing more is done.
3. Every hash joins the nearest leader within REACH bits that it shares one of twelve chunks with. Groups of fewer than LEAST are
   dissolved, and of the others the largest are kept, because every query is compared with every centre.

What is missed here stays in the tables like all other hashes: nothing depends on it but time.
"""

# ruff: noqa: PLR0917 - compiled functions take their arrays by position

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.matching.core.compiled.jit import bare
from pipeline.matching.core.compiled.vectors import distance16, lowest, prefetch
from pipeline.matching.core.index import canaries
from pipeline.matching.core.index.manifest import GROUP_CHUNKS as CHUNKS
from pipeline.matching.core.index.manifest import TILE

REACH = canaries.FLIPS[-1]
"""Most bits from a member to its centre. On hashes of video frames fewer make more groups to compare with, more make groups whose
members are for the most part too far."""

LEAST = 32
"""Members below which a group costs the queries that are near nothing more than it saves the others."""

MOST_MEMBERS = 2**22
"""Rows of a segment that are ever in groups: a bound of memory, where a store is one great cluster."""

MOST_CANDIDATES, MOST_LEADERS, MOST_COMPARED = 2**20, 2**16, 96
"""Bounds of time and memory where hashes are alike throughout: candidates, leaders, and leaders that a hash is compared with."""

SOME, ALL = 0x7777, 0xFFFF
"""Chunks, a bit each, by which hashes are compared with leaders: some for all hashes, a twentieth of the time of building."""

SAME, JOINED = 3, 4
"""Hashes in a cell before a candidate, and candidates of a leader."""

CELL_BITS = 25
STEP = 2**14
_FACTOR, _SHIFT, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(64 - CELL_BITS), np.uint64(32)
"""As in `shared.py`."""


def most_groups(rows: int) -> int:
    """Groups of a segment of so many rows: comparing a query with all their centres takes a ninth of what its tables take, or less."""
    return 400 + rows // 15000


@bare
def _sketch(chunks: Any, cells: Any, cell_of: Any, met: Any) -> None:
    """Count hashes, uint16 (n, 16), in cells of two bits, four to each byte of `cells`; `met`, bool (n,), tells whose cell was full.

    `cell_of`, int64 (64,), is scratch: so many cells are asked for at a time, because they lie anywhere in the memory.
    """
    n = len(chunks)
    for begin in range(0, n, 64):
        end = min(begin + 64, n)
        for row in range(begin, end):
            first = np.uint64(int(chunks[row, 0]) | int(chunks[row, 1]) << 16 | int(chunks[row, 2]) << 32)
            mixed = first * _FACTOR
            mixed = (mixed ^ mixed >> _HALF) * _FACTOR
            cell_of[row - begin] = mixed >> _SHIFT
            prefetch(cells, cell_of[row - begin] >> 2)
        for row in range(begin, end):
            cell = cell_of[row - begin]
            shift = 2 * (cell & 3)
            full = (cells[cell >> 2] >> shift) & 3 == SAME
            met[row] = full
            cells[cell >> 2] += int(not full) << shift


@bare
def _nearest(chunks: Any, row: Any, asked: Any, leaders: Any, heads: Any, links: Any, kept: Any) -> Any:
    """The leader nearest to a row of `chunks`, uint16 (n, 16): `distance << 32 | leader`; of no leader the distance is 65535.

    `leaders` uint16 (k, 16); those that have a value in chunk c begin with `heads`[c, value], int32, and go on with `links`[leader, c];
    -1 ends them. The chunks that are bits of `asked` are asked.
    """
    best = np.int64(65535) << 32
    compared = 0
    while asked:
        chunk = lowest(asked)
        asked &= asked - 1
        leader = np.int64(heads[chunk, chunks[row, chunk]])
        while leader >= 0 and compared < MOST_COMPARED:
            compared += 1
            bits = np.int64(distance16(leaders, leader, kept, np.int64(0), chunks, row))
            best = min(best, bits << 32 | leader)
            leader = np.int64(links[leader, chunk])
    return best


@bare
def _lead(chunks: Any, leaders: Any, heads: Any, links: Any, kept: Any, joined: Any) -> Any:
    """Make leaders of candidates, uint16 (n, 16), as step 2 says; returns how many. `joined`, int64, counts the candidates of each."""
    count = np.int64(0)
    for row in range(len(chunks)):
        found = _nearest(chunks, row, np.int64(ALL), leaders, heads, links, kept)
        if found >> 32 <= REACH:
            joined[found & 0xFFFFFFFF] += 1
        elif count < len(leaders):
            for chunk in range(CHUNKS):
                value = chunks[row, chunk]
                leaders[count, chunk] = value
                links[count, chunk] = heads[chunk, value]
                heads[chunk, value] = count
            joined[count] = 1
            count += 1
    return count


@bare
def _join(
    chunks: Any, asked: Any, leaders: Any, heads: Any, links: Any, kept: Any, held: Any, group: Any, bits: Any
) -> None:  # fmt: skip
    """The leader of each hash, uint16 (n, 16), going by the chunks that are bits of `asked`, to `group`, int64 (n,), or -1, and its distance to `bits`, uint16 (n,).

    `held`, uint8 (16, 8192): a bit map of the values that leaders have in each chunk.
    """
    for row in range(len(chunks)):
        some = np.int64(0)
        for chunk in range(CHUNKS):
            if not asked >> chunk & 1:
                continue
            value = int(chunks[row, chunk])
            some |= np.int64(held[chunk, value >> 3] >> (value & 7) & 1) << chunk
        group[row] = -1
        if some:
            found = _nearest(chunks, row, some, leaders, heads, links, kept)
            if found >> 32 <= REACH:
                group[row] = found & 0xFFFFFFFF
                bits[row] = found >> 32


class Candidates:
    """Takes note of hashes, as they come, that may have many near-identical ones."""

    def __init__(self) -> None:
        self._cells, self._cell_of = np.zeros(2 ** (CELL_BITS - 2), np.uint8), np.zeros(64, np.int64)
        self._rows: list[NDArray[np.int64]] = []
        self._step, self._met, self._count = 1, 0, 0

    def add(self, chunks: NDArray[np.uint16], first: int) -> None:
        """Take in hashes, uint16 (n, 16), the first of which is row `first`."""
        met = np.zeros(len(chunks), bool)
        with np.errstate(over="ignore"):  # as plain Python the factor overflows with a warning
            _sketch(chunks, self._cells, self._cell_of, met)
        rows = np.flatnonzero(met)
        if len(rows):
            taken = rows[-self._met % self._step :: self._step] + first
            self._met += len(rows)
            self._rows.append(taken)
            self._count += len(taken)
            while self._count > MOST_CANDIDATES:
                # Of very many every other one is enough. What is met counts on, so that batches make no difference.
                self._rows = [np.concatenate(self._rows)[::2]]
                self._count, self._step = len(self._rows[0]), 2 * self._step

    @property
    def rows(self) -> NDArray[np.int64]:
        """The candidates, int64, ascending."""
        return np.concatenate([np.zeros(0, np.int64), *self._rows])


@dataclass(frozen=True)
class Members:
    """The rows of groups, int64, group by group; where each group begins, int64 (groups + 1,); the centres, uint16 (groups, 16); and the
    largest distance of a member to its centre, uint16 (groups,)."""

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    centres: NDArray[np.uint16]
    reach: NDArray[np.uint16]

    @property
    def tiles(self) -> int:
        """Tiles that they fill."""
        return int((-(-np.diff(self.starts) // TILE)).sum())

    def and_canaries(self, row: int, hashes: NDArray[np.uint16]) -> Members:
        """With one more group, of canaries, uint16 (n, 16), from `row` on; its centre is the first."""
        return Members(
            np.append(self.rows, row + np.arange(len(hashes))),
            np.append(self.starts, len(self.rows) + len(hashes)),
            np.concatenate([self.centres, hashes[:1]]),
            np.append(self.reach, np.uint16(REACH)),
        )


class _Leaders:
    """Leaders, uint16 (k, 16), and those that have each value in a chunk."""

    def __init__(self, room: int) -> None:
        self.chunks, self.links = np.zeros((room, CHUNKS), np.uint16), np.zeros((room, CHUNKS), np.int32)
        self.heads = np.full((CHUNKS, 65536), -1, np.int32)
        self.kept = np.full(CHUNKS, 0xFFFF, np.uint16)
        self.joined = np.zeros(room, np.int64)

    @classmethod
    def of(cls, chunks: NDArray[np.uint16]) -> _Leaders:
        """Leaders that are known, uint16 (k, 16)."""
        made, places = cls(len(chunks)), np.arange(CHUNKS)
        made.chunks[:] = chunks
        for leader, values in enumerate(chunks):
            made.links[leader] = made.heads[places, values]
            made.heads[places, values] = leader
        return made

    def lead(self, candidates: NDArray[np.uint16]) -> int:
        candidates.flags.writeable = False  # as mapped arrays, so that kernels have one form
        count: int = _lead(candidates, self.chunks, self.heads, self.links, self.kept, self.joined)
        return count


def find(candidates: NDArray[np.int64], chunks: NDArray[np.uint16]) -> Members | None:
    """The groups of a segment's hashes, uint16 (n, 16); None where there are none."""
    if len(candidates) < JOINED:
        return None
    first = _Leaders(min(len(candidates), MOST_LEADERS))
    count = first.lead(np.asarray(chunks[candidates]))
    order = np.argsort(-first.joined[:count], kind="stable")
    most = most_groups(len(chunks))
    wanted = order[first.joined[order] >= JOINED][: 4 * most]
    if not len(wanted):
        return None
    joined = _joined(_Leaders.of(first.chunks[wanted]), chunks, SOME)
    sizes = np.bincount(joined.leader, minlength=len(wanted))
    large = np.argsort(-sizes, kind="stable")
    large = large[(sizes[large] >= LEAST) & (sizes[large] <= MOST_MEMBERS)][:most]
    large = large[np.cumsum(sizes[large]) <= MOST_MEMBERS]
    if not len(large):
        return None
    number = np.full(len(wanted), -1, np.int32)
    number[large] = np.arange(len(large))
    joined.leader[:] = number[joined.leader]
    centres = first.chunks[wanted[large]]
    kept = joined.of(joined.leader >= 0)
    # Members of what is dissolved may be near another centre.
    lost = joined.row[joined.leader < 0][: MOST_MEMBERS // 2]
    again = _joined(_Leaders.of(centres), chunks[lost], ALL)
    again.row[:] = lost[again.row]
    return _members(kept.and_more(again), centres)


@dataclass(frozen=True)
class _Joined:
    """Rows that have a leader, uint32, that leader, int32, and their distance, uint8: nine bytes, because they may be all of a segment."""

    row: NDArray[np.uint32]
    leader: NDArray[np.int32]
    bits: NDArray[np.uint8]

    def of(self, some: NDArray[np.bool_]) -> _Joined:
        return _Joined(self.row[some], self.leader[some], self.bits[some])

    def and_more(self, other: _Joined) -> _Joined:
        row, leader = np.concatenate([self.row, other.row]), np.concatenate([self.leader, other.leader])
        return _Joined(row, leader, np.concatenate([self.bits, other.bits]))


def _joined(leaders: _Leaders, chunks: NDArray[np.uint16], asked: int) -> _Joined:
    """What joins which leader, going by the chunks that are bits of `asked`."""
    values = leaders.heads >= 0
    held = np.packbits(values, axis=1, bitorder="little")
    group, bits = np.empty(STEP, np.int64), np.empty(STEP, np.uint16)
    rows, groups, distances = [np.zeros(0, np.uint32)], [np.zeros(0, np.int32)], [np.zeros(0, np.uint8)]
    for start in range(0, len(chunks), STEP):
        some = np.asarray(chunks[start : start + STEP])
        some.flags.writeable = False
        _join(some, asked, leaders.chunks, leaders.heads, leaders.links, leaders.kept, held, group, bits)
        own = np.flatnonzero(group[: len(some)] >= 0)
        rows.append((own + start).astype(np.uint32))
        groups.append(group[own].astype(np.int32))
        distances.append(bits[own].astype(np.uint8))
    return _Joined(np.concatenate(rows), np.concatenate(groups), np.concatenate(distances))


def _members(joined: _Joined, centres: NDArray[np.uint16]) -> Members:
    order = np.lexsort((joined.row, joined.leader))
    number = joined.leader[order]
    begins = np.searchsorted(number, np.arange(len(centres)))
    reach = np.maximum.reduceat(joined.bits[order], begins)
    return Members(joined.row[order].astype(np.int64), np.append(begins, len(order)), centres, reach.astype(np.uint16))
