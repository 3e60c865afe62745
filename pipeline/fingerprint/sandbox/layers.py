"""The layers of a worker's isolation: each is tried, and which ones hold is recorded with the run.

limits               address space, file size 0, open files, no core dump, no fork bomb; own session; stderr capped
no_new_privileges    no set-uid program can raise it; capabilities dropped
namespaces           no network, own IPC and host name (by bubblewrap, or by unshare(2) where that is allowed)
landlock             files: read-only, and only the libraries (media comes as an open descriptor); from ABI 4 no TCP,
                     from ABI 6 no signals to others. The ABI reached is recorded as `landlock.N`
seccomp              only what a decoder needs is let through: see syscalls.py
bubblewrap           the fork server runs inside it
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import Any

from pipeline.fingerprint.sandbox import landlock, seccomp
from pipeline.settings import ROOT

_CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWNET = 0x04000000, 0x08000000, 0x10000000, 0x40000000
_PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP, _PR_SET_DUMPABLE = 38, 24, 4
_CAP_DAC_READ_SEARCH = 2
MIB = 1 << 20
SPARE_TASKS = 512
"""The kernel counts all tasks of a user against RLIMIT_NPROC, so it can only stop a fork bomb; seccomp stops the fork."""


class Layer(IntFlag):
    """Layers that are active; the values are on the wire."""

    LIMITS = 1
    NO_NEW_PRIVILEGES = 2
    NAMESPACES = 4
    LANDLOCK = 8
    SECCOMP = 16
    BUBBLEWRAP = 32


ALL = tuple(Layer)


@dataclass(frozen=True)
class Reached:
    """Layers that hold, as a sum of `Layer`, and the Landlock ABI (0 without Landlock)."""

    layers: int
    abi: int = 0

    def common(self, other: Reached | None) -> Reached:
        """What holds in both."""
        return self if other is None else Reached(self.layers & other.layers, min(self.abi, other.abi))

    def describe(self) -> str:
        """Names of the layers, joined by plus signs: what goes into the run and every fingerprint."""
        return "+".join(self.name(layer) for layer in ALL if self.layers & layer) or "none"

    def name(self, layer: Layer) -> str:
        """Name of a layer; Landlock with the ABI that the kernel has."""
        return f"landlock.{self.abi}" if layer is Layer.LANDLOCK and self.abi else str(layer.name).lower()

    def missing(self, required: Sequence[str], abi: int = 0) -> list[str]:
        """What is required and does not hold, in words; `abi` is the least Landlock ABI."""
        absent = [name for name in required if not self.layers & Layer[name.upper()]]
        if "landlock" in required and "landlock" not in absent and self.abi < abi:
            absent.append(f"Landlock ABI {abi} (this kernel has {self.abi})")
        return absent


def enter_namespaces(wrapped: bool) -> int:
    """Move this process (the fork server) out of the network; workers inherit it. Returns the layers reached."""
    if wrapped:
        return int(Layer.BUBBLEWRAP | Layer.NAMESPACES)
    libc = ctypes.CDLL(None, use_errno=True)
    inner = _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS
    if libc.unshare(inner) == 0:
        return int(Layer.NAMESPACES)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(inner | _CLONE_NEWUSER) != 0:
        return 0
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with contextlib.suppress(OSError):  # an unmapped user still reads what is readable to all
            Path(f"/proc/self/{name}").write_text(text)
    return int(Layer.NAMESPACES)


def confine(limits: dict[str, Any], *, outer: int, keep: Sequence[int], stderr: int) -> Reached:
    """Confine this process for good; `outer` are the layers around it. Raises OSError if the limits cannot be set."""
    with contextlib.suppress(PermissionError):  # already leader of its own session
        os.setsid()
    _descriptors(keep, stderr)
    _limits(limits)
    reached = Layer.LIMITS | outer
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 and _drop_capabilities(libc):
        reached |= Layer.NO_NEW_PRIVILEGES
    abi = landlock.restrict(library_paths())
    if abi:
        reached |= Layer.LANDLOCK
    if seccomp.install():
        reached |= Layer.SECCOMP
    return Reached(int(reached), abi)


def library_paths() -> list[str]:
    """What the interpreter may still have to load lazily."""
    system = ["/usr/lib", "/lib", "/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/dev/null", "/dev/urandom"]
    python = [sys.prefix, sys.base_prefix, str(ROOT / "pipeline"), *sys.path]
    python = [path for path in python if path and Path(path) != ROOT]  # TRIAGE_HOME may lie in it
    return [path for path in dict.fromkeys([*system, *python]) if os.path.exists(path)]  # noqa: PTH110


def _descriptors(keep: Sequence[int], stderr: int) -> None:
    """Standard input and output become /dev/null, standard error the capped pipe; all else but `keep` is closed."""
    null = os.open("/dev/null", os.O_RDWR)
    for target, source in ((0, null), (1, null), (2, stderr)):
        os.dup2(source, target)
    low = 3
    for descriptor in [*sorted(keep), os.sysconf("SC_OPEN_MAX")]:
        os.closerange(low, descriptor)
        low = descriptor + 1


def _limits(limits: dict[str, Any]) -> None:
    size, resident = (int(word) * resource.getpagesize() for word in Path("/proc/self/statm").read_text().split()[:2])
    tasks = int(Path("/proc/loadavg").read_text().split()[3].split("/")[1])
    space = size - resident + limits["memory_mb"] * MIB
    for name, value in (
        (resource.RLIMIT_AS, space),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_NPROC, tasks + SPARE_TASKS),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        resource.setrlimit(name, (value, value))


def _drop_capabilities(libc: ctypes.CDLL) -> bool:
    """Give up every capability but reading what others own (a no-op unless the process runs as root)."""
    for capability in range(64):
        if capability != _CAP_DAC_READ_SEARCH:
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    kept = 1 << _CAP_DAC_READ_SEARCH if os.geteuid() == 0 else 0
    data = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)
    if libc.capset(header, data) == 0:
        return True
    return bool(libc.capset(header, (ctypes.c_uint32 * 6)()) == 0)
