"""A decoder that tries to do what a worker must not be able to do, and reports in numbers what worked. Only for tests."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from pipeline.fingerprint.decode.task import Task
from pipeline.fingerprint.outcome import Fingerprint, Frame, State


def _write(folder: str) -> None:
    Path(folder, "written").write_bytes(b"x")


def _append(folder: str) -> None:
    with Path(folder, "media.bin").open("ab") as file:
        file.write(b"x")


def _other_file(folder: str) -> None:
    Path(folder).parent.joinpath("outside.txt").read_bytes()


def _password_file(_: str) -> None:
    Path("/etc/passwd").read_bytes()


def _remove(folder: str) -> None:
    Path(folder, "media.bin").unlink()


def _rename(folder: str) -> None:
    Path(folder, "media.bin").rename(Path(folder, "other.bin"))


def _mode(folder: str) -> None:
    Path(folder, "media.bin").chmod(0o777)


def _internet(_: str) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def _unix(_: str) -> None:
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)


def _fork(_: str) -> None:
    if os.fork() == 0:
        os._exit(0)


def _execute(_: str) -> None:
    os.posix_spawn("/bin/true", ["true"], {})


def _signal_parent(_: str) -> None:
    os.kill(os.getppid(), 0)


def _signal_all(_: str) -> None:
    os.kill(-1, signal.SIGCONT)


def _trace(_: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(0, 0, 0, 0) != 0:
        raise PermissionError


def _new_user_namespace(_: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000) != 0:
        raise PermissionError


def _core_limit(_: str) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))


def _owner_of_a_signal(_: str) -> None:
    """Have the kernel send a signal of our choice to the fork server when the channel is readable."""
    import fcntl

    fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())


def _signal_of_the_owner(_: str) -> None:
    import fcntl

    fcntl.fcntl(0, fcntl.F_SETSIG, signal.SIGKILL)


def _owner_by_ioctl(_: str) -> None:
    import fcntl

    fcntl.ioctl(0, 0x8901, (os.getppid()).to_bytes(4, "little"))


def _lock(_: str) -> None:
    import fcntl

    fcntl.flock(0, fcntl.LOCK_EX)


def _lease(_: str) -> None:
    import fcntl

    fcntl.fcntl(0, fcntl.F_SETLEASE, fcntl.F_RDLCK)


def _young_call(number: int, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _mode_by_a_young_call(folder: str) -> None:
    _young_call(452, -100, ctypes.c_char_p(f"{folder}/media.bin".encode()), 0o777, 0)  # type: ignore[arg-type]


def _parent_slower(_: str) -> None:
    os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)


def _list_the_landing_folder(folder: str) -> None:
    os.listdir(folder)  # noqa: PTH208 - the attack, not our code


def _own_file_by_name(folder: str) -> None:
    """Even its own file: media comes as a descriptor only."""
    Path(folder, "media.bin").read_bytes()


def _memory(_: str) -> None:
    bytearray(1100 << 20)


ATTEMPTS: list[Callable[[str], None]] = [
    f
    for n, f in list(globals().items())
    if n.startswith("_") and n != "_young_call" and callable(f) and getattr(f, "__module__", "") == __name__
]


def decode(task: Task) -> Fingerprint:
    """One frame per attempt; quality 1 means that it worked, 0 that it was refused. The content names the folder."""
    folder = task.content.read().decode()
    frames = []
    for number, attempt in enumerate(ATTEMPTS):
        try:
            attempt(folder)
            worked = 1
        except (OSError, MemoryError, ValueError):
            worked = 0
        frames.append(Frame(number, float(number), bytes(32), worked))
    return Fingerprint(task.digests, task.media.name, State.HASHED, video_frames=tuple(frames))
