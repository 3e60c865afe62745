"""A night under faults at random system calls of every stage, and under SIGKILL at random moments: the same tables.

The harness, and its thousand points, is `python -m tests.crashes` (bench/crashes.py); here are a few of them, always the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.night import stages as nightly
from pipeline.settings import ROOT
from tests import faults


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(
    not faults.possible(), reason="this kernel hands no system calls to a listener: faults cannot be injected"
)
def test_a_fault_or_a_kill_anywhere_and_a_second_run_give_the_tables_of_an_undisturbed_night(
    tmp_path: Path,
) -> None:
    points = 2 * len(nightly.STAGES)
    command = [sys.executable, "-m", "tests.crashes", "--points", str(points), "--kills", "6", "--seed", "20261121"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=3500)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
    result = json.loads(ended.stdout)
    assert (result["points"], result["kills"], result["wrong"]) == (points, 6, [])
    assert any("killed" in how for how in result["ends"])
