"""A pass of few queries over a small index, by NumPy: what `driver.py` does with compiled kernels, for look-ups.

Loading Numba and the kernels takes longer than such a pass and all else of a look-up's matching. The way is the same,
and so are the pairs: `plan.py` says which buckets are visited, the words of an entry are compared first, and a pair is
taken by the one table that has to emit it. The canaries of a run go the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.matching.core.index.manifest import TILE
from pipeline.matching.core.index.store import MappedSegment
from pipeline.matching.core.pairs import Collected, JoinCounters, PairArrays, Queries, concatenated
from pipeline.matching.core.plan import Plan

QUERIES, ROWS = 16, 2**22
"""Queries and rows up to which this is the faster way, loading included."""

ROOM = 2**20
"""Entries compared at a time; a single query may have more."""


def run(
    segments: list[MappedSegment], queries: Queries, plan: Plan, _threads: int, counters: JoinCounters, _progress: Any
) -> Collected:
    """Compare all queries with all rows of these segments, in one thread. The plan must not be too deep."""
    nothing = np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.uint16)
    parts = [nothing]
    for segment in segments:
        counters.plans.add("buckets")
        if segment.groups is not None:
            parts += _grouped(segment, queries, plan, counters)
        for table in plan.tables:
            parts += _pairs(segment, table, queries, plan, counters)
    totals = np.bincount(concatenated(parts)[0], minlength=queries.count)
    return Collected(nearest(parts, 0, queries.count, queries.cap, queries.real), totals)


def nearest(parts: list[PairArrays], low: int, high: int, cap: int, real: int) -> PairArrays:
    """As `selection.nearest`."""
    query, ids, distances = concatenated(parts)
    order = np.lexsort((ids, distances, query))
    order = order[(query[order] >= low) & (query[order] < high)]
    query, ids, distances = query[order], ids[order], distances[order]
    place = np.arange(len(query)) - np.searchsorted(query, query)
    wanted = (place < cap) | (query >= real)
    return query[wanted], ids[wanted], distances[wanted]


def _pairs(
    segment: MappedSegment, table: int, queries: Queries, plan: Plan, counters: JoinCounters
) -> Iterator[PairArrays]:
    """The pairs that one table emits."""
    chunks, m, budget = queries.chunks, queries.chunks.shape[1], plan.budgets[table]
    masks = plan.masks[: plan.levels[budget]]
    limits = np.repeat(plan.limits[table], np.diff(plan.levels[: budget + 1]))
    asked = chunks[:, (table + 1) % m] | chunks[:, (table + 2) % m].astype(np.uint32) << np.uint32(16)
    buckets = chunks[:, table].astype(np.int64)[:, None] ^ masks
    third = np.uint32(plan.budgets[(table + 2) % m])
    offsets = segment.offsets[table]
    starts = offsets[buckets].astype(np.int64)
    sizes = offsets[buckets + 1].astype(np.int64) - starts
    counters.visits += int(np.count_nonzero(sizes))
    counters.candidates += int(sizes.sum())
    for low, high in _slices(sizes.sum(axis=1)):
        size = sizes[low:high].reshape(-1)
        visit = np.repeat(np.arange(len(size)), size)
        entry = np.repeat(starts[low:high].reshape(-1) - (np.cumsum(size) - size), size) + np.arange(len(visit))
        query = low + visit // len(masks)
        bucket = buckets[low:high].reshape(-1)[visit]
        differing, limit = segment.words[table][entry] ^ asked[query], limits[visit % len(masks)]
        passed = np.bitwise_count(differing) <= limit
        passed &= np.bitwise_count(differing & np.uint32(0xFFFF)) + third <= limit
        counters.survivors += int(np.count_nonzero(passed))
        yield _verified(segment, table, queries, plan, entry[passed], bucket[passed], query[passed])


def _grouped(segment: MappedSegment, queries: Queries, plan: Plan, counters: JoinCounters) -> Iterator[PairArrays]:
    """The pairs with members of groups, which are in no table."""
    groups = segment.groups
    if groups is None:
        return
    chunks, firsts = queries.chunks, groups.firsts.astype(np.int64)
    centres = np.asarray(groups.centres).view(np.uint16).reshape(-1, chunks.shape[1])
    tiles = groups.tiles.reshape(-1, chunks.shape[1], TILE)
    real, canary = (
        np.unpackbits(np.asarray(m).astype(np.uint32).view(np.uint8), bitorder="little") for m in groups.masks
    )
    bounds = plan.radius + groups.reach.astype(np.int64)
    for query in range(queries.count):
        near = np.bitwise_count(centres ^ chunks[query]).sum(axis=1, dtype=np.int64) <= bounds
        own = np.flatnonzero(np.repeat(near, np.diff(firsts)))
        counters.survivors += TILE * len(own)
        for start in range(0, len(own), ROOM // TILE):
            part = own[start : start + ROOM // TILE]
            distance = np.bitwise_count(tiles[part] ^ chunks[query][:, None]).sum(axis=1, dtype=np.int64).reshape(-1)
            place = (TILE * part[:, None] + np.arange(TILE)).reshape(-1)
            taken = (distance <= plan.radius) & ((canary if query >= queries.real else real)[place] == 1)
            found = place[taken]
            yield np.full(len(found), query, np.uint32), groups.ids[found], distance[taken].astype(np.uint16)


def _slices(entries: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Ranges of queries that have no more than ROOM entries, or are one query."""
    ends, low = np.cumsum(entries), 0
    while low < len(entries):
        before = ends[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(ends, before + ROOM, "right")))
        yield low, high
        low = high


def _verified(  # noqa: PLR0917 - one step of `_pairs`
    segment: MappedSegment,
    table: int,
    queries: Queries,
    plan: Plan,
    entry: NDArray[np.int64],
    bucket: NDArray[np.int64],
    query: NDArray[np.int64],
) -> PairArrays:
    """The pairs of these entries and queries that are within the radius, in force, and for this table to emit; canary rows
    meet only canary queries."""
    row = segment.rows_of(table, entry, bucket)
    known = segment.hashes_of(table, entry, bucket, row)
    bits = np.bitwise_count(known ^ queries.chunks[query]).astype(np.int64)
    two = bits + np.roll(bits, -1, axis=1)
    three = two + np.roll(bits, -2, axis=1)
    most, most_of_three, least_before, most_of_two = plan.rules
    admits = (
        (bits <= most) & (two <= most_of_two) & (three <= most_of_three) & (np.roll(bits, 1, axis=1) >= least_before)
    )
    distance = bits.sum(axis=1)
    taken = admits.any(axis=1) & (admits.argmax(axis=1) == table) & (distance <= plan.radius)
    taken &= (segment.dead[row >> 3] >> (row & 7).astype(np.uint8) & 1) == 0
    taken &= (row >= segment.segment.rows) == (query >= queries.real)
    return query[taken].astype(np.uint32), segment.ids_of(row[taken]), distance[taken].astype(np.uint16)
