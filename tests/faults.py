"""System calls that fail or kill, in a child and in everything it starts: what `strace --inject` does, but only the chosen calls stop.

A child puts a seccomp filter on itself that hands the chosen calls to a listener (seccomp_unotify(2), Linux 5.5), sends the
listener to its parent, and works. The parent lets every call through but the one that is to meet the fault. A tracer stops a
process at every call that it makes, which on a machine with much to do takes a hundred times the work itself.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

_NUMBERS = {
    "close": (3, 57), "copy_file_range": (326, 285), "fdatasync": (75, 83), "fsync": (74, 82), "mkdir": (83, None),
    "openat": (257, 56), "pread64": (17, 67), "pwrite64": (18, 68), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "unlink": (87, None), "write": (1, 64),
}  # fmt: skip
"""Numbers on x86-64 and on arm64, which has no call of some names."""
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_FILTER, _NEW_LISTENER = 1, 8
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000
_LOAD, _JEQ, _RET = 0x20, 0x15, 0x06
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_GO_ON = 1
_NO_NEW_PRIVILEGES, _SUBREAPER = 38, 36


def numbers(call: str) -> dict[int, str]:
    """Numbers on this machine of a call, each with the name it is counted under; `/rename`: every call that renames."""
    column = _ARCHITECTURES[platform.machine()][0]
    names = [n for n in _NUMBERS if n.startswith(call[1:])] if call.startswith("/") else [call]
    return {found: call for name in names if (found := _NUMBERS[name][column]) is not None}


def possible() -> bool:
    """Whether this kernel and machine have what is needed here."""
    if platform.machine() not in _ARCHITECTURES:
        return False
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            hand_over(there, ["unlink"])
        except OSError:
            os._exit(1)
        os._exit(0)
    there.close()
    with suppress(OSError), here:
        Listener(here, ["unlink"]).close()
    return os.waitpid(child, 0)[1] == 0


def hand_over(to: socket.socket, calls: Iterable[str]) -> None:
    """In the child: from now on the calls of this process and of all it starts wait for the one who has the listener. Raises OSError."""
    wanted = sorted({number for call in calls for number in numbers(call)})
    code = [(_LOAD, 0, 0, 0), *((_JEQ, len(wanted) - place, 0, number) for place, number in enumerate(wanted))]
    code += [(_RET, 0, 0, _ALLOW), (_RET, 0, 0, _ASK)]
    program = b"".join(struct.pack("<HBBI", *step) for step in code)
    buffer = ctypes.create_string_buffer(program, len(program))
    given = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0:
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    listener = libc.syscall(_SECCOMP[platform.machine()], _SET_FILTER, _NEW_LISTENER, given)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    to.sendmsg([b"l"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])


class Listener:
    """The parent's end. `seen` counts the calls of each thread by its number; the fault meets the `when`-th of any thread."""

    def __init__(self, given: socket.socket, calls: Iterable[str], fault: str = "", when: int = 0) -> None:
        """Take the listener that the child sends. `fault` as strace has it: "signal=SIGKILL", instead of the call, or "error=EIO"; without it all
        calls go through. Raises OSError where the child could make none."""
        _, found, _, _ = socket.recv_fds(given, 1, 1)
        if not found:
            raise OSError(errno.ENOSYS, "the child has no listener")
        (self.descriptor,) = found
        self.names = {number: name for call in calls for number, name in numbers(call).items()}
        self.fault, self.when = fault, when
        self.seen: Counter[tuple[int, str]] = Counter()
        self.over = False

    def serve(self, seconds: float) -> None:
        """Answer the calls that come within that time; at once back when nothing is left that could make one (`over`)."""
        waiting = select.poll()
        waiting.register(self.descriptor, select.POLLIN)
        end = time.monotonic() + seconds
        while not self.over and (left := end - time.monotonic()) > 0:
            for _, event in waiting.poll(left * 1000):
                if event & select.POLLIN:
                    self.answer()
                self.over = bool(event & (select.POLLHUP | select.POLLERR)) and not event & select.POLLIN

    def answer(self) -> None:
        """Take one call and let it go on or meet the fault; nothing where its process has gone meanwhile."""
        request = bytearray(80)
        try:
            fcntl.ioctl(self.descriptor, _RECEIVE, request, True)
            number, thread, _, call = struct.unpack_from("=QIIi", request)
            one = (thread, self.names[call])
            self.seen[one] += 1
            error, flags = 0, _GO_ON
            if self.fault and self.seen[one] == self.when:
                kind, _, what = self.fault.partition("=")
                if kind == "signal":
                    os.kill(thread, getattr(signal, what))
                    return  # unanswered: an answer could let the call go on before the signal is noticed
                error, flags = -getattr(errno, what), 0
            fcntl.ioctl(self.descriptor, _SEND, bytearray(struct.pack("=QqiI", number, 0, error, flags)), True)
        except (FileNotFoundError, ProcessLookupError):
            return

    def close(self) -> None:
        """Whoever still waits for an answer has its call refused as unknown."""
        os.close(self.descriptor)


def met(
    work: Callable[[], object], calls: Sequence[str], fault: str = "", when: int = 0
) -> tuple[int, Counter[tuple[int, str]]]:
    """Run `work` in a forked child whose `when`-th of the calls meets the fault. Its wait status (1 << 8 where it raised), and how
    often each thread made each call. For work that leaves nothing running."""
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            hand_over(there, calls)
            work()
            status = 0
        finally:
            os._exit(status)
    with here, there:
        there.close()
        listener = Listener(here, calls, fault, when)
    while not listener.over:
        listener.serve(60)
    listener.close()
    return os.waitpid(child, 0)[1], listener.seen


def adopt() -> None:
    """Make this process the parent of all that its children leave behind, so that `bury` finds it."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


def bury(*, kill: bool) -> None:
    """Collect children of this process that have ended; with `kill`, end all that is below it, until nothing is."""
    while True:
        for one in below(os.getpid()) if kill else ():
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        if not kill:
            return
        time.sleep(0.002)


def below(top: int) -> list[int]:
    """Numbers of all processes that descend from one."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = [top]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]
