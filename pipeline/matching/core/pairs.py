"""What a pass asks and what it gives, whichever way it is done: by compiled kernels (`driver.py`) or by NumPy (`few.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PairArrays = tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint16]]
"""Query row, known id and distance of each pair."""

NearestOf = Callable[[list[PairArrays], int, int, int, int], PairArrays]
"""`selection.nearest` or `few.nearest`."""

NO_CAP = 2**31 - 1
"""The cap when all pairs are kept."""


@dataclass
class JoinCounters:
    """Work done, over all workers; `plans` are the kinds of plan used.

    `busiest` is the CPU time of the busiest worker of each parallel step, when there are several, in seconds.
    """

    visits: int = 0
    candidates: int = 0
    survivors: int = 0
    plans: set[str] = field(default_factory=set)
    busiest: float = 0.0


@dataclass(frozen=True)
class Queries:
    """One pass of queries: `chunks` uint16 (n, m), of which the first `real` are not canaries, and the cap."""

    chunks: NDArray[np.uint16]
    real: int
    cap: int

    @property
    def count(self) -> int:
        return len(self.chunks)


@dataclass(frozen=True)
class Collected:
    """All workers' results together: the nearest pairs in order, and the full count of each query."""

    pairs: PairArrays
    totals: NDArray[np.int64]


def concatenated(parts: list[PairArrays]) -> PairArrays:
    """Pairs in pieces, one after the other."""
    query, ids, distances = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return query, ids, distances
