"""Pairs with shared hashes become pairs with the known media that have them, each query's nearest only.

A shared hash (`index/shared.py`) is one row of the index for any number of known media. The kernels find pairs of a query
and the number of a shared hash; here a number becomes ids.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.matching.core.pairs import NO_CAP, NearestOf, PairArrays

MOST_PAIRS = 2**21
"""Pairs of a query and a shared hash that are held at a time, and pairs that are made of them at a time: about 200 MB."""


def slices(queries: int, hashes: int) -> Iterator[tuple[int, int]]:
    """Ranges of queries of which each may be near every shared hash; one range, empty, where there is no query."""
    size = max(64, MOST_PAIRS // max(hashes, 1))
    for low in range(0, max(queries, 1), size):
        yield low, min(low + size, queries)


def counted(pairs: PairArrays, starts: NDArray[np.int64], queries: int) -> NDArray[np.int64]:
    """Known media near each query, int64 (queries,)."""
    totals = np.zeros(queries, np.int64)
    np.add.at(totals, pairs[0], np.diff(starts)[pairs[1]])
    return totals


def spread(
    pairs: PairArrays, starts: NDArray[np.int64], ids: NDArray[np.int64], cap: int, nearest: NearestOf
) -> list[PairArrays]:
    """Pairs of each query and known media; with a cap enough of them to hold the nearest, ties by the lower id.

    At one distance the lowest ids of a query belong to the hashes whose lowest ids are lowest: of these no more than
    `cap` can be needed, and of each no more than its first `cap` ids.
    """
    query, number, distance = pairs
    sizes = np.diff(starts)[number]
    if cap < NO_CAP:
        order = np.lexsort((ids[starts[number]], distance, query))
        query, number, distance, sizes = query[order], number[order], distance[order], sizes[order]
        wanted = _needed(query, distance, sizes, cap)
        query, number, distance, sizes = query[wanted], number[wanted], distance[wanted], np.minimum(sizes[wanted], cap)
    parts = []
    ends = np.cumsum(sizes)
    low = 0
    while low < len(query):
        done = ends[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(ends, done + MOST_PAIRS, "right")))
        some = sizes[low:high]
        begins = starts[number[low:high]] - (ends[low:high] - some - done)
        places = np.repeat(begins, some) + np.arange(int(some.sum()))
        part = np.repeat(query[low:high], some), np.asarray(ids)[places], np.repeat(distance[low:high], some)
        first, last = int(query[low]), int(query[high - 1]) + 1
        crowded = len(part[0]) > 2 * cap * (1 + int((np.diff(query[low:high]) != 0).sum()))
        parts.append(nearest([part], first, last, cap, last) if crowded else part)
        low = high
    return parts


def _needed(
    query: NDArray[np.uint32], distance: NDArray[np.uint16], sizes: NDArray[np.int64], cap: int
) -> NDArray[np.bool_]:
    """Which pairs, in order of query and distance, are among the first `cap` of their query and not beyond `cap` nearer ids."""
    position, before = np.arange(len(query)), np.cumsum(sizes) - sizes
    new_query = np.diff(query.astype(np.int64), prepend=-1) != 0
    new_distance = new_query | (np.diff(distance.astype(np.int64), prepend=-1) != 0)
    first = np.maximum.accumulate(np.where(new_query, position, 0))
    tied = np.maximum.accumulate(np.where(new_distance, position, 0))
    needed: NDArray[np.bool_] = (position - first < cap) & (before[tied] - before[first] < cap)
    return needed


def merged(  # noqa: PLR0917 - one range of queries, called in one place
    pairs: PairArrays, low: int, high: int, more: list[PairArrays], cap: int, nearest: NearestOf
) -> PairArrays:
    """The nearest pairs of the queries [low, high): of `pairs`, ordered by query, and of `more`, whose queries count from `low`."""
    begin, end = np.searchsorted(pairs[0], [low, high])
    own = pairs[0][begin:end], pairs[1][begin:end], pairs[2][begin:end]
    if not more:
        return own
    own = own[0] - np.uint32(low), *own[1:]
    query, ids, distances = nearest([own, *more], 0, high - low, cap, high - low)
    return query + np.uint32(low), ids, distances
