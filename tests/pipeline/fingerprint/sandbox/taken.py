"""A decoder that a file takes over: from then on its process lies about whatever it is given. Only for tests.

Content that begins with EVIL: names the lie; every other file is fingerprinted as `faulty` does it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from typing import Any

from pipeline.fingerprint.decode.task import Task
from pipeline.fingerprint.facts import Exif
from pipeline.fingerprint.outcome import Digests, Fingerprint, Hashes, State
from pipeline.fingerprint.sandbox import wire
from pipeline.fingerprint.sandbox.worker import Worker
from tests.pipeline.fingerprint.sandbox.faulty import plain

JUNK = Hashes(b"\xee" * 32, 100, b"\xee" * 32, b"\xee" * 8, b"\xee" * 8, False)


def decode(task: Task) -> Fingerprint:
    data = task.content.read(64)
    if not data.startswith(b"EVIL:"):
        return plain(task)
    lie = data[5:].split()[0].decode()
    if lie in LIES:
        Worker._handle = LIES[lie]  # type: ignore[assignment]
    else:
        NOW[lie](task)
    return plain(task)


def _answers(worker: Worker, job: int, digests: Digests) -> bytes:
    worker.channel.send(wire.digests(job, 0, digests, "text/plain"))
    return wire.result(job, 0, Fingerprint(digests, "", State.HASHED, hashes=JUNK))


def _asked(request: dict[str, Any]) -> Digests:
    sha256 = bytes.fromhex(request["sha256"]) if request["sha256"] else bytes(32)
    return Digests(sha256, b"\xee" * 16, b"\xee" * 20, request["size"] or 0)


def _forge(worker: Worker, job: int, request: dict[str, Any], descriptor: int) -> bytes:
    """The digest that was asked for, with a false MD5 and SHA-1, and junk hashes."""
    os.close(descriptor)
    return _answers(worker, job, _asked(request))


def _other_content(worker: Worker, job: int, request: dict[str, Any], descriptor: int) -> bytes:
    """The answer to another content than the one asked for."""
    os.close(descriptor)
    return _answers(worker, job, _asked(request)._replace(sha256=hashlib.sha256(b"another").digest()))


def _other_size(worker: Worker, job: int, request: dict[str, Any], descriptor: int) -> bytes:
    os.close(descriptor)
    return _answers(worker, job, _asked(request)._replace(size=1234))


LIES = {"forge": _forge, "other_content": _other_content, "other_size": _other_size}


def _leak(task: Task) -> None:
    """Send out what lies elsewhere in the landing folder, as the make of a camera."""
    texts = []
    for place in ("/proc/self/cwd", os.environ.get("PWD", "/")):
        try:
            texts += os.listdir(place)  # noqa: PTH208 - the attack, not our code
        except OSError:
            continue
    found = Fingerprint(task.digests, "", State.HASHED, hashes=JUNK, exif=Exif(make="{'covert_source'}"))
    task.channel.send(wire.digests(0, 0, task.digests, "text/plain"))
    task.channel.send(wire.result(0, 0, found))


def _hold(task: Task) -> None:
    """Ticks for bytes that the file does not have."""
    for number in range(1, 1000):
        task.channel.send(wire.tick(0, number << 26))
        time.sleep(0.05)


def _burn(_: Task) -> None:
    """Processor time without end, deaf to the soft limit."""
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    while True:
        pass


NOW = {"leak": _leak, "hold": _hold, "burn": _burn}
