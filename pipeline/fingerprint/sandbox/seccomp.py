"""A seccomp filter for the worker: what a decoder never needs is refused with EPERM, whatever else fails.

Refused are all calls of syscalls.py, opening for writing, new processes, and signals to anybody else. The
filter is classic BPF (seccomp(2), linux/seccomp.h), built here because it is thirty instructions and a jump each.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

from pipeline.fingerprint.sandbox import syscalls

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
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
    },
    "aarch64": {
        "openat": 56,
        "openat2": 437,
        "clone3": 435,
        "kill": 129,
        "clone": 220,
        "tgkill": 131,
        "prlimit64": 261,
    },
}

Instruction = tuple[int, int, int, int]


def program(machine: str, pid: int) -> list[Instruction]:
    """The filter for a machine type and the process `pid` (which may signal itself, so that abort() works).

    Raises KeyError for a machine type whose numbers are not known here.
    """
    special = _SPECIAL[machine]
    refuse, absent = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    code: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_JEQ, 1, 0, _AUDIT_ARCH[machine]),
        (_RET, 0, 0, _KILL),
        (_LOAD, 0, 0, _NR),
    ]
    if machine == "x86_64":
        code += [(_JGE, 0, 1, _X32), (_RET, 0, 0, _KILL)]
    for number in sorted((syscalls.X86_64 if machine == "x86_64" else syscalls.ARM64).values()):
        code += [(_JEQ, 0, 1, number), (_RET, 0, 0, refuse)]
    for name in ("clone3", "openat2"):  # libc falls back to the calls that can be judged by their arguments
        code += [(_JEQ, 0, 1, special[name]), (_RET, 0, 0, absent)]
    for name, argument in (("open", 1), ("openat", 2)):
        if name in special:
            code += [(_JEQ, 0, 4, special[name]), (_LOAD, 0, 0, _ARGS + 8 * argument), (_JSET, 0, 1, _WRITING)]
            code += [(_RET, 0, 0, refuse), (_RET, 0, 0, _ALLOW)]
    for name in ("kill", "tgkill", "prlimit64"):
        code += [(_JEQ, 0, 5, special[name]), (_LOAD, 0, 0, _ARGS), (_JEQ, 2, 0, pid)]
        code += [(_JEQ, 1 if name == "prlimit64" else 0, 0, 0), (_RET, 0, 0, refuse), (_RET, 0, 0, _ALLOW)]
    code += [(_JEQ, 0, 4, special["clone"]), (_LOAD, 0, 0, _ARGS), (_JSET, 1, 0, _CLONE_THREAD)]
    code += [(_RET, 0, 0, refuse), (_RET, 0, 0, _ALLOW)]
    return [*code, (_RET, 0, 0, _ALLOW)]


def install() -> bool:
    """Put the filter on this process for good; needs no_new_privs. False where the kernel or machine type cannot."""
    machine = platform.machine()
    if machine not in _SPECIAL:
        return False
    instructions = b"".join(struct.pack("<HBBI", *step) for step in program(machine, os.getpid()))
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    fprog = ctypes.create_string_buffer(
        struct.pack("@HP", len(instructions) // 8, ctypes.addressof(buffer)), struct.calcsize("@HP")
    )
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(fprog), 0, 0) == 0)
