"""The parent's side of the media workers: give each file to a worker, take back one checked outcome for each.

    digest_files(settings, locators)   sha256, md5, sha1 (for some sha512) and size
    fingerprint_files(settings, items) digests, facts and perceptual hashes
    refine(settings, items)            smallest distance of a picture to a known hash over its geometry

Results come in the order of the input and do not depend on the number of workers. A file is blamed for its worker's
death only when it was being read: a worker has one file at a time, and all its files are of one package. This process opens the
files and passes their descriptors on; it reads none of them.
"""

from __future__ import annotations

import itertools
import os
import selectors
import time
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pipeline import cputime
from pipeline import policy as policies
from pipeline.algorithms import DIGESTS
from pipeline.errors import DependencyError
from pipeline.fingerprint.outcome import Digests, Failure, Fingerprint, Item, Outcome, Reason, Refined, Refusal
from pipeline.fingerprint.sandbox.handle import Handle
from pipeline.fingerprint.sandbox.handover import Landing
from pipeline.fingerprint.sandbox.jobs import Expected, Job, PackageFaults, Request, expectation
from pipeline.fingerprint.sandbox.layers import Reached
from pipeline.fingerprint.sandbox.spawner import Ending, ForkServer, ServerLostError
from pipeline.fingerprint.sandbox.turns import WINDOW, Turns
from pipeline.locator import Locator
from pipeline.settings import Settings

DECODER = "pipeline.fingerprint.decode.media:decode"
AHEAD = 2000
"""Results that are kept waiting for an earlier, slower file: about 3 KB each."""
REFINED_AT_ONCE = 16
"""Known hashes that one request refines a picture against."""
SERVER_LOSSES = 5
"""Fork servers that may be lost in one pool before it gives up: something outside is killing them."""

T = TypeVar("T")


@dataclass
class PoolReport:
    """What the workers of a pool did. `deaths` counts workers by how they ended other than by recycling;
    `slowest_seconds` is the longest that one file was with a worker."""

    reached: Reached | None = None
    versions: dict[str, str] = field(default_factory=dict)
    workers: int = 0
    deaths: dict[str, int] = field(default_factory=dict)
    stderr_bytes: int = 0
    cpu_seconds: float = 0.0
    resident_kib: int = 0
    slowest_seconds: float = 0.0

    @property
    def sandbox(self) -> str:
        """Names of the layers that held in every worker, Landlock with its ABI."""
        return (self.reached or Reached(0)).describe()


class Pool:
    """Worker processes for one run. Use as a context manager; `map` may be called again and again.

    `root` is the folder that locators are relative to (default: the landing folder), `readable` what may be opened for them
    (default: root). `decoder` is None for digests only. Raises DependencyError when a worker cannot be started, or in
    strict mode when a layer of isolation is missing.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        decoder: str | None = DECODER,
        root: Path | None = None,
        readable: Sequence[Path] | None = None,
        workers: int | None = None,
    ) -> None:
        self.settings = settings
        self.policy = policies.load(settings, "fingerprint").data
        folder = root or settings.landing_dir
        self.landing = Landing(folder, readable if readable is not None else [folder])
        self.decoder = decoder
        self.count = workers or settings.thread_count
        self.report = PoolReport()
        self._server: ForkServer | None = None
        self._losses = 0
        self._idle: list[Handle] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rest(self) -> None:
        """End all workers, so that they are counted; the server that they are forked from stays for the next ones."""
        for handle in self._idle:
            self._end(handle)
        self._idle.clear()

    def close(self) -> None:
        """End all workers and their server."""
        self.rest()
        if self._server is not None:
            self._server.close()
            self._server = None

    def begin_report(self) -> None:
        """Count from now on: of what comes next, and not of what the same server served before."""
        self.report = PoolReport()

    def start(self) -> None:
        """Start one worker now, so that the isolation level and the versions are known."""
        self._idle.append(self._idle.pop() if self._idle else self._fork())

    # -- mapping -------------------------------------------------------------------------------------------------

    def digests(
        self, locators: Iterable[Locator], sha512: Container[Locator] = ()
    ) -> Iterator[tuple[Locator, Digests | Failure]]:
        """Digests of each file; SHA-512 too of those in `sha512`."""
        requests = ((p, Request("digest", p, (*DIGESTS, "sha512") if p in sha512 else DIGESTS)) for p in locators)
        for locator, found in self._map(requests):
            yield locator, found if isinstance(found, Failure) else found[0]

    def identified(self, locators: Iterable[Locator]) -> Iterator[tuple[Locator, tuple[Digests, str] | Failure]]:
        """Digests and media type of each file."""
        yield from self._map((locator, Request("digest", locator)) for locator in locators)

    def fingerprints(self, items: Iterable[Item]) -> Iterator[tuple[Item, Fingerprint | Failure]]:
        """Fingerprint of each file."""
        requests = (
            (i, Request("fingerprint", i.locator, DIGESTS[:1] if i.held else DIGESTS, held=i.held, variants=i.variants))
            for i in items
        )
        yield from self._map(requests)

    def refinements(self, items: Iterable[tuple[Locator, bytes, bytes]]) -> Iterator[Refined | Failure]:
        """Refinement of each (locator, sha256, known PDQ). Items of one file in a row cost one decoding."""
        groups = (
            (list(group), place) for place, group in itertools.groupby(items, key=lambda item: (item[0], item[1]))
        )
        requests = (
            (
                part,
                Request("refine", locator, DIGESTS[:1], sha256=sha256, known_pdqs=tuple(known for *_, known in part)),
            )
            for group, (locator, sha256) in groups
            for part in (group[at : at + REFINED_AT_ONCE] for at in range(0, len(group), REFINED_AT_ONCE))
        )
        for part, outcome in self._map(requests):
            for number, (locator, sha256, known) in enumerate(part):
                if isinstance(outcome, Failure):
                    yield outcome
                else:
                    yield Refined(locator, sha256, known, *outcome[number])

    def _map(self, requests: Iterable[tuple[T, Request]]) -> Iterator[tuple[T, Any]]:
        """Run requests on the workers, yield (item, outcome) in order."""
        source = Turns((Job(n, item, request) for n, (item, request) in enumerate(requests)), min(WINDOW, AHEAD))
        retries: deque[Job[T]] = deque()
        done: dict[int, tuple[Job[T], Any]] = {}
        busy: dict[Handle, Job[T]] = {}
        faults = PackageFaults(self.policy["limits"]["package_faults"])
        exhausted, following = False, 0
        with selectors.DefaultSelector() as selector:
            try:
                while True:
                    while len(busy) < self.count and (retries or not (exhausted or len(done) >= AHEAD)):
                        idle, taken = ({h.group for h in handles} for handles in (self._idle, busy))
                        job = retries.popleft() if retries else source.take(idle, taken)
                        if job is None:
                            exhausted = True
                            break
                        late = faults.given_up(job.request)
                        self._begin(job, late or self._send(job), busy, done, selector)
                    while following in done:
                        ended, outcome = done.pop(following)
                        yield ended.item, faults.judged(ended.request, outcome)
                        following += 1
                    if not busy:
                        if exhausted and not retries:
                            return
                        continue
                    for handle in self._finished(selector, busy):
                        selector.unregister(handle.channel)
                        job = busy.pop(handle)
                        outcome = self._conclude(handle, job)
                        if outcome is None:
                            retries.append(job)
                        else:
                            done[job.number] = (job, outcome)
            finally:
                for handle in busy:
                    self._end(handle)

    @staticmethod
    def _begin(
        job: Job[T],
        sent: Handle | Failure,
        busy: dict[Handle, Job[T]],
        done: dict[int, tuple[Job[T], Any]],
        selector: selectors.BaseSelector,
    ) -> None:
        """Wait for the worker that a file was given to; one that could not be opened is done."""
        if isinstance(sent, Failure):
            done[job.number] = (job, sent)
        else:
            busy[sent] = job
            selector.register(sent.channel, selectors.EVENT_READ, sent)

    def _send(self, job: Job[Any]) -> Handle | Failure:
        """Open the file and give it to a worker that may have it; a failure when it cannot be opened."""
        try:
            descriptor = self.landing.open(job.request.locator)
        except Refusal as refused:
            return Failure(refused.reason, refused.detail)
        try:
            expected = expectation(job.request, descriptor, self.policy["limits"])
            while True:
                handle = self._worker_for(job, expected)
                if handle.begin(job, expected, descriptor):
                    job.attempts += 1
                    return handle
                self._count_death(
                    _detail(self._end(handle)) or "lost"
                )  # it died while it was idle: not this file's doing
        except Refusal as refused:
            return Failure(refused.reason, refused.detail)
        finally:
            os.close(descriptor)

    def _worker_for(self, job: Job[Any], expected: Expected) -> Handle:
        """An idle worker that may have this file, or a new one in the place of one that may not."""
        for place in range(len(self._idle) - 1, -1, -1):
            if self._idle[place].takes(job, expected):
                return self._idle.pop(place)
        if self._idle:
            self._end(self._idle.pop(0))
        return self._fork()

    @staticmethod
    def _finished(selector: selectors.BaseSelector, busy: dict[Handle, Job[Any]]) -> list[Handle]:
        """Wait until workers have answered, died or passed their deadline."""
        wait = max(0.0, min(handle.deadline for handle in busy) - time.monotonic())
        ready = [key.data for key, _ in selector.select(wait)]
        ended = [handle for handle in ready if handle.receive()]
        late = time.monotonic()
        return ended + [
            handle for handle in busy if handle not in ended and handle.deadline <= late and handle.expire()
        ]

    def _conclude(self, handle: Handle, job: Job[Any]) -> Any:
        """The outcome of a worker's file, or None when it is to be tried again."""
        self.report.stderr_bytes += handle.drain()
        self.report.resident_kib = max(self.report.resident_kib, handle.resident_kib)
        self.report.slowest_seconds = max(self.report.slowest_seconds, time.monotonic() - handle.began)
        if handle.failure is None:
            if handle.spent(self.policy["recycle"]):
                self._end(handle)
            else:
                self._idle.append(handle)
            return handle.outcome
        ending = self._end(handle)
        failure = handle.failure
        if failure.reason is Reason.EXITED:
            failure = handle.blamed(_detail(ending), ending.cpu_seconds if ending else 0.0)
        self._count_death(failure.detail or failure.reason)
        again = failure.reason in (Reason.CRASHED, Reason.EXITED, Reason.RUBBISH)
        if again and job.attempts < self.policy["limits"]["attempts"]:
            return None
        return failure

    # -- workers -------------------------------------------------------------------------------------------------

    def _fork(self) -> Handle:
        while True:
            if self._server is None:
                self._server = self._start_server()
            try:
                handle = Handle(self._server.fork(), self.policy, self._server)
                reached = handle.greet()
                break
            except ServerLostError:
                self._lost()
        self.report.workers += 1
        self.report.versions = self._server.versions
        self.report.reached = reached.common(self.report.reached)
        rules = self.policy["sandbox"]
        missing = reached.missing(rules["required"], rules["landlock_abi"])
        if self.settings.sandbox == "strict" and missing:
            self._end(handle)
            raise DependencyError(
                f"The media worker cannot be isolated as TRIAGE_SANDBOX=strict demands: {', '.join(missing)} missing,"
                f" reached: {reached.describe()}.",
                "Allow it on this machine, or set TRIAGE_SANDBOX=auto, which uses what is there and records it.",
            )
        return handle

    def _start_server(self) -> ForkServer:
        config = {"policy": self.policy, "decoder": self.decoder}
        server = ForkServer(
            config,
            bubblewrap=self.policy["sandbox"]["bubblewrap"],
            home=self.settings.home,
            hidden=[self.settings.landing_dir.resolve(), self.settings.home.resolve()],
            stderr_bytes=self.policy["limits"]["stderr_bytes"],
        )
        self.report.cpu_seconds += server.start_cpu_seconds
        cputime.count_worker(server.start_cpu_seconds)
        return server

    def _end(self, handle: Handle) -> Ending | None:
        """Kill and collect a worker; how it had ended, or None when that cannot be known any more."""
        if handle.server is not self._server:  # lost with its fork server; the number may be another process by now
            handle.child.close()
            return None
        try:
            ending = handle.server.end(handle.child, hung_up=handle.hung_up)
        except ServerLostError:
            self._lost()
            return None
        self.report.cpu_seconds += ending.cpu_seconds
        cputime.count_worker(ending.cpu_seconds)
        self.report.resident_kib = max(self.report.resident_kib, ending.resident_kib)
        return ending

    def _lost(self) -> None:
        """The fork server is gone and its workers with it."""
        self._losses += 1
        if self._server is not None:
            self._server.close()
            self._server = None
        for handle in self._idle:
            handle.child.close()
        self._idle.clear()
        if self._losses > SERVER_LOSSES:
            raise DependencyError(
                "The media worker's fork server was ended several times from outside.",
                "Look for a memory limit of the container or the service.",
            )

    def _count_death(self, how: str) -> None:
        self.report.deaths[how] = self.report.deaths.get(how, 0) + 1


def _detail(ending: Ending | None) -> str:
    return ending.detail if ending else ""


@contextmanager
def _own(settings: Settings, pool: Pool | None, decoder: str | None) -> Iterator[Pool]:
    if pool is not None:
        yield pool
        return
    with Pool(settings, decoder=decoder) as made:
        yield made


def digest_files(
    settings: Settings, locators: Iterable[Locator], *, sha512: Container[Locator] = (), pool: Pool | None = None
) -> Iterator[tuple[Locator, Digests | Failure]]:
    """Digests of each file below the landing folder, in the order of `locators`; a file that cannot be read is a Failure.
    Of those in `sha512` that digest is made too."""
    with _own(settings, pool, None) as used:
        yield from used.digests(locators, sha512)


def fingerprint_files(
    settings: Settings, items: Iterable[Item], *, pool: Pool | None = None
) -> Iterator[tuple[Item, Fingerprint | Failure]]:
    """Fingerprint of each file below the landing folder, in the order of `items`."""
    with _own(settings, pool, DECODER) as used:
        yield from used.fingerprints(items)


def refine(
    settings: Settings, items: Iterable[tuple[Locator, bytes, bytes]], *, pool: Pool | None = None
) -> Iterator[Refined | Failure]:
    """For each (locator, sha256, known PDQ): the smallest distance over the picture's geometry, in the order of `items`.

    The sha256 is checked against the bytes; a picture that is not there any more is a Failure.
    """
    with _own(settings, pool, DECODER) as used:
        yield from used.refinements(items)


__all__ = ["Outcome", "Pool", "PoolReport", "digest_files", "fingerprint_files", "refine"]
