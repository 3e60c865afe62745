"""One worker as the parent sees it: its channel, its deadline, and what it has said about the present file.

Nothing that can be compared is believed: size and digests are held against what the parent knows, and an answer carries the
digests that were held before. A worker that says anything else is ended.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from dataclasses import replace
from typing import Any

from pipeline.fingerprint.decode.sniff import BY_NAME
from pipeline.fingerprint.outcome import Digests, Failure, Fingerprint, Reason
from pipeline.fingerprint.sandbox import wire
from pipeline.fingerprint.sandbox.jobs import Expected, Job, cpu_need, message
from pipeline.fingerprint.sandbox.layers import Reached
from pipeline.fingerprint.sandbox.spawner import Child, ForkServer, ServerLostError

GREETING_SECONDS = 30.0
MIB = 1 << 20
SAMPLED = 0.6
"""Share of its processor time from which a worker that the kernel killed has used it up: the kernel goes by ticks, of which a busy machine
gives a process more than it has run."""


class Handle:
    """State of a worker. After `begin`, `receive` is called whenever its channel is readable, until it returns True;
    then either `outcome` or `failure` is set."""

    def __init__(self, child: Child, policy: dict[str, Any], server: ForkServer) -> None:
        self.child = child
        self.server = server
        self.channel = child.channel
        self.deadline = 0.0
        self.began = 0.0
        self.files = 0
        self.resident_kib = 0
        self.outcome: Any = None
        self.failure: Failure | None = None
        self.group: str | None = None
        self.life = 0
        self._policy = policy
        self._limits = policy["limits"]
        self._step = self._limits["heartbeat_mb"] * MIB
        self._decoded = False
        self._worn = 0.0
        self._latest = 0.0
        self._job = -1
        self._expected: Expected | None = None
        self._digests: tuple[Digests, str] | None = None
        self._read = 0

    def greet(self) -> Reached:
        """Wait for a new worker's first record: what isolation it reached. Raises ServerLostError when it does not come."""
        self.channel.settimeout(GREETING_SECONDS)
        try:
            answer = wire.parse(self.channel.recv(wire.LARGEST))
        except (OSError, wire.RubbishError) as error:
            self.child.close()
            raise ServerLostError from error
        self.channel.settimeout(None)
        if answer.kind is not wire.Kind.HELLO:
            self.child.close()
            raise ServerLostError
        return Reached(*answer.body)

    def takes(self, job: Job[Any], expected: Expected) -> bool:
        """Whether this idle worker may have the file: a fresh one always, another only within its package.

        One that has decoded something may have been taken over. It gets no file of another package, none whose digests
        nobody has made before, and none that failed in another worker.
        """
        if self.group is None:
            return True
        if self.group != job.request.group or job.attempts or (self._decoded and not job.request.comparable):
            return False
        return self._worn + cpu_need(expected, self._policy) <= self.life

    def begin(self, job: Job[Any], expected: Expected, descriptor: int) -> bool:
        """Send a request and the open file; False when the worker is dead already."""
        if self.group is None:
            self.group = job.request.group
            # the limit of the kernel leaves room for a file as dear as the first one after those that came before it
            self.life = self._policy["recycle"]["cpu_seconds"] + cpu_need(expected, self._policy)
        self._job, self._expected, self._digests, self._read = job.number, expected, None, 0
        self._decoded = self._decoded or expected.kind != "digest"
        self.outcome = self.failure = None
        try:
            socket.send_fds(self.channel, [message(job, expected, self.life)], [descriptor])
        except OSError:
            return False
        self.began = time.monotonic()
        self.deadline = self.began + self._limits["wall_seconds"]
        self._latest = self.began + self._limits["wall_most_seconds"]
        return True

    def receive(self) -> bool:
        """Read one record; True when the file is done, well or badly."""
        try:
            data = self.channel.recv(wire.LARGEST, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.fail(Reason.EXITED)
            return True
        try:
            return self._accept(wire.parse(data))
        except wire.RubbishError as error:
            self.fail(Reason.RUBBISH, str(error))
            return True

    def _accept(self, answer: wire.Reply) -> bool:
        expected = self._expected
        if answer.job != self._job or expected is None:
            raise wire.RubbishError("job")
        self.resident_kib = max(self.resident_kib, answer.resident_kib)
        kind = answer.kind
        if kind is wire.Kind.TICK:
            further = self._read // self._step < answer.body // self._step
            if not further or answer.body > expected.ticks or self._digests is not None:
                raise wire.RubbishError("ticks")
            self._read = answer.body
            self.deadline = min(time.monotonic() + self._limits["wall_seconds"], self._latest)
            return False
        if kind is wire.Kind.DIGESTS and self._digests is None:
            self._digests = self._compared(expected, *answer.body)
            if expected.kind == "digest":
                return self._end(self._digests)
            if BY_NAME[answer.body[1]].video:
                self.deadline = time.monotonic() + self._policy["video"]["wall_seconds"]
            return False
        if kind is wire.Kind.FAILED:
            return self._end(self._with_digests(answer.body))
        if self._digests is not None and kind is wire.Kind.RESULT and expected.kind == "fingerprint":
            found: Fingerprint = answer.body
            return self._end(replace(found, digests=self._digests[0], media_type=self._digests[1]))
        if self._digests is not None and kind is wire.Kind.REFINED and expected.kind == "refine":
            if len(answer.body) != expected.refinements:
                raise wire.RubbishError("refinements")
            return self._end(answer.body)
        raise wire.RubbishError("kind")

    @staticmethod
    def _compared(expected: Expected, found: Digests, media_type: str) -> tuple[Digests, str]:
        """The digests of an answer, held against what is known: those that were held before stand in their place."""
        if expected.size not in (None, found.size) or found.size > expected.most:
            raise wire.RubbishError("size")
        if expected.sha256 not in (None, found.sha256):
            raise wire.RubbishError("sha256")
        return expected.held or found, media_type

    def _end(self, outcome: Any) -> bool:
        self._worn += time.monotonic() - self.began
        self.outcome = outcome
        self.files += 1
        return True

    def expire(self) -> bool:
        """The deadline has passed."""
        self.fail(Reason.WALL_TIME)
        return True

    def fail(self, reason: Reason, detail: str = "") -> Failure:
        """The worker is to be ended; the present file's outcome is this failure."""
        self.failure = self._with_digests(Failure(reason, detail))
        return self.failure

    def blamed(self, ending: str, cpu_seconds: float) -> Failure:
        """Why the worker ended in the middle of a file: `ending` is its signal or exit code, empty when it is not known."""
        if ending == "SIGXCPU" or (ending == "SIGKILL" and cpu_seconds > SAMPLED * self.life):
            return self.fail(Reason.CPU_TIME, ending)
        if ending.startswith("exit.") or not ending:
            return self.fail(Reason.EXITED, ending)
        return self.fail(Reason.CRASHED, ending)

    def _with_digests(self, failure: Failure) -> Failure:
        if self._digests is None:
            return failure
        return replace(failure, digests=self._digests[0], media_type=self._digests[1])

    @property
    def hung_up(self) -> bool:
        """Whether the worker closed its channel, that is, ended or is about to."""
        return self.failure is not None and self.failure.reason is Reason.EXITED

    def spent(self, recycle: dict[str, Any]) -> bool:
        """Whether this worker is to be replaced before its next file.

        The decoder of some formats (libheif) stays in disorder after damaged content: sound files that came after it were
        reported as cut off. Such a worker has had its last file.
        """
        found = self.outcome
        faulty = isinstance(found, Failure | Fingerprint) and found.reason is not Reason.NONE
        disordered = faulty and found.media_type in recycle["after_fault"]
        grown = self.resident_kib * 1024 > recycle["resident_mb"] * MIB
        failed = isinstance(self.outcome, Failure) and self.outcome.reason in (Reason.MEMORY, Reason.INTERNAL)
        return grown or failed or disordered or self.files >= recycle["files"]

    def drain(self) -> int:
        """Bytes that decoders have printed; the text is not kept."""
        count = 0
        with contextlib.suppress(BlockingIOError, OSError):
            while chunk := os.read(self.child.stderr, 65536):
                count += len(chunk)
        return count
