"""The last error of a run is kept with it, tells what to do by its class, and goes when the stage gets through."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from pipeline import contract as nights
from pipeline import errors
from pipeline.contract import Night, StageReport
from pipeline.night import failures, stages
from pipeline.settings import Settings

CANARY = "zqcanary"


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def planted(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    """The stage `planted` is the whole night; it raises `error`, or does nothing."""

    def run(settings: Settings, run: Night, shard: str | None) -> StageReport:
        if error is not None:
            raise error
        return StageReport("planted", run.run_id)

    module = type("module", (), {"run": staticmethod(run)})
    monkeypatch.setattr(importlib, "import_module", lambda name: module)
    monkeypatch.setattr(stages, "STAGES", (stages.Stage("planted", "planted", False, "Planted"),))


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (errors.IntegrityError("A file of the index is damaged.", "Restore it."), "IntegrityError", "index verify"),
        (errors.DependencyError("The disk is full.", "Free space."), "DependencyError", "run it again"),
        (errors.SettingsError("policy/x.yaml is wrong.", ""), "SettingsError", "policy file"),
        (ValueError(f"{CANARY} in a message"), "TriageError", "failures/"),
    ],
)
def test_the_error_is_kept_with_advice_of_its_class_and_no_value(
    home: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str, advice: str
) -> None:
    planted(monkeypatch, error)
    run = nights.start(home, "n")
    with pytest.raises(type(error)):
        list(stages.run_night(home, run))
    kept = failures.of_run(home, "n")
    assert kept is not None and (kept.stage, kept.kind) == ("planted", kind) and advice in kept.advice
    assert CANARY not in (nights.run_dir(home, "n") / failures.NAME).read_text()
    standing = failures.standing(home)
    assert standing.failure == kept and standing.as_of is None


def test_a_stage_that_gets_through_ends_it(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, errors.DependencyError("The disk is full.", "Free space."))
    run = nights.start(home, "n")
    with pytest.raises(errors.DependencyError):
        list(stages.run_night(home, run))
    planted(monkeypatch, None)
    list(stages.run_night(home, run))
    assert failures.of_run(home, "n") is None


def test_the_queue_is_as_of_the_newest_run_that_reconciles(home: Settings) -> None:
    from datetime import UTC, datetime

    for day, reconciles in ((1, True), (2, False), (3, None)):
        run = nights.start(home, f"n{day}", datetime(2026, 11, day, tzinfo=UTC))
        if reconciles is not None:
            path = nights.run_dir(home, run.run_id) / "report.json"
            path.write_text(json.dumps({"reconciles": reconciles}))
    found = failures.standing(home)
    assert found.as_of == datetime(2026, 11, 1, tzinfo=UTC)
    assert (found.failure, found.differs) == (None, None)  # the newest is still running


def test_a_damaged_file_is_named(home: Settings) -> None:
    nights.start(home, "n")
    (nights.run_dir(home, "n") / failures.NAME).write_text("{")
    with pytest.raises(errors.IntegrityError, match=r"failed\.json of run n is damaged"):
        failures.of_run(home, "n")
