"""The fork server: loads the decoding libraries once, forks workers on request, kills and collects them.

It opens no media itself, so it stays clean however bad the files are. It has one thread, because it forks.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any

from pipeline.errors import DependencyError
from pipeline.fingerprint.sandbox import layers as sandbox
from pipeline.fingerprint.sandbox import seccomp
from pipeline.fingerprint.sandbox.spawner import END, EXIT, FORK, PATIENTLY, PID

_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NAME = 15
GRACE_SECONDS = 0.2
_WORKERS: set[int] = set()
"""Process ids of the workers that are not collected yet."""


@dataclass(frozen=True)
class Config:
    """What the parent tells the fork server. `policy` is the content of policy/fingerprint.yaml, `decoder` "module:function" of
    the decoder, None for a worker that only makes digests; `wrapped` says that bubblewrap is around us."""

    policy: dict[str, Any]
    decoder: str | None
    wrapped: bool
    program: str = "pipeline.fingerprint.sandbox.worker"
    """The module whose `run` is the worker: media by default, packages for ingest. Its `load`, if it has one, is called before
    any fork."""


def main() -> None:
    """Serve until the control socket closes."""
    control = socket.socket(fileno=int(sys.argv[1]))
    config = Config(**json.loads(control.recv(1 << 20)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(_PR_SET_NAME, b"media-forks", 0, 0, 0)
    outer = sandbox.enter_namespaces(config.wrapped)
    gc.disable()  # what is loaded stays: workers look for cycles, but only among what they make themselves
    try:
        versions = _load(config)
        gc.freeze()
    except DependencyError as error:
        control.send(json.dumps({"problem": error.message, "remedy": error.remedy}).encode())
        os._exit(error.exit_code)
    control.send(json.dumps({"versions": versions, "cpu_seconds": time.process_time()}).encode())
    _serve(control, config, outer)
    os._exit(0)  # unloading the libraries in good order would take seconds and serve nobody


def _load(config: Config) -> dict[str, str]:
    """Import what workers will need and warm it up; versions of the libraries."""
    program = importlib.import_module(config.program)  # loaded here so that a forked worker has it
    if hasattr(program, "load"):
        program.load()
    seccomp.prepare()
    if config.decoder is None:
        return {}
    module, _, _ = config.decoder.partition(":")
    loaded = importlib.import_module(module)
    if hasattr(loaded, "warm"):
        loaded.warm(config.policy)
    return loaded.versions() if hasattr(loaded, "versions") else {}


def _serve(control: socket.socket, config: Config, outer: int) -> None:
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 64, 2)
        if not message:
            break
        if message[:1] == FORK:
            channel, stderr = descriptors
            pid = os.fork()
            if pid == 0:
                control.close()
                _become_worker(config, outer, channel, stderr)
            os.close(channel)
            os.close(stderr)
            _WORKERS.add(pid)
            control.send(PID.pack(pid))
        elif message[:1] == END:
            (pid,) = PID.unpack(message[2:])
            control.send(EXIT.pack(*_end(pid, GRACE_SECONDS if message[1:2] == PATIENTLY else 0.0)))
    for pid in list(_WORKERS):
        _end(pid)


def _end(pid: int, grace: float = 0.0) -> tuple[int, float, float, int]:
    """Kill a worker and its group, collect it and whatever it left behind; exit code, CPU seconds, largest KiB.

    A worker that has hung up is given `grace` seconds to end by itself, so that we learn how it ended.
    """
    until = time.monotonic() + grace
    while time.monotonic() < until and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.001)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # it has not reached its own session yet
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    _WORKERS.discard(pid)
    _reap_orphans()
    return os.waitstatus_to_exitcode(status), usage.ru_utime, usage.ru_stime, usage.ru_maxrss


def _reap_orphans() -> None:
    """Kill processes that a dead worker had forked away from its group: they are our children now (subreaper)."""
    while orphans := [child for child in _children() if child not in _WORKERS and _collectable(child)]:
        for child in orphans:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123
            return [int(word) for word in file.read().split()]
    except OSError:
        return []  # a kernel without this list; the worker's group was killed all the same


def _collectable(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False


def _become_worker(config: Config, outer: int, channel: int, stderr: int) -> None:
    """Turn this fork into a worker; never returns."""
    code = 70
    gc.enable()
    try:
        importlib.import_module(config.program).run(config, outer, channel, stderr)
        code = 0
    except BaseException as error:  # noqa: BLE001 - the last frame of the process: say what and leave
        sys.stderr.write(f"worker: {type(error).__name__}\n")
    finally:
        os._exit(code)
