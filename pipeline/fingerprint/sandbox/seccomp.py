"""A seccomp filter for the worker: only what a decoder needs is let through, whatever else fails.

Let through are the calls of syscalls.py, opening for reading, threads, and signals and limits of the worker itself. Of
`fcntl`, `ioctl` and `prctl` only what reads, copies a descriptor or names a thread: F_SETOWN, F_SETSIG and FIOSETOWN would let the
kernel send a signal of the worker's choice to any process of the same user, and F_SETLEASE and locks would hold up whoever
else reads the evidence. The filter is classic BPF (seccomp(2), linux/seccomp.h), built here because each rule is one instruction.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from functools import lru_cache

from pipeline.fingerprint.sandbox import syscalls

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _JEQ, _JGE, _JGT, _JSET, _RET = 0x20, 0x15, 0x35, 0x25, 0x45, 0x06
_NR, _ARCH, _ARGS = 0, 4, 16
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
_CLONE_THREAD = 0x00010000
"""Threads are let through: libde265 (HEIC) decodes in one of its own."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_SPECIAL = {
    "x86_64": {
        "open": 2,
        "openat": 257,
        "openat2": 437,
        "clone3": 435,
        "kill": 62,
        "clone": 56,
        "tgkill": 234,
        "prlimit64": 302,
        "fcntl": 72,
        "ioctl": 16,
        "prctl": 157,
    },
    "aarch64": {
        "openat": 56,
        "openat2": 437,
        "clone3": 435,
        "kill": 129,
        "clone": 220,
        "tgkill": 131,
        "prlimit64": 261,
        "fcntl": 25,
        "ioctl": 29,
        "prctl": 167,
    },
}
_COMMANDS = {
    "fcntl": (0, 1, 2, 3, 1030),  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC
    "ioctl": (0x5401, 0x5450, 0x5451, 0x541B),  # TCGETS (is it a terminal), FIONCLEX, FIOCLEX, FIONREAD
    "prctl": (15, 16, 0x53564D41),  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA (the allocator names its memory)
}
"""Commands that are let through: the second argument of fcntl and ioctl, the first of prctl."""

Instruction = tuple[int, int, int, int]


def program(machine: str, pid: int) -> list[Instruction]:
    """The filter for a machine type and the process `pid` (which may signal itself, so that abort() works).

    Raises KeyError for a machine type whose numbers are not known here.
    """
    special = _SPECIAL[machine]
    code = list(_common(machine))
    for name in ("kill", "tgkill", "prlimit64"):
        code += [(_JEQ, 0, 5, special[name]), (_LOAD, 0, 0, _ARGS), (_JEQ, 2, 0, pid)]
        code += [(_JEQ, 1 if name == "prlimit64" else 0, 0, 0), (_RET, 0, 0, _REFUSED), (_RET, 0, 0, _ALLOW)]
    return [*code, (_JGT, 1, 0, syscalls.HIGHEST), (_RET, 0, 0, _REFUSED), (_RET, 0, 0, _ABSENT)]


_REFUSED, _ABSENT = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS


@lru_cache(maxsize=2)
def _common(machine: str) -> tuple[Instruction, ...]:
    """What is the same for every process: the architecture, calls that are always allowed, and those judged by arguments."""
    special = _SPECIAL[machine]
    code: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_JEQ, 1, 0, _AUDIT_ARCH[machine]),
        (_RET, 0, 0, _KILL),
        (_LOAD, 0, 0, _NR),
    ]
    if machine == "x86_64":
        code += [(_JGE, 0, 1, _X32), (_RET, 0, 0, _KILL)]
    for number in sorted((syscalls.X86_64 if machine == "x86_64" else syscalls.ARM64).values()):
        code += [(_JEQ, 0, 1, number), (_RET, 0, 0, _ALLOW)]
    for name in ("clone3", "openat2"):  # libc falls back to the calls that can be judged by their arguments
        code += [(_JEQ, 0, 1, special[name]), (_RET, 0, 0, _ABSENT)]
    for name, argument in (("open", 1), ("openat", 2)):
        if name in special:
            code += [(_JEQ, 0, 4, special[name]), (_LOAD, 0, 0, _ARGS + 8 * argument), (_JSET, 0, 1, _WRITING)]
            code += [(_RET, 0, 0, _REFUSED), (_RET, 0, 0, _ALLOW)]
    for name, commands in _COMMANDS.items():
        code += [(_JEQ, 0, len(commands) + 3, special[name]), (_LOAD, 0, 0, _ARGS + (0 if name == "prctl" else 8))]
        code += [(_JEQ, len(commands) - place, 0, command) for place, command in enumerate(commands)]
        code += [(_RET, 0, 0, _REFUSED), (_RET, 0, 0, _ALLOW)]
    code += [(_JEQ, 0, 4, special["clone"]), (_LOAD, 0, 0, _ARGS), (_JSET, 1, 0, _CLONE_THREAD)]
    code += [(_RET, 0, 0, _REFUSED), (_RET, 0, 0, _ALLOW)]
    return tuple(code)


@lru_cache(maxsize=2)
def _packed(machine: str) -> bytes:
    """The common part as bytes; asked for in the fork server, so that a worker need not make it."""
    return _bytes(_common(machine))


def _bytes(code: tuple[Instruction, ...] | list[Instruction]) -> bytes:
    return b"".join(struct.pack("<HBBI", *step) for step in code)


def prepare() -> None:
    """Build what every worker's filter has in common."""
    if platform.machine() in _SPECIAL:
        _packed(platform.machine())


def install() -> bool:
    """Put the filter on this process for good; needs no_new_privs. False where the kernel or machine type cannot."""
    machine = platform.machine()
    if machine not in _SPECIAL:
        return False
    common = _packed(machine)
    instructions = common + _bytes(program(machine, os.getpid())[len(common) // 8 :])
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    fprog = ctypes.create_string_buffer(
        struct.pack("@HP", len(instructions) // 8, ctypes.addressof(buffer)), struct.calcsize("@HP")
    )
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(fprog), 0, 0) == 0)
