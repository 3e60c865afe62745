"""The nearest pairs of each query, in an order that depends on nothing but the pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.matching.jit import inlined, kernel

Pairs = tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint16]]
"""Query row, known id and distance of each pair."""


@inlined
def _sift(ids: Any, distances: Any, low: Any, root: Any, end: Any) -> None:
    """Restore the heap, greatest pair first, of entries [low, low + end) below `root`."""
    while 2 * root + 1 < end:
        child = 2 * root + 1
        a, b = low + child, low + child + 1
        if child + 1 < end and (distances[a] < distances[b] or (distances[a] == distances[b] and ids[a] < ids[b])):
            child += 1
            a = b
        r = low + root
        if distances[r] > distances[a] or (distances[r] == distances[a] and ids[r] >= ids[a]):
            break
        ids[r], ids[a] = ids[a], ids[r]
        distances[r], distances[a] = distances[a], distances[r]
        root = child


@kernel
def _group(query: Any, ids: Any, distances: Any, count: Any, starts: Any, to_ids: Any, to_distances: Any) -> None:
    """Counting sort by query: `starts` int64 (queries + 1)."""
    starts[:] = 0
    for p in range(count):
        starts[int(query[p]) + 1] += 1
    for q in range(len(starts) - 1):
        starts[q + 1] += starts[q]
    for p in range(count):
        q = int(query[p])
        at = starts[q]
        starts[q] = at + 1
        to_ids[at] = ids[p]
        to_distances[at] = distances[p]
    for q in range(len(starts) - 1, 0, -1):
        starts[q] = starts[q - 1]
    starts[0] = 0


@kernel
def _nearest(
    starts: Any, ids: Any, distances: Any, cap: Any, real: Any, out_query: Any, out_ids: Any, out_distances: Any
) -> Any:
    """For each query the `cap` nearest of its pairs, sorted by distance and id: a heap of `cap` pairs. Returns how many."""
    out = 0
    for q in range(len(starts) - 1):
        low, high = starts[q], starts[q + 1]
        size = min(high - low, cap) if q < real else high - low
        for root in range(size // 2 - 1, -1, -1):
            _sift(ids, distances, low, root, size)
        for p in range(low + size, high):
            if distances[p] < distances[low] or (distances[p] == distances[low] and ids[p] < ids[low]):
                ids[low], distances[low] = ids[p], distances[p]
                _sift(ids, distances, low, 0, size)
        for end in range(size - 1, 0, -1):
            ids[low], ids[low + end] = ids[low + end], ids[low]
            distances[low], distances[low + end] = distances[low + end], distances[low]
            _sift(ids, distances, low, 0, end)
        for p in range(low, low + size):
            out_query[out] = q
            out_ids[out] = ids[p]
            out_distances[out] = distances[p]
            out += 1
    return out


def nearest(pairs: Pairs, queries: int, cap: int, real: int) -> Pairs:
    """The `cap` nearest pairs of each of `queries` queries, ordered by query, distance and known id.

    The cap holds for the first `real` queries; the others, canaries, keep all pairs.
    """
    query, ids, distances = pairs
    count = len(query)
    starts = np.zeros(queries + 1, np.int64)
    grouped_ids, grouped_distances = np.empty(count, np.int64), np.empty(count, np.uint16)
    _group(query, ids, distances, count, starts, grouped_ids, grouped_distances)
    sizes = np.diff(starts)
    kept = int(np.minimum(sizes[:real], cap).sum() + sizes[real:].sum())
    out = np.empty(kept, np.uint32), np.empty(kept, np.int64), np.empty(kept, np.uint16)
    _nearest(starts, grouped_ids, grouped_distances, cap, real, *out)
    return out
