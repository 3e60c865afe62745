"""`triage` commands, each in a fork of one process that has loaded the product: what it does is its own, the loading is not repeated.

    commands = Commands()
    ended = commands.run(["night", "run"], environment)
    commands.close()

Loading takes a third of a small night and most of any other command. Nothing is loaded that starts a thread, so a fork is as good
as a new process, but for settings that are read while modules load (of Numba and Airflow): those are this process's. What is to
show that a command works from its start, or under limits or in namespaces of its own, starts a process.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from pipeline.settings import ROOT

LOADED = ("pipeline.night.cli", "pipeline.cases.cli", "pipeline.export.cli", "pipeline.sample.cli", "hashsets.cli")


class Commands:
    """The parent's side; its process starts with the first command."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def close(self) -> None:
        """End the process; another command starts another."""
        if self.process is not None:
            self.process.communicate(timeout=60)
            self.process = None

    def run(
        self, words: Sequence[str], environment: Mapping[str, str], *, umask: int = 0o022
    ) -> subprocess.CompletedProcess[str]:
        """One command with exactly that environment, from the root of the checkout."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.commands"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self.process.stdin is not None and self.process.stdout is not None
        with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as said:
            request = {"words": list(words), "environment": dict(environment), "umask": umask}
            request |= {"out": out.name, "said": said.name}
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
            if not answer:
                raise RuntimeError(f"the process that runs commands has ended: {self.process.wait()}")
            texts = [file.read().decode() for file in (out, said)]
        return subprocess.CompletedProcess(list(words), int(answer), *texts)


def serve() -> None:
    """Read requests from standard input, run each in a fork, and answer with its exit code (negative: a signal)."""
    from pipeline.night import stages

    for name in (*LOADED, *(which.module for which in stages.STAGES)):
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            become(request)
            return
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


def become(request: dict[str, object]) -> None:
    """In the fork: run the command as a process of its own does, to its exit."""
    from pipeline.cli import main

    files = ((0, os.devnull, os.O_RDONLY), (1, request["out"], os.O_WRONLY), (2, request["said"], os.O_WRONLY))
    for number, name, way in files:
        opened = os.open(str(name), way)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    os.umask(int(request["umask"]))  # type: ignore[call-overload]
    words = list(request["words"])  # type: ignore[call-overload]
    sys.argv = ["triage", *words]
    main(words)


if __name__ == "__main__":
    serve()
