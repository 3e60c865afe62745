"""CPU seconds of a stage: this process, the children it has collected, and the media workers.

The workers are children of a fork server, behind bubblewrap where there is one: the kernel's count of our collected
children never gets to know them. Whoever starts a fork server or ends a worker reports its CPU time here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

_workers: list[float] = []


@dataclass(frozen=True)
class Spent:
    """CPU seconds up to a moment."""

    own: float
    children: float
    workers: float


def count_worker(seconds: float) -> None:
    """A media worker, or the start of its fork server, has used so many CPU seconds."""
    _workers.append(seconds)


def spent() -> Spent:
    """CPU seconds so far."""
    times = os.times()
    return Spent(times.user + times.system, times.children_user + times.children_system, sum(_workers))


def since(before: Spent) -> float:
    """CPU seconds since `before`. A worker that the kernel does count among our children is not counted twice."""
    now = spent()
    return now.own - before.own + max(now.children - before.children, now.workers - before.workers)
