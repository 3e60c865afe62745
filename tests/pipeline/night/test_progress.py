"""How far a run is, from what it planned and what it reported; attempts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from hashsets.release import building
from pipeline import contract as nights
from pipeline.approval.cli import approval
from pipeline.contract import StageReport
from pipeline.errors import IntegrityError, TriageError
from pipeline.night import failures, plans, progress, report
from pipeline.night import stages as nightly
from pipeline.night.cli import status
from pipeline.settings import Settings


def reported(settings: Settings, run: str, stage: str, shard: str | None = None, rows: int = 10) -> None:
    nights.record(settings, StageReport(stage, run, shard, read=rows, kept=rows, seconds=1.0))


def states(found: list[progress.StageProgress]) -> dict[str, str]:
    return {stage.stage: stage.state for stage in found}


def test_done_of_planned_rate_and_time_left(settings: Settings) -> None:
    run = nights.start(settings, "trial").run_id
    before = progress.of_run(settings, run, datetime.now(UTC))
    assert states(before)["ingest"] == "running" and states(before)["fingerprint"] == "to come"
    assert progress.sentence(before) == "at ingest"
    reported(settings, run, "ingest")
    plans.note(settings, run, "fingerprint", 4)
    reported(settings, run, "fingerprint", "a", 30)
    begun = datetime.fromisoformat(plans.newest(settings, run)["fingerprint"].at)
    found = progress.of_run(settings, run, begun + timedelta(seconds=60))
    stage = next(s for s in found if s.stage == "fingerprint")
    assert (stage.state, stage.done, stage.planned, stage.rows) == ("running", 1, 4, 30)
    assert (stage.a_second, stage.seconds_left) == (0.5, 180)
    assert progress.sentence(found) == "at fingerprint, 1 of 4 done, 0.5 a second, about 3 minutes left"
    for shard in "bcd":
        reported(settings, run, "fingerprint", shard)
    found = progress.of_run(settings, run, begun + timedelta(seconds=90))
    assert states(found)["fingerprint"] == "done" and states(found)["match"] == "running"


def test_what_was_done_before_a_kill_counts_and_is_no_rate(settings: Settings) -> None:
    run = nights.start(settings, "trial").run_id
    plans.note(settings, run, "fingerprint", 3)
    reported(settings, run, "fingerprint", "a")
    plans.note(settings, run, "fingerprint", 2)
    begun = datetime.fromisoformat(plans.newest(settings, run)["fingerprint"].at)
    stage = progress.of_run(settings, run, begun + timedelta(seconds=60))[1]
    assert (stage.done, stage.planned, stage.a_second, stage.seconds_left) == (1, 3, None, None)


def test_a_stage_that_failed_says_so(settings: Settings) -> None:
    run = nights.start(settings, "trial").run_id
    failures.note(settings, run, "ingest", TriageError("x", "y"))
    assert states(progress.of_run(settings, run, datetime.now(UTC)))["ingest"] == "failed"


def test_stages_are_grouped_by_attempt(settings: Settings) -> None:
    run = nights.start(settings, "trial").run_id
    for stage, shard in (
        ("ingest", None), ("fingerprint", "a"), ("fingerprint", "b"), ("ingest", None), ("fingerprint", "c"), ("match", "a"), ("match", "a"),
    ):  # fmt: skip
        reported(settings, run, stage, shard)
    found = progress.attempts(nightly.reports(settings, run))
    assert [[(s["stage"], s["shard"]) for s in attempt] for attempt in found] == [
        [("ingest", None), ("fingerprint", "a"), ("fingerprint", "b")],
        [("ingest", None), ("fingerprint", "c"), ("match", "a")],
        [("match", "a")],
    ]


def test_planning_a_stage_is_noted(settings: Settings) -> None:
    run = nights.start(settings, "trial")
    assert nightly.plan_shards(settings, nightly.find("fingerprint"), run) == []
    assert plans.newest(settings, "trial")["fingerprint"].left == 0


def test_a_run_that_read_hash_sets_has_nothing_to_reconcile(settings: Settings) -> None:
    run = nights.start(settings, "trial").run_id
    invoke = CliRunner().invoke
    (row,) = json.loads(invoke(status, ["--format", "json"], obj=settings, catch_exceptions=False).stdout)
    assert (row["state"], row["needs"].endswith("run it again if it is not running")) == ("unfinished", True)
    (nights.run_dir(settings, run) / "hashsets.json").write_text("[]")
    (row,) = json.loads(invoke(status, ["--format", "json"], obj=settings, catch_exceptions=False).stdout)
    assert (row["state"], row["needs"]) == ("hash sets", "")


def test_the_runs_are_said_although_the_release_is_damaged(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: Settings) -> list[Any]:
        raise IntegrityError("hashes.u16 is not what was published.", "Restore it.")

    nights.start(settings, "trial")
    monkeypatch.setattr(building, "waiting_pages", damaged)
    done = CliRunner().invoke(status, ["--format", "json"], obj=settings, catch_exceptions=False)
    (row,) = json.loads(done.stdout)
    assert (row["run"], row["state"]) == ("trial", "unfinished")
    assert row["needs"].endswith("hashes.u16 is not what was published. Restore it.")


def test_a_look_at_releases_that_wait_makes_no_run_where_none_waits(settings: Settings) -> None:
    done = CliRunner().invoke(approval, [], obj=settings, catch_exceptions=False)
    assert done.stdout == "No release waits.\n" and nights.begun(settings) == []


def test_a_report_fits_the_terminal_it_is_read_on() -> None:
    check = {"name": "packages in the landing folder = taken in or waiting", "into": 50, "out": 50, "holds": True}
    summary = {
        "run_id": "trial", "as_of": "2026-07-21T01:00:00+00:00", "version": "1", "reconciles": True, "counted_whole_on": "2026-07-20",
        "checks": [{**check, "parts": {"taken in": 49, "waiting to be complete": 1, "quarantined": 6}}], "parts_verified": 18,
        "lake_checked_whole_since": "2026-07-01", "indexes_with_canaries_checked": 1, "quarantine_reasons": {"no report": 2},
        "packages_quarantined": 2, "stages": report.stage_rows([StageReport("ingest", "trial", read=50, kept=43)]),
        "hash_set_pages_waiting": [], "returned_for_information": [], "returned_for_information_in_all": 0,
    }  # fmt: skip
    shown = report.text(summary, 80)
    assert "clock 21 Jul 2026, 02:00" in shown and max(map(len, shown.splitlines())) <= 80
    assert max(map(len, report.text(summary).splitlines())) > 80
