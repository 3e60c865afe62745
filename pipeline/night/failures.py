"""Why a run stopped: the last error of a run, kept beside it until the stage gets past, and shown where people work.

    runs/<run>/failed.json    stage, class, message, remedy and time of the error; no personal data

A later success of the same stage removes it. `standing` says what the newest run means for those who work the queue.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline import contract as nights
from pipeline import files
from pipeline.errors import (
    ConflictError,
    DependencyError,
    IntegrityError,
    ReconciliationError,
    SettingsError,
    TriageError,
)
from pipeline.settings import Settings

NAME = "failed.json"

ADVICE: tuple[tuple[type[TriageError], str], ...] = (
    (
        IntegrityError,
        "It fails the same way until the damaged data is mended: `triage index verify` and `triage hashset verify` say which"
        " release, `triage lake verify` which part of the lake. Put a sound copy in its place, then run the night again.",
    ),
    (ReconciliationError, "Do not work the queue from this run. Read its report first; then run it again."),
    (SettingsError, "Correct the setting or the policy file that the message names, then run it again."),
    (ConflictError, "Another process holds what this one needs. Wait until it has ended, then run it again."),
    (
        DependencyError,
        "Mend what is missing (space, database, service), then run it again: what is done is not done again.",
    ),
    (
        TriageError,
        "Run it again once. If it stops at the same place, send the developers the file in failures/ of the run.",
    ),
)
"""What to do, by class of the error; the first that fits."""


@dataclass(frozen=True)
class RunFailure:
    """The error at which a run stopped. `stage` is its name in `pipeline/night/stages.py`; `kind` the error's class."""

    run_id: str
    stage: str
    kind: str
    message: str
    remedy: str
    advice: str
    at: str


@dataclass(frozen=True)
class Standing:
    """What the runs mean for the queue: `as_of` is the clock of the newest run that reconciles (None: none does yet),
    `failure` the error of the newest run if it stopped, `differs` the name of the newest run if it does not reconcile."""

    as_of: datetime | None
    failure: RunFailure | None
    differs: str | None


def note(settings: Settings, run_id: str, stage: str, error: TriageError) -> None:
    """Keep the error with the run, if the run was begun."""
    folder = nights.run_dir(settings, run_id)
    if not (folder / "run.json").is_file():
        return
    advice = next(text for kind, text in ADVICE if isinstance(error, kind))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    failure = RunFailure(run_id, stage, type(error).__name__, error.message, error.remedy, advice, at)
    files.write_json(folder / NAME, asdict(failure))


def settled(settings: Settings, run_id: str, stage: str) -> None:
    """The stage got through: an error of it that was kept is over."""
    failure = of_run(settings, run_id)
    if failure is not None and failure.stage == stage:
        (nights.run_dir(settings, run_id) / NAME).unlink(missing_ok=True)


def of_run(settings: Settings, run_id: str) -> RunFailure | None:
    """The error at which a run stands, or None. Raises IntegrityError for a file that cannot be read."""
    path = nights.run_dir(settings, run_id) / NAME
    try:
        return RunFailure(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise IntegrityError(
            f"{NAME} of run {run_id} is damaged.", "Remove it; the run's stages say what ran."
        ) from error


def standing(settings: Settings) -> Standing:
    """Looks at the runs from the newest back to the first that reconciles."""
    runs = [nights.load(settings, path.parent.name) for path in settings.runs_dir.glob("*/run.json")]
    failure, differs = None, None
    for place, run in enumerate(sorted(runs, key=lambda r: (r.as_of, r.run_id), reverse=True)):
        done = _report(nights.run_dir(settings, run.run_id) / "report.json")
        if place == 0:
            failure = of_run(settings, run.run_id)
            differs = run.run_id if done is not None and not done["reconciles"] else None
        if done is not None and done["reconciles"] and (place or failure is None):
            return Standing(run.as_of, failure, differs)
    return Standing(None, failure, differs)


def _report(path: Path) -> dict[str, bool] | None:
    try:
        found: dict[str, bool] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found
