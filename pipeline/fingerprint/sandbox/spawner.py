"""The parent's side of the fork server: start it, have workers forked, end them, learn how they ended.

The fork server (`server.py`) is a clean process that has the decoding libraries loaded, so that a worker costs some ten
milliseconds. It is the real parent of the workers: it kills a worker's whole process group and collects it, so a process
id is never reused under our hands. When this process dies, the fork server sees its socket close, kills all and ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import DependencyError
from pipeline.settings import ROOT

FORK, END = b"F", b"E"
PATIENTLY, AT_ONCE = b"p", b"a"
PID = struct.Struct("<q")
EXIT = struct.Struct("<iddQ")
_F_SETPIPE_SZ = 1031
START_SECONDS = 120.0
"""Longest wait for the fork server; loading the libraries takes about two seconds, compiling kernels the first time more."""


class ServerLostError(Exception):
    """The fork server has ended; the caller starts another."""


@dataclass(frozen=True)
class Ending:
    """How a worker ended: exit code, or minus the signal; CPU seconds and largest resident KiB of it."""

    code: int
    cpu_seconds: float
    resident_kib: int

    @property
    def detail(self) -> str:
        """Name of the signal, or `exit N`."""
        if self.code >= 0:
            return f"exit.{self.code}"
        try:
            return signal.Signals(-self.code).name
        except ValueError:
            return f"signal.{-self.code}"


@dataclass
class Child:
    """A worker: `channel` carries requests and answers, `stderr` what its decoders print (non-blocking)."""

    pid: int
    channel: socket.socket
    stderr: int

    def close(self) -> None:
        self.channel.close()
        os.close(self.stderr)


class ForkServer:
    """One fork server. `config` goes to it as JSON (see `server.Config`); `home` holds the kernel cache if nothing else can;
    `hidden` folders are not there for it where bubblewrap is used."""

    def __init__(
        self, config: dict[str, Any], *, bubblewrap: bool, home: Path, hidden: Sequence[Path], stderr_bytes: int
    ) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        code = (
            f"import sys;sys.path.insert(0,{str(ROOT)!r});from pipeline.fingerprint.sandbox.server import main;main()"
        )
        command = [sys.executable, "-I", "-c", code, str(theirs.fileno())]
        self._stderr_bytes = stderr_bytes
        cache, environment = kernel_cache(home)
        wrapper = bubblewrap_command(cache, hidden) if bubblewrap else []
        self.wrapped = bool(wrapper)
        try:
            self._process = subprocess.Popen(
                wrapper + command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**_environment(), **environment},
                start_new_session=True,
                cwd="/",
            )
        finally:
            theirs.close()
        ours.settimeout(START_SECONDS)
        try:
            ours.send(json.dumps({**config, "wrapped": self.wrapped}).encode())
            ready = json.loads(ours.recv(1 << 16) or b"{}")
        except (OSError, ValueError) as error:
            self.close()
            raise DependencyError("The media worker's fork server did not start.", "See its standard error.") from error
        if "problem" in ready:
            self.close()
            raise DependencyError(ready["problem"], ready["remedy"])
        if "versions" not in ready:
            ended = self._process.poll()
            self.close()
            raise DependencyError(
                f"The media worker's fork server ended at its start (exit code {ended}).", "See its standard error."
            )
        self.versions: dict[str, str] = ready["versions"]
        self.start_cpu_seconds = float(ready["cpu_seconds"])

    def fork(self) -> Child:
        """A new worker. Raises ServerLostError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.fcntl(write, _F_SETPIPE_SZ, self._stderr_bytes)  # beyond this the kernel refuses what a decoder prints
        try:
            socket.send_fds(self._control, [FORK], [theirs.fileno(), write])
            (pid,) = PID.unpack(self._receive(PID.size))
        except (ServerLostError, OSError) as error:
            ours.close()
            os.close(read)
            raise ServerLostError from error
        finally:
            theirs.close()
            os.close(write)
        return Child(pid, ours, read)

    def end(self, child: Child, *, hung_up: bool = False) -> Ending:
        """Kill the worker's process group, collect it, close its channel. Raises ServerLostError.

        One that has `hung_up` is ending by itself and gets a moment for it.
        """
        child.close()
        try:
            self._control.send(END + (PATIENTLY if hung_up else AT_ONCE) + PID.pack(child.pid))
        except OSError as error:
            raise ServerLostError from error
        code, user, system, resident = EXIT.unpack(self._receive(EXIT.size))
        return Ending(code, user + system, resident)

    def _receive(self, size: int) -> bytes:
        try:
            data = self._control.recv(size)
        except OSError as error:
            raise ServerLostError from error
        if len(data) != size:
            raise ServerLostError
        return data

    def close(self) -> None:
        """End the fork server and with it every worker."""
        self._control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _environment() -> dict[str, str]:
    """Nothing of ours reaches a decoder but what libraries need to stay in one thread."""
    threads = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **dict.fromkeys(threads, "1")}


def kernel_cache(home: Path) -> tuple[Path, dict[str, str]]:
    """Folder in which compiled kernels are kept, and the environment variable that says so if it is not the default.

    Beside the source where that can be written (a checkout), else below `home` (an installed, read-only image).
    """
    named = os.environ.get("NUMBA_CACHE_DIR")
    beside = ROOT / "pipeline" / "fingerprint" / "__pycache__"
    if not named and os.access(beside if beside.exists() else beside.parent, os.W_OK):
        beside.mkdir(exist_ok=True)
        return beside, {}
    folder = Path(named) if named else home.resolve() / "cache" / "kernels"
    folder.mkdir(parents=True, exist_ok=True)
    return folder, {"NUMBA_CACHE_DIR": str(folder)}


def bubblewrap_command(cache: Path, hidden: Sequence[Path] = ()) -> list[str]:
    """Command prefix that puts the fork server into bubblewrap's namespaces, or an empty list where that does not work.

    No network, own process ids, no capabilities, a read-only view of the file system without the `hidden` folders (evidence and
    results); it ends with its parent. Only the kernel cache stays writable, for the fork server: its workers may write
    nowhere (RLIMIT_FSIZE, Landlock, seccomp).
    """
    program = shutil.which("bwrap")
    if program is None:
        return []
    options = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    options += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    code = [ROOT, Path(sys.prefix), Path(sys.base_prefix)]
    for folder in hidden:
        if folder.is_dir() and not any(path.is_relative_to(folder) for path in code):
            options += ["--tmpfs", str(folder)]
    options += ["--bind", str(cache), str(cache)]
    command = [program, *options, "--"]
    try:
        tried = subprocess.run([*command, "/bin/true"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return command if tried.returncode == 0 else []
