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
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipeline import files, logs
from pipeline.errors import DependencyError
from pipeline.fingerprint.sandbox import starting
from pipeline.settings import ROOT

FORK, END = b"F", b"E"
PATIENTLY, AT_ONCE = b"p", b"a"
PID = struct.Struct("<q")
EXIT = struct.Struct("<iddQ")
_F_SETPIPE_SZ = 1031
FORK_SECONDS = 120.0
"""Longest wait for one answer of a fork server that has started."""
STANDARD_ERROR = "media-worker-standard-error.txt"
"""File below TRIAGE_HOME with what a fork server wrote that could not start."""


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


def _module_folders() -> list[str]:
    """Where the server looks for modules: this checkout, and what is installed. It is told, since without `site` it starts in some
    10 CPU ms less, and nothing that other packages have Python do at every start is done in it."""
    installed = sysconfig.get_paths()
    return list(dict.fromkeys([str(ROOT), installed["purelib"], installed["platlib"]]))


class ForkServer:
    """One fork server. `config` goes to it as JSON (see `server.Config`); `home` holds the kernel cache if nothing else can;
    `hidden` folders are not there for it where bubblewrap is used."""

    def __init__(
        self, config: dict[str, Any], *, bubblewrap: bool, home: Path, hidden: Sequence[Path], stderr_bytes: int
    ) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        code = (
            f"import sys;sys.path[:0]={_module_folders()!r};from pipeline.fingerprint.sandbox.server import main;main()"
        )
        command = [sys.executable, "-I", "-S", "-c", code, str(theirs.fileno())]
        self._stderr_bytes = stderr_bytes
        cache, environment = kernel_cache(home)
        wrapper = bubblewrap_command(cache, hidden) if bubblewrap else []
        self.wrapped = bool(wrapper)
        with tempfile.TemporaryFile() as said:
            try:
                self._process = subprocess.Popen(
                    wrapper + command,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    env={**_environment(), **environment},
                    start_new_session=True,
                    cwd="/",
                )
            finally:
                theirs.close()
            ready = self._ready({**config, "wrapped": self.wrapped}, said, home)
        self.versions: dict[str, str] = ready["versions"]
        self.start_cpu_seconds = float(ready["cpu_seconds"])

    def _ready(self, config: dict[str, Any], said: IO[bytes], home: Path) -> dict[str, Any]:
        """The fork server's first answer. Raises DependencyError where it does not start; what it wrote is kept and named."""
        pid, log = self._process.pid, logs.get("fingerprint")
        ready: dict[str, Any] = {}
        try:
            self._control.send(json.dumps(config).encode())
            first = starting.answer(
                self._control,
                1 << 16,
                lambda: starting.cpu_seconds(pid),
                lambda: log.info("the media worker loads its libraries; its kernels are compiling, once", process=pid),
            )
            ready = json.loads(first or b"{}")
        except (OSError, ValueError) as error:
            why = f"did not start: {error}"
        else:
            if "versions" in ready:
                self._control.settimeout(FORK_SECONDS)
                return ready
            why = f"ended at its start (exit code {self._process.poll()})"
        self.close()
        if "problem" in ready:
            raise DependencyError(ready["problem"], ready["remedy"])
        raise DependencyError(f"The media worker's fork server {why}.", _kept(said, home))

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


def _kept(said: IO[bytes], home: Path) -> str:
    """Keep what a fork server wrote in a file of its own for the operator; a sentence that names it."""
    said.seek(0)
    text = said.read()
    if not text:
        return "It wrote nothing on its standard error: somebody ended it, or memory was short."
    path = home / STANDARD_ERROR
    last = text.decode(errors="replace").splitlines()[-1][:200]
    try:
        files.make_folder(home)
        files.write_bytes(path, text)
    except OSError as error:
        return f"Its standard error could not be kept ({error.strerror}); the last line: {last}"
    return f"Its standard error is kept in {path}; the last line: {last}"


def _environment() -> dict[str, str]:
    """Nothing of ours reaches a decoder but what libraries need to stay in one thread."""
    threads = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **dict.fromkeys(threads, "1")}


def kernel_cache(home: Path) -> tuple[Path, dict[str, str]]:
    """Folder in which the media worker's compiled kernels are kept, and the environment variable that tells it so.

    NUMBA_CACHE_DIR where that is set; else in the checkout where that can be written (one for all homes), else below `home` (an
    installed, read-only image). The folder is named to the worker in each case: it alone stays writable in the sandbox, so that
    kernels beside their own modules, which is Numba's choice, could not be stored.
    """
    named = os.environ.get("NUMBA_CACHE_DIR")
    beside = ROOT / "pipeline" / "fingerprint" / "__pycache__"
    if named:
        folder = Path(named)
    elif os.access(beside if beside.exists() else beside.parent, os.W_OK):
        folder = beside / "kernels"
    else:
        folder = home.resolve() / "cache" / "kernels"
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
