"""A night that is killed with SIGKILL at random moments and run again gives the tables of an undisturbed one."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import records
from pipeline.lake import Lake
from pipeline.settings import ROOT

OWN = pwd.getpwuid(os.getuid()).pw_name
AS_OF = "2026-11-21T01:00:00+0000"
SAME = {"run_id", "sandbox"}


def triage(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TRIAGE")}
    environment |= {"TRIAGE_HOME": str(home), "TRIAGE_SHARD_FILES": "8", "TRIAGE_LOG_LEVEL": "ERROR"}
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def done(home: Path, *arguments: str) -> bytes:
    process = triage(home, *arguments)
    out, error = process.communicate(timeout=240)
    assert process.returncode == 0, error.decode()[-3000:]
    return out


def tables(home: Path) -> dict[str, list[str]]:
    lake = Lake(home / "lake")
    return {t: sorted(map(repr, lake.read(t).to_pylist())) for t in records.tables()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A home with landing and a release (the starting point), and the same after an undisturbed night."""
    start = tmp_path_factory.mktemp("night") / "start"
    done(start, "sample", "--seed", "5", "--referrals", "14", "--day", "2026-11-20")
    (start / "password").write_text("synthetic password 1\n")
    done(start, "users", "first", OWN, "--name", "Tester", "--password-file", str(start / "password"))
    done(start, "users", "change", OWN, "--role", "administrator", "--role", "analyst", "--compartment", "ucol")
    done(start, "night", "stage", "hashset_import", "--run-id", "n")
    done(start, "night", "stage", "hashset_release", "--run-id", "n")
    shutil.rmtree(start / "runs")
    after = start.parent / "after"
    shutil.copytree(start, after, symlinks=True)
    done(after, "night", "run", "--run-id", "n", "--as-of", AS_OF)
    return start, after


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_anywhere_and_run_again_it_gives_the_same_tables(undisturbed: tuple[Path, Path], tmp_path: Path) -> None:
    start, after = undisturbed
    expected, queue = tables(after), done(after, "queue", "list", "--format", "json")
    assert expected["matches"] and expected["assessments"]
    chance = random.Random(20261121)
    for attempt in range(2):
        home = tmp_path / str(attempt)
        shutil.copytree(start, home, symlinks=True)
        kills = 0
        while kills < 3:
            process = triage(home, "night", "run", "--run-id", "n", "--as-of", AS_OF)
            time.sleep(chance.uniform(0.8, 6.0))
            if process.poll() is not None:
                break
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
        done(home, "night", "run", "--run-id", "n", "--as-of", AS_OF)
        assert kills and tables(home) == expected
        assert done(home, "queue", "list", "--format", "json") == queue
