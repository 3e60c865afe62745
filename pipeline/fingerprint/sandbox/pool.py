"""The parent's side of the media workers: give each file to a worker, take back one checked outcome for each.

    digest_files(settings, locators)   sha256, md5, sha1 (for some sha512) and size
    fingerprint_files(settings, items) digests, facts and perceptual hashes
    refine(settings, items)            smallest distance of a picture to a known hash over its geometry

Results come in the order of the input and do not depend on the number of workers. A file is blamed for its worker's
death only when it was being read: a worker has one file at a time. No media is opened in this process.
"""

from __future__ import annotations

import itertools
import selectors
import time
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline import cputime
from pipeline import policy as policies
from pipeline.errors import DependencyError
from pipeline.fingerprint.decode.digests import NAMES
from pipeline.fingerprint.outcome import Digests, Failure, Fingerprint, Item, Outcome, Reason, Refined
from pipeline.fingerprint.sandbox import layers as sandbox
from pipeline.fingerprint.sandbox import wire
from pipeline.fingerprint.sandbox.handle import Handle
from pipeline.fingerprint.sandbox.spawner import ForkServer, ServerLostError
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

    layers: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    workers: int = 0
    deaths: dict[str, int] = field(default_factory=dict)
    stderr_bytes: int = 0
    cpu_seconds: float = 0.0
    resident_kib: int = 0
    slowest_seconds: float = 0.0

    @property
    def sandbox(self) -> str:
        """Names of the layers that held in every worker."""
        return sandbox.describe(self.layers or 0)


@dataclass
class _Job(Generic[T]):
    number: int
    item: T
    request: dict[str, Any]
    attempts: int = 0


class Pool:
    """Worker processes for one run. Use as a context manager; `map` may be called again and again.

    `root` is the folder that locators are relative to (default: the landing folder), `readable` what workers may read
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
        self.root = (root or settings.landing_dir).resolve()
        self.readable = [str(path.resolve()) for path in (readable if readable is not None else [self.root])]
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

    def close(self) -> None:
        """End all workers."""
        for handle in self._idle:
            self._end(handle)
        self._idle.clear()
        if self._server is not None:
            self._server.close()
            self._server = None

    def start(self) -> None:
        """Start one worker now, so that the isolation level and the versions are known."""
        self._idle.append(self._idle.pop() if self._idle else self._fork())

    # -- mapping -------------------------------------------------------------------------------------------------

    def digests(
        self, locators: Iterable[Locator], sha512: Container[Locator] = ()
    ) -> Iterator[tuple[Locator, Digests | Failure]]:
        """Digests of each file; SHA-512 too of those in `sha512`."""
        requests = ((p, _request("digest", p, digests=(*NAMES, "sha512") if p in sha512 else NAMES)) for p in locators)
        for locator, found in self._map(requests):
            yield locator, found if isinstance(found, Failure) else found[0]

    def identified(self, locators: Iterable[Locator]) -> Iterator[tuple[Locator, tuple[Digests, str] | Failure]]:
        """Digests and media type of each file."""
        yield from self._map((locator, _request("digest", locator)) for locator in locators)

    def fingerprints(self, items: Iterable[Item]) -> Iterator[tuple[Item, Fingerprint | Failure]]:
        """Fingerprint of each file."""
        requests = (
            (i, _request("fingerprint", i.locator, sha256=i.sha256, variants=i.variants, digests=_digests(i)))
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
                _request(
                    "refine", locator, sha256=sha256, known_pdqs=[known for *_, known in part], digests=["sha256"]
                ),
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

    def _map(self, requests: Iterable[tuple[T, dict[str, Any]]]) -> Iterator[tuple[T, Any]]:
        """Run requests on the workers, yield (item, outcome) in order."""
        source = (_Job(n, item, request) for n, (item, request) in enumerate(requests))
        retries: deque[_Job[T]] = deque()
        done: dict[int, tuple[T, Any]] = {}
        busy: dict[Handle, _Job[T]] = {}
        exhausted, following = False, 0
        with selectors.DefaultSelector() as selector:
            try:
                while True:
                    while len(busy) < self.count and not (exhausted and not retries):
                        if not retries and len(done) >= AHEAD:
                            break
                        job = retries.popleft() if retries else next(source, None)
                        if job is None:
                            exhausted = True
                            break
                        handle = self._send(job)
                        busy[handle] = job
                        selector.register(handle.channel, selectors.EVENT_READ, handle)
                    while following in done:
                        yield done.pop(following)
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
                            done[job.number] = (job.item, outcome)
            finally:
                for handle in busy:
                    self._end(handle)

    def _send(self, job: _Job[Any]) -> Handle:
        """Give the job to an idle worker, or a new one."""
        while True:
            handle = self._idle.pop() if self._idle else self._fork()
            job.attempts += 1
            message = wire.request(job=job.number, **job.request)
            number = len(job.request["known_pdqs"])
            if handle.begin(job.number, message, kind=job.request["kind"], refinements=number):
                return handle
            job.attempts -= 1  # it died while it was idle: not this file's doing
            self._count_death(self._end(handle) or "lost")

    @staticmethod
    def _finished(selector: selectors.BaseSelector, busy: dict[Handle, _Job[Any]]) -> list[Handle]:
        """Wait until workers have answered, died or passed their deadline."""
        wait = max(0.0, min(handle.deadline for handle in busy) - time.monotonic())
        ready = [key.data for key, _ in selector.select(wait)]
        ended = [handle for handle in ready if handle.receive()]
        late = time.monotonic()
        return ended + [
            handle for handle in busy if handle not in ended and handle.deadline <= late and handle.expire()
        ]

    def _conclude(self, handle: Handle, job: _Job[Any]) -> Any:
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
            failure = _blame(handle, ending)
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
                layers = handle.greet()
                break
            except ServerLostError:
                self._lost()
        self.report.workers += 1
        self.report.layers = layers if self.report.layers is None else self.report.layers & layers
        missing = sandbox.missing(layers, self.policy["sandbox"]["required"])
        if self.settings.sandbox == "strict" and missing:
            self._end(handle)
            raise DependencyError(
                f"The media worker cannot be isolated as TRIAGE_SANDBOX=strict demands: {', '.join(missing)} missing.",
                "Allow it on this machine, or set TRIAGE_SANDBOX=auto, which uses what is there and records it.",
            )
        return handle

    def _start_server(self) -> ForkServer:
        config = {"root": str(self.root), "readable": self.readable, "policy": self.policy, "decoder": self.decoder}
        server = ForkServer(
            config,
            bubblewrap=self.policy["sandbox"]["bubblewrap"],
            home=self.settings.home,
            stderr_bytes=self.policy["limits"]["stderr_bytes"],
        )
        self.report.versions = server.versions
        self.report.cpu_seconds += server.start_cpu_seconds
        cputime.count_worker(server.start_cpu_seconds)
        return server

    def _end(self, handle: Handle) -> str:
        """Kill and collect a worker; how it had ended, or an empty text when that cannot be known any more."""
        if handle.server is not self._server:  # lost with its fork server; the number may be another process by now
            handle.child.close()
            return ""
        try:
            ending = handle.server.end(handle.child, hung_up=handle.hung_up)
        except ServerLostError:
            self._lost()
            return ""
        self.report.cpu_seconds += ending.cpu_seconds
        cputime.count_worker(ending.cpu_seconds)
        self.report.resident_kib = max(self.report.resident_kib, ending.resident_kib)
        return ending.detail

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


def _request(kind: str, locator: Locator, **more: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {"sha256": None, "known_pdqs": [], "variants": False, "digests": NAMES}
    return {"kind": kind, "container": locator.container, "member": locator.member, **defaults, **more}


def _digests(item: Item) -> Sequence[str]:
    return ("sha256",) if item.only_sha256 else NAMES


def _blame(handle: Handle, ending: str) -> Failure:
    """Why a worker ended in the middle of a file."""
    if ending == "SIGXCPU":
        return handle.fail(Reason.CPU_TIME, ending)
    if ending.startswith("exit.") or not ending:
        return handle.fail(Reason.EXITED, ending)
    return handle.fail(Reason.CRASHED, ending)


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
