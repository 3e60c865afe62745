"""`triage status` after many nights: the newest runs, and how many there are before them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from click.testing import CliRunner

from pipeline import contract
from pipeline.contract import StageReport
from pipeline.night import cli
from pipeline.settings import Settings


def test_status_lists_the_newest_runs_and_says_that_there_are_others(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    for number in range(cli.NEWEST + 2):
        run = contract.start(settings, f"night-{number}", datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number))
    contract.record(settings, StageReport("ingest", run.run_id, read=2, kept=2))
    found = CliRunner().invoke(cli.status, ["--format", "json"], obj=settings)
    rows = json.loads(found.stdout)
    assert [r["run"] for r in rows] == [f"night-{n}" for n in range(2, cli.NEWEST + 2)]
    assert rows[-1]["last_stage"] == "ingest" and rows[-1]["last_stage_at"] and rows[0]["last_stage_at"] is None
    assert "2 earlier ones" in found.stderr
    everything = CliRunner().invoke(cli.status, ["--all", "--format", "json"], obj=settings)
    assert len(json.loads(everything.stdout)) == cli.NEWEST + 2 and everything.stderr == ""
