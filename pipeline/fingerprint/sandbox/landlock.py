"""Landlock (Linux 5.13 and later): this process may read below the given paths, and nothing else with files.

From ABI 4 on TCP is refused too, from ABI 6 on signals and abstract sockets to processes outside; which one the kernel
has is recorded, because the name alone would hide it. Numbers are those of
linux/landlock.h; system call numbers 444 to 446 are the same on every architecture.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many file-system rights, from bit 0, an ABI knows."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """Landlock ABI of the running kernel; 0 where there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))))


def restrict(readable: Iterable[str]) -> int:
    """Confine this process for good; needs no_new_privs. The ABI that holds now; 0 where the kernel cannot."""
    version = abi()
    if version == 0:
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    rules = _Ruleset((1 << _FS_RIGHTS.get(version, 16)) - 1, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        return 0
    try:
        allowed = all(_allow(libc, ruleset, path) for path in readable)
        return version if allowed and libc.syscall(_RESTRICT, ruleset, 0) == 0 else 0
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True  # no rule, so it cannot be read: its files are counted as missing or unreadable
    try:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        rule = _PathBeneath(_READ_FILE | (_READ_DIR if folder else 0), descriptor)
        return bool(libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0)) == 0)
    finally:
        os.close(descriptor)
