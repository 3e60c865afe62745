"""Groups of near-identical hashes in a segment: in none of its tables, and laid out for being compared with a query all at once.

Of the rows of a segment that has groups (`finding.py`) these arrays are held besides; a tile is 32 places, and each group begins with one:

    <segment>/firsts.u32    (groups + 1,)      the first tile of each group
    <segment>/centres.u32   (groups, 8)        centres, the words of a hash in the bit order of `bitorder.py`
    <segment>/reach.u16     (groups,)          the largest distance of a member to its centre
    <segment>/tiles.u16     (tiles, 16, 32)    the members' hashes, chunk by chunk
    <segment>/members.u32   (tiles, 32)        their rows, 2^32 - 1 where a place is empty
    <segment>/holds.i64     (tiles, 32)        their known ids, 0 where a place is empty

A query within r bits of a member is within r and the group's reach of its centre. So it is compared with the centres, which are few, and
with the members of those groups only. Rows, hashes, ids and bit maps of a segment are as without groups. The last group are canaries, one
of them as far from its centre as any member may be, so that a wrong distance, bound, place or id is found in every run.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import IntegrityError
from pipeline.matching.core.index.manifest import GROUP_CHUNKS as CHUNKS
from pipeline.matching.core.index.manifest import REBUILD, TILE, Array, Segment
from pipeline.matching.core.index.reduced import GROUP

if TYPE_CHECKING:
    from pipeline.matching.core.groups.finding import Members

EMPTY = 2**32 - 1
DTYPES = {
    "firsts.u32": np.uint32,
    "centres.u32": np.uint32,
    "reach.u16": np.uint16,
    "tiles.u16": np.uint16,
    "members.u32": np.uint32,
    "holds.i64": np.int64,
}


def arranged(members: Members) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first tile of each group, int64 (groups + 1,), and the place of each member among those of all tiles, int64."""
    sizes = np.diff(members.starts)
    firsts = np.concatenate([[0], np.cumsum(-(-sizes // TILE))])
    places = np.arange(len(members.rows)) + np.repeat(TILE * firsts[:-1] - members.starts[:-1], sizes)
    return firsts, places


class MappedGroups:
    """The groups of a mapped segment, from its arrays."""

    def __init__(self, flat: dict[str, NDArray[Any]], segment: Segment) -> None:
        groups, tiles = segment.groups, segment.tiles
        self._segment, self._dead = segment, flat["dead"]
        self.firsts = flat["firsts.u32"][: groups + 1]
        self.centres = flat["centres.u32"][: CHUNKS // 2 * groups]
        self.reach = flat["reach.u16"][:groups]
        self.tiles = flat["tiles.u16"][: CHUNKS * TILE * tiles]
        self.members = flat["members.u32"][: TILE * tiles]
        self.ids = flat["holds.i64"][: TILE * tiles]

    def check(self) -> None:
        """Raises IntegrityError unless every group has its tiles, and every place a row of the segment or none."""
        firsts, held = self.firsts.astype(np.int64), self.members[self.members != EMPTY]
        ordered = firsts[0] == 0 and firsts[-1] == self._segment.tiles and (np.diff(firsts) > 0).all()
        if not ordered or len(held) != self._segment.grouped or (held >= self._segment.total).any():
            raise IntegrityError(f"The groups of segment {self._segment.name} are not where they should be.", REBUILD)

    @cached_property
    def masks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which places of each tile hold a known hash in force, and which a canary: a bit each, int64 (tiles,)."""
        row = self.members.astype(np.int64)
        held = row != EMPTY
        row[~held] = 0
        alive = held & ((self._dead[row >> 3] >> (row & 7).astype(np.uint8) & 1) == 0)
        canary = row >= self._segment.rows
        return _masks(alive & ~canary), _masks(alive & canary)

    @property
    def stored(self) -> tuple[Any, ...]:
        """What the kernel is given, see `comparing.py`."""
        return self.centres, self.reach, self.firsts, self.tiles, self.ids, *self.masks

    def last_groups(self, out: NDArray[np.int64]) -> None:
        """Write the last four chunks of each member, as one number, to its row of `out`, int64 (rows,)."""
        last = self.tiles.reshape(-1, CHUNKS, TILE)[:, CHUNKS - GROUP :].transpose(0, 2, 1)
        held = self.members != EMPTY
        out[self.members[held]] = np.ascontiguousarray(last).view(np.int64).reshape(-1)[held]


def _masks(lanes: NDArray[np.bool_]) -> NDArray[np.int64]:
    masks = np.packbits(lanes, bitorder="little").view(np.uint32).astype(np.int64)
    masks.flags.writeable = False  # as mapped arrays, so that the kernel has one form
    return masks


def write(place: Path, members: Members, ids: NDArray[np.int64], chunks: NDArray[np.uint16]) -> dict[str, Array]:
    """Write the groups of a segment into the folder `place`; `ids` int64 are those of the members, `chunks` uint16 (rows, 16) all hashes."""
    from pipeline.matching.core.index.tables import File  # loads Numba

    firsts, places = arranged(members)
    tiles = int(firsts[-1])
    rows, held = np.full(TILE * tiles, EMPTY, np.uint32), np.zeros(TILE * tiles, np.int64)
    rows[places], held[places] = members.rows, ids
    out = {name: File(place / name) for name in DTYPES}
    out["firsts.u32"].write(_even(firsts.astype(np.uint32), 2))
    out["centres.u32"].write(np.ascontiguousarray(members.centres))
    out["reach.u16"].write(_even(members.reach, 4))
    out["members.u32"].write(rows)
    out["holds.i64"].write(held)
    for start in range(0, tiles, 512):
        own = rows[TILE * start : TILE * (start + 512)]
        hashes = np.zeros((len(own), CHUNKS), np.uint16)
        hashes[own != EMPTY] = chunks[own[own != EMPTY]]
        out["tiles.u16"].write(hashes.reshape(-1, TILE, CHUNKS).transpose(0, 2, 1))
    return {name: file.close() for name, file in out.items()}


def _even(array: NDArray[Any], count: int) -> NDArray[Any]:
    """The array, and zeros until it is a multiple of `count`: files are written in eight bytes."""
    return np.concatenate([array, np.zeros(-len(array) % count, array.dtype)])
