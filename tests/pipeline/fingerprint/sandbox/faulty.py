"""A decoder that misbehaves on request: content that begins with FAULT: names what is to go wrong. Only for tests.

Any other content gets a fingerprint made from its digest, so that good files can be compared between runs.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Callable

from pipeline.fingerprint.decode.task import Task
from pipeline.fingerprint.outcome import Fingerprint, Hashes, State
from pipeline.fingerprint.sandbox import wire


def decode(task: Task) -> Fingerprint:
    data = task.content.read(64)
    if data.startswith(b"FAULT:"):
        FAULTS[data[6:].split()[0].decode()](task)
    return plain(task)


def plain(task: Task) -> Fingerprint:
    key = task.digests.sha256
    hashes = Hashes(key, key[0] % 101, key, key[:8], key[8:16], bool(key[1] & 1))
    return Fingerprint(task.digests, task.media.name, State.HASHED, width=1 + key[2], height=1 + key[3], hashes=hashes)


def _segv(_: Task) -> None:
    ctypes.string_at(0)


def _abort(_: Task) -> None:
    os.abort()


def _kill(_: Task) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop(_: Task) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _loop(_: Task) -> None:
    while True:
        pass


def _sleep(_: Task) -> None:
    time.sleep(1000)


def _memory(_: Task) -> None:
    held = []
    while True:
        held.append(bytearray(8 << 20))


def _fork(_: Task) -> None:
    if os.fork() == 0:
        os.setsid()
        time.sleep(1000)


def _prints(_: Task) -> None:
    for descriptor in (1, 2):
        for _ in range(200):
            try:
                os.write(descriptor, b"\x1b[31mlibtiff: a warning with text of the file\n" * 100)
            except BlockingIOError:
                break


def _rubbish(task: Task) -> None:
    task.channel.send(os.urandom(300))


def _forged(task: Task) -> None:
    task.channel.send(wire.result(10**9, 0, plain(task)))


def _half(task: Task) -> None:
    whole = wire.result(0, 0, plain(task))
    task.channel.send(whole[: len(whole) // 2])
    os._exit(0)


def _twice(task: Task) -> None:
    task.channel.send(wire.digests(0, 0, task.digests, task.media.name))


def _exit(_: Task) -> None:
    os._exit(0)


def _exit_code(_: Task) -> None:
    sys.stdout.flush()
    os._exit(3)


def _hang_up(task: Task) -> None:
    task.channel.shutdown(socket.SHUT_RDWR)
    time.sleep(1000)


def _ticks(task: Task) -> None:
    while True:
        task.channel.send(wire.tick(0, 1))


def _raises(_: Task) -> None:
    raise ZeroDivisionError


def _recursion(task: Task) -> None:
    _recursion(task)


def _system_exit(_: Task) -> None:
    raise SystemExit(0)


def _full_disk(_: Task) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


FAULTS: dict[str, Callable[[Task], None]] = {
    name.removeprefix("_"): function
    for name, function in list(globals().items())
    if name.startswith("_") and callable(function) and getattr(function, "__module__", "") == __name__
}
QUICK = {
    "segv": {"crashed"},
    "abort": {"crashed"},
    "kill": {"crashed"},
    "rubbish": {"rubbish"},
    "forged": {"rubbish"},
    "half": {"rubbish"},
    "twice": {"rubbish"},
    "exit": {"exited"},
    "exit_code": {"exited"},
    "full_disk": {"exited"},
    "system_exit": {"exited"},
    "hang_up": {"exited", "crashed"},
    "ticks": {"rubbish"},
    "raises": {"internal"},
    "recursion": {"internal", "crashed"},
    "fork": {"internal"},
}
"""Faults that show at once, and the reasons that a file may end with."""
SLOW = {"loop": {"cpu_time"}, "sleep": {"wall_time"}, "stop": {"wall_time"}, "memory": {"memory"}}
"""Faults that only a limit ends."""
HARMLESS = {"prints"}
