"""Queries compared with groups of near-identical hashes: with the centres first, then with all members of the groups that are near.

`grouped`: what a segment holds of its groups, see `stored.py`. `centres` uint32 flat, eight words each; `reach` uint16, the largest
distance of a member to its centre; `firsts` uint32, the first tile of each group, and their number; `tiles` uint16 flat, chunk c of lane
k of tile t at `(16 t + c) 32 + k`; `ids` int64 of the lanes; `real` and `canary` int64, masks of the lanes of each tile that hold a known
hash in force and a canary. Queries are taken 64 at a time: while they stay in registers all centres pass by.
"""

# ruff: noqa: PLR0917 - compiled functions take their arrays by position

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from pipeline.matching.core.compiled.jit import JIT, bare, inlined
from pipeline.matching.core.compiled.nibbles import USED, split
from pipeline.matching.core.compiled.vectors import TILE, lowest, ones
from pipeline.matching.core.compiled.verification import keep

BLOCK = 64
"""Queries that are compared with the centres at a time."""

CHUNKS = 16
"""Chunks of the hashes that are grouped."""

FIRST = 6
"""Words of a hash, of eight, that are compared before it is asked whether the others are needed."""

SLOTS = 1024
"""Tiles of 32 members that a query is compared with at a time."""

OUT, MEMBERS, LANE, PLACE, SKIP = range(5)
"""Places in the counters of `scan_groups`: results, members compared in full; and where to go on in a block: the query in it, -1 where
the block was not begun, which of the groups near it, and the tiles of that group that are done."""


def _bits_to(centres: Any, group: int, columns: Any, words: int) -> Any:
    """Differing bits in the first words, int64 (64,)."""
    if USED:
        planes = columns.reshape(CHUNKS // 2, 2, 8, 32).transpose(0, 2, 1, 3).reshape(CHUNKS // 2, 8, BLOCK)
        shifts = 4 * np.arange(8, dtype=np.uint32)
        asked = (planes.astype(np.uint32) << shifts[None, :, None]).sum(axis=1, dtype=np.uint32)
    else:
        asked = columns.reshape(CHUNKS // 2, BLOCK)
    centre = centres[CHUNKS // 2 * group : CHUNKS // 2 * group + words]
    return np.bitwise_count(asked[:words] ^ centre[:, None]).sum(axis=0, dtype=np.int64)


def _next_centre(
    centres: Any, reach: Any, first: int, last: int, radius: int, columns: Any, look_up: Any
) -> int:  # fmt: skip
    """The first of the groups [first, last) that one of 64 queries may be near to, going by the first words; `last` where there is none.

    `columns` are the queries: uint32, word w of query q at `64 w + q`, or, in the AVX2 family, the planes of these, see `nibbles.py`.
    """
    for group in range(first, last):
        if (_bits_to(centres, group, columns, FIRST) <= min(radius + int(reach[group]), 255)).any():
            return group
    return last


def _near_centre(centres: Any, reach: Any, group: int, radius: int, columns: Any, look_up: Any) -> int:
    """Bit mask of those of 64 queries whose distance to the centre is within the radius and the group's reach.

    No other query is within the radius of a member: the triangle inequality. Distances and bounds of more than 255 bits are taken for 255.
    """
    bits = np.minimum(_bits_to(centres, group, columns, CHUNKS // 2), 255)
    hits = bits <= min(radius + int(reach[group]), 255)
    return int(sum(1 << k for k in range(BLOCK) if hits[k]))


def _tile_within(tiles: Any, tile: int, queries: Any, query: int, limit: int, bits: Any, slot: int) -> int:
    """Bit mask of the 32 lanes of a tile within `limit` bits of a query; fills the 32 of slot `slot` of `bits`, uint16, with all distances."""
    size = CHUNKS * TILE
    values = tiles[tile * size : (tile + 1) * size].reshape(CHUNKS, TILE) ^ queries[query][:, None]
    found = bits[slot * TILE : (slot + 1) * TILE]
    found[:] = np.bitwise_count(values).sum(axis=0)
    return int(sum(1 << lane for lane in range(TILE) if found[lane] <= limit))


def _lanes_at_most(bits: Any, slot: int, limit: int) -> int:
    """Bit mask of the 32 distances of a slot that are at most `limit`."""
    return int(sum(1 << lane for lane in range(TILE) if bits[slot * TILE + lane] <= limit))


def _fastest(name: str, twin: Any) -> Any:
    return getattr(importlib.import_module("pipeline.matching.core.groups.comparingir"), name) if JIT else twin


next_centre, near_centre = _fastest("next_centre", _next_centre), _fastest("near_centre", _near_centre)
tile_within, lanes_at_most = _fastest("tile_within", _tile_within), _fastest("lanes_at_most", _lanes_at_most)


@inlined
def lay_out(chunks: Any, position: Any, count: Any, columns: Any, planes: Any) -> None:
    """Lay out the words of the queries [position, position + count) for `next_centre`."""
    for q in range(count):
        for word in range(CHUNKS // 2):
            low, high = int(chunks[position + q, 2 * word]), int(chunks[position + q, 2 * word + 1])
            columns[BLOCK * word + q] = low | high << 16
    if USED:
        for part in range(CHUNKS):
            split(columns, 32 * part, planes, part)


@inlined
def near_groups(
    centres: Any, reach: Any, radius: Any, columns: Any, planes: Any, look_up: Any, near: Any, near_count: Any
) -> None:
    """Note for each query of a block, laid out before, which groups it may be near to: `near` uint32 (BLOCK, groups), `near_count`."""
    groups, group = np.int64(len(reach)), np.int64(0)
    for q in range(BLOCK):
        near_count[q] = 0
    while True:
        group = next_centre(centres, reach, group, groups, radius, planes if USED else columns, look_up)
        if group >= groups:
            break
        hits = near_centre(centres, reach, group, radius, planes if USED else columns, look_up)
        while hits:
            q = lowest(hits)
            hits &= hits - 1
            near[q, near_count[q]] = group
            near_count[q] += 1
        group += 1


@inlined
def measure(
    tiles: Any, begin: Any, end: Any, held: Any, chunks: Any, query: Any, radius: Any, bits: Any, tile_of: Any, masks: Any,
    at_distance: Any, slots: Any,
) -> Any:  # fmt: skip
    """Compare a query with the tiles [begin, end), of whose places those in `held` count.

    A tile with a pair takes the next slot: its distances, number and mask. Adds to `at_distance`; returns the slots taken.
    """
    for t in range(begin, end):
        mask = tile_within(tiles, t, chunks, query, radius, bits, slots) & held[t]
        if mask:
            tile_of[slots], masks[slots] = t, mask
            while mask:
                at_distance[bits[slots * TILE + lowest(mask)]] += 1
                mask &= mask - 1
            slots += 1
    return slots


@inlined
def needed(at_distance: Any, radius: Any, cap: Any) -> Any:
    """The distance beyond which none of the counted pairs is among the `cap` nearest."""
    limit, nearer = np.int64(0), np.int64(at_distance[0])
    while limit < radius and nearer < cap:
        limit += 1
        nearer += at_distance[limit]
    return limit


@bare
def scan_groups(
    position: Any, last: Any, asked: Any, block: Any, counters: Any, grouped: Any, radius: Any, near: Any, sink: Any
) -> Any:  # fmt: skip
    """Compare the queries [position, last) with all groups of a segment, which are in none of its tables.

    A query is compared with SLOTS tiles at a time. How many of their members are at each distance is counted first, so that of more than
    the cap the farther ones are not written. `block`: scratch of `JoinThread`; `near` as in `near_groups`.
    Returns the first query of the block that it came to, and notes in `counters` where it was in it, when the pairs of the next tiles might
    not fit into `sink`, which has room for those of SLOTS; `asked` and `sink` as in `verification.py`.
    """
    chunks, real_queries = asked
    columns, planes, bits, tile_of, masks, at_distance, near_count, look_up = block
    centres, reach, firsts, tiles, ids, real, canary = grouped
    out_query, out_id, out_distance, totals, seen, counted, farthest, cap = sink
    out, members = counters[OUT], counters[MEMBERS]
    lane, place, skip = counters[LANE], counters[PLACE], counters[SKIP]
    while position < last:
        if lane < 0:
            lane = np.int64(0)
            lay_out(chunks, position, min(BLOCK, last - position), columns, planes)
            near_groups(centres, reach, radius, columns, planes, look_up, near, near_count)
        while lane < min(BLOCK, last - position):
            query = position + lane
            while place < near_count[lane]:
                if out + SLOTS * TILE > len(out_query):
                    counters[OUT], counters[MEMBERS] = out, members
                    counters[LANE], counters[PLACE], counters[SKIP] = lane, place, skip
                    return position
                slots, left = np.int64(0), np.int64(SLOTS)
                for distance in range(radius + 1):
                    at_distance[distance] = 0
                while place < near_count[lane] and left:
                    group = np.int64(near[lane, place])
                    begin, end = np.int64(firsts[group]) + skip, np.int64(firsts[group + 1])
                    stop = min(end, begin + left)
                    held = canary if query >= real_queries else real
                    slots = measure(
                        tiles, begin, stop, held, chunks, query, radius, bits, tile_of, masks, at_distance, slots
                    )
                    left -= stop - begin
                    place += int(stop == end)
                    skip = (skip + stop - begin) * int(stop < end)
                members += (SLOTS - left) * TILE
                limit = np.int64(radius)
                if query < real_queries:  # a canary keeps all
                    limit = needed(at_distance, radius, cap)
                for slot in range(slots):
                    totals[query] += ones(masks[slot])
                    mask = masks[slot] & lanes_at_most(bits, slot, limit)
                    while mask:
                        entry = lowest(mask)
                        mask &= mask - 1
                        distance = bits[slot * TILE + entry]
                        if distance <= farthest[query]:
                            out = keep(
                                out_query, out_id, out_distance, seen, counted, farthest, cap, out, np.int64(query),
                                ids[tile_of[slot] * TILE + entry], np.uint64(distance),
                            )  # fmt: skip
            place = np.int64(0)
            lane += 1
        position += min(BLOCK, last - position)
        lane = np.int64(-1)
    counters[OUT], counters[MEMBERS] = out, members
    return position
