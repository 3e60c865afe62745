"""The worker: one process that reads media, one file at a time, and answers in fixed-size records.

It is the only code that reads media, from descriptors that the parent opened and sent with each request; it can open no media
itself. It has no network, cannot write, has limits on memory and time, and is thrown away when anything looks wrong, and
before the files of another package. Nothing derived from pixels leaves it but hashes and numbers.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import resource
import socket
from typing import Any, BinaryIO

from pipeline.fingerprint.decode.digests import FileReading
from pipeline.fingerprint.decode.opening import Opener, holds_more, refusal
from pipeline.fingerprint.decode.sniff import media_type
from pipeline.fingerprint.decode.task import Decoder, Refinement, Task
from pipeline.fingerprint.machine import blame_file
from pipeline.fingerprint.outcome import Reason, Refusal
from pipeline.fingerprint.sandbox import layers as sandbox
from pipeline.fingerprint.sandbox import wire

MIB, GIB = 1 << 20, 1 << 30


def run(config: Any, outer: int, channel: int, stderr: int) -> None:
    """Take leave of the world, then serve requests until the channel closes."""
    limits = config.policy["limits"]
    reached = sandbox.confine(limits, outer=outer, keep=(channel,), stderr=stderr)
    sock = socket.socket(fileno=channel)
    sock.send(wire.hello(reached.layers, reached.abi))
    Worker(sock, config).serve()


class Worker:
    """The loop of one worker."""

    def __init__(self, channel: socket.socket, config: Any) -> None:
        self.channel = channel
        self.policy = config.policy
        self.limits = config.policy["limits"]
        self.opener = Opener(self.limits)
        self.hard_cpu: int | None = None
        self.decoder: Decoder | None = None
        if config.decoder is not None:
            module, _, name = config.decoder.partition(":")
            self.decoder = getattr(importlib.import_module(module), name)

    def serve(self) -> None:
        """Answer requests until the parent closes the channel."""
        while True:
            message, descriptors, _, _ = socket.recv_fds(self.channel, 1 << 17, 1)
            if not message:
                return
            request = json.loads(message)
            if self.hard_cpu is None:  # before the first byte of a file is read; it cannot be raised again
                self.hard_cpu = int(request["life_cpu_seconds"])
                resource.setrlimit(resource.RLIMIT_CPU, (self.hard_cpu, self.hard_cpu))
            self.budget(self.limits["cpu_seconds"])
            self.channel.send(self._answer(request, descriptors[0]))

    def _answer(self, request: dict[str, Any], descriptor: int) -> bytes:
        """The final answer to a request; whatever goes wrong is an answer too."""
        job = request["job"]
        try:
            return self._handle(job, request, descriptor)
        except Refusal as refused:
            return wire.failed(job, _resident_kib(), refused.reason, refused.detail)
        except MemoryError:
            return wire.failed(job, _resident_kib(), Reason.MEMORY, "MemoryError")
        except Exception as error:  # noqa: BLE001 - recorded as the outcome of this file
            blame_file(error)
            return wire.failed(job, _resident_kib(), Reason.INTERNAL, type(error).__name__)

    def _handle(self, job: int, request: dict[str, Any], descriptor: int) -> bytes:
        member: str | None = request["member"]
        wanted = bytes.fromhex(request["sha256"]) if request["sha256"] else None
        progress = _Progress(self, job)
        with self.opener.open(descriptor, member, progress.opening) as file:
            reading = self._read(request, file, member is not None, progress)
            found = reading.digests
            if (wanted is not None and found.sha256 != wanted) or request["size"] not in (None, found.size):
                raise Refusal(Reason.CHANGED)
            media = media_type(reading.head)
            answer = wire.digests(job, _resident_kib(), found, media.name)
            if request["kind"] == "digest" or self.decoder is None:
                return answer
            self.channel.send(answer)
            if found.size == 0:
                raise Refusal(Reason.EMPTY)
            if media.video:
                self.budget(math.ceil(self.policy["video"]["cpu_seconds"]) + 4)
            content = reading.content or file
            content.seek(0)
            known = [bytes.fromhex(text) for text in request["known_pdqs"]]
            task = Task(
                content, found, media, self.policy, request["variants"], known, reading.content is not None, self.channel
            )  # fmt: skip
            done = self.decoder(task)
        if isinstance(done, Refinement):
            return wire.refined(job, _resident_kib(), done.found)
        return wire.result(job, _resident_kib(), done)

    def _read(self, request: dict[str, Any], file: BinaryIO, in_archive: bool, progress: _Progress) -> FileReading:
        if not in_archive and os.fstat(file.fileno()).st_size > progress.largest:
            raise Refusal(Reason.TOO_LARGE)
        buffer = 0 if request["kind"] == "digest" else self.limits["buffer_mb"] * MIB
        try:
            made = FileReading(file, buffer=buffer, tick=progress.reading, names=request["digests"])
        except Exception as error:
            raise refusal(error, in_archive) from error
        if holds_more(file):
            raise Refusal(Reason.ARCHIVE_DAMAGED, "behind")
        return made

    def budget(self, seconds: int) -> None:
        """From now on this process may use so many CPU seconds before the kernel sends SIGXCPU.

        A decoder that was taken over may ignore that; at the hard limit, set once, the kernel kills.
        """
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        used = math.ceil(sum(os.times()[:2]))
        soft = used + seconds if hard == resource.RLIM_INFINITY else min(used + seconds, hard)
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


class _Progress:
    """What one request has read, of its archive and then of the file: every `heartbeat_mb` the parent is told, and the
    process may use the processor further."""

    def __init__(self, worker: Worker, job: int) -> None:
        self._worker, self._job = worker, job
        self._step = worker.limits["heartbeat_mb"] * MIB
        self.largest: int = worker.limits["file_gb"] * GIB
        self._opened = self._beats = 0

    def opening(self, size: int) -> None:
        """So much of a compressed archive was unpacked to find its members. Raises Refusal."""
        if size > self.largest:
            raise Refusal(Reason.ARCHIVE_LIMIT, "size")
        self._opened = size
        self._beat(size)

    def reading(self, size: int) -> None:
        """So much of the file itself was read. Raises Refusal."""
        if size > self.largest:
            raise Refusal(Reason.TOO_LARGE)
        self._beat(self._opened + size)

    def _beat(self, size: int) -> None:
        if size // self._step > self._beats:
            self._beats = size // self._step
            self._worker.budget(self._worker.limits["cpu_seconds"])
            self._worker.channel.send(wire.tick(self._job, size))


def _resident_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
