"""What a worker is asked to do with one file, what its answer is compared with, and what the file may cost."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Generic, TypeVar

from pipeline.algorithms import DIGESTS
from pipeline.fingerprint.outcome import Digests, Failure, Reason, Refusal
from pipeline.fingerprint.sandbox import wire
from pipeline.locator import Locator

T = TypeVar("T")
MIB, GIB = 1 << 20, 1 << 30


@dataclass(frozen=True)
class Request:
    """One question about one file. `kind` is digest, fingerprint or refine; `digests` are those to make.

    `sha256` and `size` are what the content has to have, where that is known; `held` are the digests that the answer carries
    whatever the worker says.
    """

    kind: str
    locator: Locator
    digests: Sequence[str] = DIGESTS
    sha256: bytes | None = None
    held: Digests | None = None
    known_pdqs: tuple[bytes, ...] = ()
    variants: bool = False

    @property
    def group(self) -> str:
        """Files that may have one worker after the other: those of one archive or folder, that is, of one package.

        Digests of plain files are made without looking into them, so they share.
        """
        if self.locator.member is not None:
            return self.locator.container
        return "" if self.kind == "digest" else str(PurePosixPath(self.locator.container).parent)

    @property
    def package(self) -> str:
        """The package that the file lies in: the first two parts of the path, a folder of landing and an entry of it."""
        return "/".join(PurePosixPath(self.locator.container).parts[:2])

    @property
    def comparable(self) -> bool:
        """Whether the answer is compared with digests that were made before. If not, only a worker that has not yet decoded
        anything may make them."""
        return self.kind != "digest" and (self.held is not None or self.sha256 is not None)


@dataclass
class Job(Generic[T]):
    """A request on its way: `number` is its place in the order, `item` what the caller asked with."""

    number: int
    item: T
    request: Request
    attempts: int = 0


@dataclass(frozen=True)
class Expected:
    """What the parent holds an answer against. `size` is the content's size if it is known, `most` the size up to which it
    may grow if not; `ticks` how much may be read for it, its archive included; `refinements` the number of answers to a refinement."""

    kind: str
    sha256: bytes | None
    held: Digests | None
    size: int | None
    most: int
    ticks: int
    refinements: int


FAULTS = frozenset(
    [Reason.MEMORY, Reason.CPU_TIME, Reason.WALL_TIME, Reason.CRASHED, Reason.EXITED, Reason.RUBBISH],
)
"""Outcomes that cost a worker, and often all the time that a file may take."""


class PackageFaults:
    """Gives up a package of which so many files have ended their workers: each may take all its time, and a sender can
    deliver twenty thousand. Counted in the order of the input, so that the number of workers changes nothing."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count: Counter[str] = Counter()

    def given_up(self, request: Request) -> Failure | None:
        """The outcome of a file that is not asked for any more; None while its package is read."""
        if self._count[request.package] < self._most:
            return None
        return Failure(Reason.PACKAGE_FAULTS, digests=request.held)

    def judged(self, request: Request, outcome: Any) -> Any:
        """The outcome of the next file in order, or that its package was given up before it."""
        late = self.given_up(request)
        if late is not None:
            return late
        if isinstance(outcome, Failure) and outcome.reason in FAULTS:
            self._count[request.package] += 1
        return outcome


def expectation(request: Request, descriptor: int, limits: dict[str, Any]) -> Expected:
    """What is known of the file behind an open descriptor. Raises Refusal when it is not the content that was taken in."""
    stated = os.fstat(descriptor).st_size
    size = request.held.size if request.held is not None else None
    if request.locator.member is None:
        if size not in (None, stated):
            raise Refusal(Reason.CHANGED)
        size = stated
    largest = limits["file_gb"] * GIB
    most = size if size is not None else MIB + stated * limits["member_ratio"]
    sha256 = request.held.sha256 if request.held is not None else request.sha256
    most = min(most, largest)
    ticks = most
    if request.locator.member is not None:  # a compressed archive is read through first
        ticks += min(MIB + stated * limits["member_ratio"], largest)
    return Expected(request.kind, sha256, request.held, size, most, ticks, len(request.known_pdqs))


def message(job: Job[Any], expected: Expected, life: int) -> bytes:
    """The request as the worker gets it, with the CPU seconds of its whole life; no path is in it."""
    request = job.request
    return wire.request(
        job=job.number,
        kind=request.kind,
        member=request.locator.member,
        sha256=expected.sha256,
        size=expected.size,
        digests=list(request.digests),
        known_pdqs=list(request.known_pdqs),
        variants=request.variants,
        life_cpu_seconds=life,
    )


def cpu_need(expected: Expected, policy: dict[str, Any]) -> int:
    """Most CPU seconds that this file may take: one budget, another for each heartbeat of its size, and a video's."""
    limits = policy["limits"]
    steps = expected.ticks // (limits["heartbeat_mb"] * MIB)
    reading = min(limits["cpu_seconds"] * (1 + steps), math.ceil(limits["wall_most_seconds"]))
    return int(reading + math.ceil(policy["video"]["cpu_seconds"]) + 6)
