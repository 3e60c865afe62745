"""Which file is next: the order of the input, but a package's files stay with the worker that has begun it.

A worker has files of one package only. Were files dealt out strictly in order, all workers would come to every package, and each would
need a new process for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator
from typing import Generic, TypeVar

from pipeline.fingerprint.sandbox.jobs import Job

T = TypeVar("T")

WINDOW = 64
"""How far before its turn a file may be taken: enough to pass most packages, and a large one is shared by all workers."""


class Turns(Generic[T]):
    """Jobs that wait, taken from `source` as they are needed."""

    def __init__(self, source: Iterator[Job[T]], window: int = WINDOW) -> None:
        self._source, self._window = source, window
        self._line: deque[Job[T]] = deque()

    def take(self, idle: Container[str | None], busy: Container[str | None]) -> Job[T] | None:
        """The next job, None when there is none left.

        It is the first whose package an `idle` worker has begun or no `busy` one reads, and belongs to no package or lies less than
        the window behind the one that has waited longest; else that one.
        """
        for place in range(self._window):
            if place == len(self._line):
                job = next(self._source, None)
                if job is None:
                    break
                self._line.append(job)
            job = self._line[place]
            if job.number >= self._line[0].number + self._window:
                break
            group = job.request.group
            if not group or group in idle or group not in busy:
                del self._line[place]
                return job
        return self._line.popleft() if self._line else None
