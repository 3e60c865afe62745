"""One worker as the parent sees it: its channel, its deadline, and what it has said about the present file."""

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
from pipeline.fingerprint.sandbox.spawner import Child, ForkServer, ServerLostError

GREETING_SECONDS = 30.0
MIB = 1 << 20


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
        self._limits = policy["limits"]
        self._video_seconds = policy["video"]["wall_seconds"]
        self._most_ticks = self._limits["file_gb"] * 1024 // self._limits["heartbeat_mb"]
        self._job = -1
        self._kind = ""
        self._digests: tuple[Digests, str] | None = None
        self._ticks = 0
        self._expected = -1

    def greet(self) -> int:
        """Wait for a new worker's first record: its isolation layers. Raises ServerLostError when it does not come."""
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
        layers: int = answer.body
        return layers

    def begin(self, job: int, request: bytes, *, kind: str, refinements: int = 0) -> bool:
        """Send a request; False when the worker is dead already."""
        self._job, self._kind, self._digests, self._ticks = job, kind, None, 0
        self._expected = refinements if kind == "refine" else -1
        self.outcome = self.failure = None
        try:
            self.channel.send(request)
        except OSError:
            return False
        self.began = time.monotonic()
        self.deadline = self.began + self._limits["wall_seconds"]
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

    def _accept(self, answer: wire.Answer) -> bool:
        if answer.job != self._job:
            raise wire.RubbishError("job")
        self.resident_kib = max(self.resident_kib, answer.resident_kib)
        kind = answer.kind
        if kind is wire.Kind.TICK:
            self._ticks += 1
            if self._ticks > self._most_ticks or self._digests is not None:
                raise wire.RubbishError("ticks")
            self.deadline = time.monotonic() + self._limits["wall_seconds"]
            return False
        if kind is wire.Kind.DIGESTS and self._digests is None:
            self._digests = answer.body
            if self._kind == "digest":
                return self._end(answer.body)
            if BY_NAME[answer.body[1]].video:
                self.deadline = time.monotonic() + self._video_seconds
            return False
        if kind is wire.Kind.FAILED:
            return self._end(self._with_digests(answer.body))
        if self._digests is not None and kind is wire.Kind.RESULT and self._kind == "fingerprint":
            found: Fingerprint = answer.body
            return self._end(replace(found, digests=self._digests[0], media_type=self._digests[1]))
        if self._digests is not None and kind is wire.Kind.REFINED and len(answer.body) == self._expected:
            return self._end(answer.body)
        raise wire.RubbishError("kind")

    def _end(self, outcome: Any) -> bool:
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

    def _with_digests(self, failure: Failure) -> Failure:
        if self._digests is None:
            return failure
        return replace(failure, digests=self._digests[0], media_type=self._digests[1])

    @property
    def hung_up(self) -> bool:
        """Whether the worker closed its channel, that is, ended or is about to."""
        return self.failure is not None and self.failure.reason is Reason.EXITED

    def spent(self, recycle: dict[str, int]) -> bool:
        """Whether this worker is to be replaced before its next file."""
        grown = self.resident_kib * 1024 > recycle["resident_mb"] * MIB
        failed = isinstance(self.outcome, Failure) and self.outcome.reason in (Reason.MEMORY, Reason.INTERNAL)
        return grown or failed or self.files >= recycle["files"]

    def drain(self) -> int:
        """Bytes that decoders have printed; the text is not kept."""
        count = 0
        with contextlib.suppress(BlockingIOError, OSError):
            while chunk := os.read(self.child.stderr, 65536):
                count += len(chunk)
        return count
