"""The faults that other tests inject are those that they ask for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests import faults

pytestmark = pytest.mark.skipif(not faults.possible(), reason="no seccomp listener can be made here")


def made(folder: Path) -> None:
    """Three folders, each call noted in a file of its own if it failed."""
    for number in range(3):
        try:
            (folder / str(number)).mkdir()
        except OSError as error:
            (folder / f"{number}-{error.errno}").touch()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_one_call_fails_and_the_others_go_through(tmp_path: Path) -> None:
    status, seen = faults.met(lambda: made(tmp_path), ["mkdir"], "error=ENOSPC", 2)
    assert (status, sum(seen.values())) == (0, 3)
    assert names(tmp_path) == {"0", "1-28", "2"}


def test_a_kill_comes_before_the_call_is_carried_out(tmp_path: Path) -> None:
    status, _ = faults.met(lambda: made(tmp_path), ["mkdir"], "signal=SIGKILL", 2)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert names(tmp_path) == {"0"}


def test_without_a_fault_calls_are_counted_of_every_thread_and_process(tmp_path: Path) -> None:
    places = [tmp_path / name for name in "abc"]
    for place in places:
        place.mkdir()

    def work() -> None:
        thread = threading.Thread(target=made, args=[places[1]])
        thread.start()
        code = "import os, sys; [os.mkdir(f'{sys.argv[1]}/{n}') for n in range(3)]"
        subprocess.run([sys.executable, "-c", code, str(places[2])], check=True)
        thread.join()
        made(places[0])

    status, seen = faults.met(work, ["mkdir", "/rename"])
    assert status == 0 and sorted(seen.values()) == [3, 3, 3]
    assert all(names(place) == {"0", "1", "2"} for place in places)


def test_what_raises_is_told_by_its_status(tmp_path: Path) -> None:
    status, _ = faults.met((tmp_path / "a" / "b").mkdir, ["mkdir"])
    assert os.waitstatus_to_exitcode(status) == 1
