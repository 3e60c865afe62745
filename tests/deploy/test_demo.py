"""`make demo` as a user runs it, without any network: a first time, and a second that changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.lake import run_rows
from pipeline.night import turns
from pipeline.settings import ROOT, Settings
from pipeline.store.opening import open_store

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(3600)]

OFFLINE = ["unshare", "-rn"]


def demo(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRIAGE_", "AIRFLOW"))}
    offline = shutil.which("unshare") and subprocess.run([*OFFLINE, "true"], capture_output=True).returncode == 0
    return subprocess.run(
        [*(OFFLINE if offline else []), sys.executable, "-m", "deploy.demo", "--referrals", "12", *words],
        cwd=ROOT,
        env={**kept, "TRIAGE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=1800,
    )


def test_it_shows_a_night_and_a_second_call_changes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    first = demo(home)
    assert first.returncode == 0, first.stdout[-2000:] + first.stderr[-3000:]
    for heading in (
        "The queue, most urgent first",
        "What came in is what came out",
        "What was planted",
        "Where everything",
    ):
        assert heading in first.stdout
    assert "missed    0" in first.stdout and "changed nothing" in first.stdout and "make serve" in first.stdout
    assert "DIFFERS" not in first.stdout and first.stderr.strip() == ""
    files = [p for f in ("landing", "lake", "releases") for p in (home / f).rglob("*") if p.is_file()]
    made = {p: p.stat().st_mtime_ns for p in files if home / "lake" / run_rows.FOLDER not in p.parents}
    second = demo(home)
    assert second.returncode == 0, second.stdout[-2000:] + second.stderr[-3000:]
    assert "holds this demonstration already" in second.stdout and "changed nothing" in second.stdout
    assert {p: p.stat().st_mtime_ns for p in made} == made
    store = open_store(Settings(home=home))
    assert turns.present(store) is None, "a night may be run by hand after the demonstration"
    store.close()


def test_it_leaves_a_folder_of_something_else_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    refused = demo(tmp_path)
    assert refused.returncode == 1 and "something else than a demonstration" in refused.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_what_the_clock_changes_is_no_change() -> None:
    """A list made an hour later says "target in 6 hours" for 7; that once made an unchanged night look changed."""
    from deploy.demo import LASTING, differing

    assert not {"standing", "urgency", "new_for_me"} & set(LASTING)
    assert differing({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == ["b", "c", "d"]
    assert differing({"a": "1"}, {"a": "1"}) == []
