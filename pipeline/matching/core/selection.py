"""The nearest pairs of each query, in an order that depends on nothing but the pairs."""

# ruff: noqa: PLR0917 - compiled functions take their arrays by position

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.matching.core.compiled.jit import bare, inlined
from pipeline.matching.core.pairs import PairArrays

SOME, FEW = 16, 128
"""Ids at one distance that are put in order by counting; more than FEW by a heap, unless they are two ascending runs, for which more
than SOME are looked through."""

_ONE = np.uint64(1)
_NONE = np.int64(0)
"""Zero as Numba takes any other number: for a plain 0 it compiles a form of its own of what is called with it."""


@inlined
def _sift(ids: Any, low: Any, root: Any, end: Any) -> None:
    """Restore the heap, greatest id first, of entries [low, low + end) below `root`."""
    value = ids[low + root]
    while 2 * root + 1 < end:
        child = 2 * root + 1
        if child + 1 < end and ids[low + child] < ids[low + child + 1]:
            child += 1
        if value >= ids[low + child]:
            break
        ids[low + root] = ids[low + child]
        root = child
    ids[low + root] = value


@inlined
def _sort(ids: Any, low: Any, high: Any) -> None:
    """Sort ids [low, high) in place by a heap."""
    for root in range((high - low) // 2 - 1, -1, -1):
        _sift(ids, low, root, high - low)
    for end in range(high - low - 1, 0, -1):
        ids[low], ids[low + end] = ids[low + end], ids[low]
        _sift(ids, low, _NONE, end)


@inlined
def _ranked(ids: Any, low: Any, high: Any, count: Any, out: Any, at: Any) -> None:
    """The `count` lowest of ids [low, high), in order, to out[at : at + count].

    Where each belongs is how many are lower. Counting them branches on nothing and compares several at once, which for a few
    dozen is faster than any sorting that decides between two. Places are unsigned, so that the compiler need not ask
    whether they count from the end.
    """
    low, high, at = np.uint64(low), np.uint64(high), np.uint64(at)
    for one in range(low, high):
        value = ids[one]
        before = 0
        for other in range(low, one):
            before += int(ids[other] <= value)
        for other in range(one + _ONE, high):
            before += int(ids[other] < value)
        if before < count:
            out[at + np.uint64(before)] = value


@inlined
def _run(ids: Any, low: Any, high: Any) -> Any:
    """Where the ids from `low` on, below `high`, cease to ascend."""
    end = low + 1
    while end < high and ids[end - 1] <= ids[end]:
        end += 1
    return min(end, high)


@inlined
def _merged(ids: Any, low: Any, middle: Any, high: Any, count: Any, out: Any, at: Any) -> None:
    """The `count` lowest of the ascending ids [low, middle) and [middle, high), in order, to out[at : at + count]."""
    one, other = low, middle
    for k in range(at, at + count):
        first = other >= high or (one < middle and ids[one] <= ids[other])
        out[k] = ids[one] if first else ids[other]
        one += int(first)
        other += int(not first)


@inlined
def _lowest(ids: Any, low: Any, high: Any, count: Any) -> None:
    """Bring the `count` lowest of ids [low, high) to its beginning, in no order: a heap of the lowest so far."""
    for root in range(count // 2 - 1, -1, -1):
        _sift(ids, low, root, count)
    for p in range(low + count, high):
        if ids[p] < ids[low]:
            ids[low] = ids[p]
            _sift(ids, low, _NONE, count)


@inlined
def _in_order(ids: Any, low: Any, high: Any, count: Any, out: Any, at: Any) -> None:
    """The `count` lowest of ids [low, high), in order, to out[at : at + count]; leaves the ids in another order."""
    middle = low
    if high - low > SOME:
        # Ids of a shared hash, and what was selected before, are in order already.
        middle = _run(ids, low, high)
    if middle > low and (middle == high or _run(ids, middle, high) == high):
        _merged(ids, low, middle, high, count, out, at)
    elif high - low <= FEW:
        _ranked(ids, low, high, count, out, at)
    else:
        if count < high - low:
            _lowest(ids, low, high, count)
        _sort(ids, low, low + count)
        for k in range(count):
            out[at + k] = ids[low + k]


@bare
def _count(query: Any, low: Any, high: Any, starts: Any) -> None:
    """Add the pairs of the queries [low, high) to `starts` int64 (high - low + 1), each one place further on."""
    for p in range(len(query)):
        q = int(query[p])
        if low <= q < high:
            starts[q - low + 1] += 1


@bare
def _group(
    query: Any, ids: Any, distances: Any, low: Any, high: Any, heads: Any, to_ids: Any, to_distances: Any
) -> None:
    """Put the pairs of the queries [low, high) beside each other; `heads` is where the next of a query goes."""
    for p in range(len(query)):
        q = int(query[p])
        if low <= q < high:
            at = heads[q - low]
            heads[q - low] = at + 1
            to_ids[at] = ids[p]
            to_distances[at] = distances[p]


@bare
def _nearest(
    starts: Any, ids: Any, distances: Any, cap: Any, real: Any, places: Any, sorted_ids: Any, out_query: Any,
    out_ids: Any, out_distances: Any,
) -> Any:  # fmt: skip
    """For each query the `cap` nearest of its pairs, by distance and id: a counting sort by distance, then by id.

    `places` int64 (258,) and `sorted_ids` int64, as long as the pairs of any query, are scratch. Returns how many.
    """
    out = 0
    for q in range(len(starts) - 1):
        low, high = starts[q], starts[q + 1]
        wanted = min(high - low, cap) if q < real else high - low
        if wanted == 0:
            continue
        places[:] = 0
        for p in range(low, high):
            places[distances[p]] += 1
        # All pairs nearer than `last` are wanted, and of those at `last` the ones with the lowest ids.
        last, nearer = 0, 0
        while nearer + places[last] < wanted:
            nearer += places[last]
            last += 1
        at = 0
        for d in range(last + 1):
            places[d], at = at, at + places[d]
        places[last + 1] = at
        for p in range(low, high):
            d = min(int(distances[p]), last + 1)  # what is farther is laid behind the others, and left there
            sorted_ids[places[d]] = ids[p]
            places[d] += 1
        begin = _NONE
        for d in range(last + 1):
            end = places[d]
            count = min(end, wanted) - begin
            _in_order(sorted_ids, begin, end, count, out_ids, out + begin)
            out_distances[out + begin : out + begin + count] = d
            begin = end
        out_query[out : out + wanted] = q
        out += wanted
    return out


def nearest(parts: list[PairArrays], low: int, high: int, cap: int, real: int) -> PairArrays:
    """The `cap` nearest pairs of each of the queries [low, high), ordered by query, distance and known id.

    The cap holds for the first `real` queries; the others, canaries, keep all pairs.
    """
    starts = np.zeros(high - low + 1, np.int64)
    for query, _, _ in parts:
        _count(query, low, high, starts)
    sizes = starts[1:].copy()
    starts = np.cumsum(starts)
    grouped_ids, grouped_distances = np.empty(int(starts[-1]), np.int64), np.empty(int(starts[-1]), np.uint16)
    heads = starts.copy()
    for query, ids, distances in parts:
        _group(query, ids, distances, low, high, heads, grouped_ids, grouped_distances)
    own = max(0, min(real, high) - low)
    kept = int(np.minimum(sizes[:own], cap).sum() + sizes[own:].sum())
    out = np.empty(kept, np.uint32), np.empty(kept, np.int64), np.empty(kept, np.uint16)
    scratch = np.empty(258, np.int64), np.empty(int(sizes.max(initial=0)), np.int64)
    _nearest(starts, grouped_ids, grouped_distances, cap, own, *scratch, *out)
    out[0][:] += np.uint32(low)
    return out
