"""Running the night: order, shards, records, and errors that carry nothing out."""

from __future__ import annotations

import io
import sys
import types
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rich.console
import rich.traceback

from pipeline import contract as night
from pipeline.contract import StageReport
from pipeline.errors import DependencyError, IntegrityError, ReconciliationError, TriageError, UsageError
from pipeline.night import stages as nightly
from pipeline.settings import Settings

CANARY = "zqcanary"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TRIAGE_HOME", str(tmp_path / "home"))
    return Settings.load()


def planted(monkeypatch: pytest.MonkeyPatch, work: object) -> None:
    module = types.ModuleType("planted_stage")
    module.run = work  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "planted_stage", module)
    monkeypatch.setattr(nightly, "STAGES", (nightly.Stage("planted", "planted_stage", False, "Planted"),))


def printed(error: BaseException) -> str:
    """What an orchestrator prints of an error: every frame with its variables."""
    text = io.StringIO()
    shown = rich.traceback.Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True)
    rich.console.Console(file=text, width=200).print(shown)
    return text.getvalue()


def test_an_unexpected_error_tells_its_place_and_no_value(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(settings: Settings, run: night.Night, shard: str | None) -> StageReport:
        name = f"{CANARY} in a variable"
        raise ValueError(f"{CANARY} in a message: {name}")

    planted(monkeypatch, work)
    nightly.begin("n")
    with pytest.raises(TriageError, match=r"planted failed unexpectedly: ValueError at test_stages\.py") as caught:
        nightly.stage("planted", "n")
    assert CANARY not in printed(caught.value)
    (kept,) = (night.run_dir(home, "n") / "failures").iterdir()
    assert CANARY in kept.read_text() and kept.stat().st_mode & 0o077 == 0


def test_an_expected_error_keeps_its_class_and_text(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(settings: Settings, run: night.Night, shard: str | None) -> StageReport:
        secret = CANARY
        raise IntegrityError("A file is damaged.", f"Restore it. {secret[:0]}")

    planted(monkeypatch, work)
    nightly.begin("n")
    with pytest.raises(IntegrityError, match="damaged") as caught:
        nightly.stage("planted", "n")
    assert CANARY not in printed(caught.value) and caught.value.exit_code == 4


def test_a_stage_whose_counts_do_not_add_up_fails(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    planted(
        monkeypatch,
        lambda settings, run, shard: StageReport("planted", run.run_id, read=3, kept=1, rejected={"bad": 1}),
    )
    nightly.begin("n")
    with pytest.raises(ReconciliationError, match="read 3 rows and accounts for 2"):
        nightly.stage("planted", "n")
    assert nightly.reports(home, "n")[0].read == 3


def test_a_run_begins_with_its_clock_and_is_taken_up_again(home: Settings) -> None:
    assert nightly.begin("n", "2026-11-21T01:00:00+00:00") == "n"
    assert nightly.begin("n", "2026-11-22T01:00:00+00:00") == "n"
    assert night.load(home, "n").as_of == datetime(2026, 11, 21, 1, tzinfo=UTC)


@pytest.mark.parametrize(("moment", "says"), [("yesterday", "not an ISO"), ("2026-11-21T01:00:00", "no zone")])
def test_a_clock_that_cannot_be_read_is_refused(home: Settings, moment: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        nightly.begin("n", moment)


def test_a_full_disk_is_noticed_before_work_starts(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: types.SimpleNamespace(free=2**20))
    with pytest.raises(DependencyError, match="Too little space"):
        nightly.begin("n")


def test_an_unknown_stage_is_named(home: Settings) -> None:
    with pytest.raises(UsageError, match="no stage 'mtach'"):
        nightly.find("mtach")
