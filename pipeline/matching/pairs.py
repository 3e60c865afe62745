"""Pairs of queries and known media in columns, and their reduction: to the nearest of a query, of a content, of a video.

A join gives one row per known hash that is near, and clustered pictures (a logo, a blank frame) have hundreds of thousands;
so pairs stay in arrays of numbers until it is known which of them become match rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.matching import core

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """One row per pair: position of the query, key of the known media item, distance in bits, and how many known hashes
    the query is near to in all (int64 each)."""

    place: Numbers
    media: Numbers
    distance: Numbers
    total: Numbers

    @classmethod
    def none(cls) -> Pairs:
        """No pairs."""
        empty = np.zeros(0, np.int64)
        return cls(empty, empty, empty, empty)

    def columns(self) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        return self.place, self.media, self.distance, self.total

    def take(self, chosen: Numbers) -> Pairs:
        """Some of them, in the order given."""
        return Pairs(*(column[chosen] for column in self.columns()))


def reduced(join: core.Join, places: Numbers) -> Pairs:
    """The nearest pair of each query and media item. `places` are the positions of the join's queries."""
    query, media, distance = (_numbers(join.table[name]) for name in ("query_id", "known_id", "distance"))
    total = _numbers(join.totals["pairs"])
    chosen = first_of(query, media, distance)
    query = query[chosen]
    return Pairs(places[query], media[chosen], distance[chosen], total[query])


def first_of(owner: Numbers, media: Numbers, *order: Numbers) -> Numbers:
    """Positions of the first row of each (owner, media) by `order`, sorted by owner and media."""
    if not len(owner):
        return np.zeros(0, np.int64)
    ordered = np.lexsort((*reversed(order), media, owner))
    first = np.ones(len(ordered), bool)
    first[1:] = (np.diff(owner[ordered]) != 0) | (np.diff(media[ordered]) != 0)
    return ordered[first]


def spans(
    owner: Numbers, pairs: Pairs, seconds: NDArray[np.float64]
) -> tuple[Numbers, Numbers, NDArray[np.float64], NDArray[np.float64]]:
    """Of each (video, media item): the position of its nearest pair (the earliest frame of several), how many frames are
    near, and the first and last second of them."""
    if not len(owner):
        none = np.zeros(0, np.int64)
        return none, none, np.zeros(0), np.zeros(0)
    ordered = np.lexsort((pairs.place, pairs.distance, pairs.media, owner))
    first = np.ones(len(ordered), bool)
    first[1:] = (np.diff(owner[ordered]) != 0) | (np.diff(pairs.media[ordered]) != 0)
    starts = np.flatnonzero(first)
    times = seconds[ordered]
    counts = np.diff(np.append(starts, len(ordered)))
    return ordered[starts], counts, np.minimum.reduceat(times, starts), np.maximum.reduceat(times, starts)


def codes(values: pa.ChunkedArray) -> Numbers:
    """A number for each distinct value, in the order of the values."""
    return _numbers(pc.rank(values.cast(pa.binary()).combine_chunks(), tiebreaker="dense"))


def _numbers(column: pa.ChunkedArray | pa.Array) -> Numbers:
    return np.asarray(column.to_numpy(), np.int64)
