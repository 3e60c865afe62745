"""One night's run: its identity, its clock, and the contract that every stage keeps.

A stage is `run(settings, night, shard=None) -> StageReport`. Inputs are found by path and id, results go to the
lake (or the case store) and the report counts rows in, out and rejected by reason: `read = kept + sum(rejected)`.
A stage may be run any number of times; what is done is not done again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline import files
from pipeline.errors import IntegrityError, UsageError
from pipeline.lake import Lake
from pipeline.lake.run_rows import REPORT
from pipeline.settings import Settings


@dataclass(frozen=True)
class Night:
    """A run. `as_of` is fixed when the run is first started, so that a repeated run computes the same rows.

    `live`: the run's clock is the moment at which it began, so what it sees is seen at the moment on the wall. Where a
    person gave the clock (a replay, a test), everything is seen at that clock.
    """

    run_id: str
    as_of: datetime
    live: bool = False

    def now(self) -> datetime:
        """The moment at which something is seen or done, in whole seconds; never before the run's clock."""
        return max(self.as_of, datetime.now(UTC).replace(microsecond=0)) if self.live else self.as_of


@dataclass
class StageReport:
    """What a stage did. Counts only: no personal data, this goes to logs and to Airflow.

    `read` is what came in, `kept` what went on, `rejected` the rest by reason; `counts` are further figures,
    `outputs` names of commits, `seconds` wall time and `cpu_seconds` of this process and its workers.
    """

    stage: str
    run_id: str
    shard: str | None = None
    read: int = 0
    kept: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int | float | str] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def balanced(self) -> bool:
        """Whether every row that came in is accounted for."""
        return self.read == self.kept + sum(self.rejected.values())

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StageReport:
        return cls(**data)


def start(
    settings: Settings, run_id: str | None = None, as_of: datetime | None = None, began: datetime | None = None
) -> Night:
    """Begin a run, or take up the one of that name where it stands.

    The clock of a new run is `as_of` where a person gives one, else the moment at which it began (`began`, default: now).
    The default name is `night-<date in UTC>`: a second start the same night is the same run, with the same clock.
    Raises UsageError for a name that is not a plain word, IntegrityError for a damaged run file.
    """
    moment = as_of or began or datetime.now(UTC).replace(microsecond=0)
    name = run_id or f"night-{moment:%Y-%m-%d}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", name):
        raise UsageError(f"{name!r} cannot name a run.", "Use letters, digits, dots, hyphens and underscores.")
    path = run_dir(settings, name) / "run.json"
    if not path.is_file():
        facts = {"run_id": name, "as_of": moment.astimezone(UTC).isoformat(), "live": as_of is None}
        files.write_json(path, facts)
    return load(settings, name)


def load(settings: Settings, run_id: str) -> Night:
    """The run of that name. Raises UsageError if it was never started."""
    path = run_dir(settings, run_id) / "run.json"
    try:
        data = json.loads(path.read_text())
        return Night(data["run_id"], datetime.fromisoformat(data["as_of"]), bool(data.get("live", False)))
    except FileNotFoundError:
        raise UsageError(f"There is no run {run_id!r}.", "`triage status` lists the runs.") from None
    except (ValueError, KeyError) as error:
        raise IntegrityError(f"The run file of {run_id} is damaged.", "Restore it from a backup.") from error


def begun(settings: Settings) -> list[str]:
    """Names of all runs, the latest clock last."""
    names = [path.parent.name for path in settings.runs_dir.glob("*/run.json")]
    return sorted(names, key=lambda name: (load(settings, name).as_of, name))


def run_dir(settings: Settings, run_id: str) -> Path:
    """Folder of a run's own files (reports, shard lists)."""
    return settings.runs_dir / run_id


BEFORE_ROWS = "stages.jsonl"
"""File of a run's folder in which a version before kept its reports, one a line; runs of that time have it still."""


def record(settings: Settings, report: StageReport) -> None:
    """Append a report to what the run has: a row of the lake's table `runs`, so that tasks on several machines may append
    at once."""
    body = json.dumps(report.as_dict(), sort_keys=True)
    Lake.of(settings).run_rows.append(report.run_id, [(REPORT, report.stage, body)])


def reports(settings: Settings, run_id: str) -> list[StageReport]:
    """Every stage report of a run so far, in the order written."""
    return reports_of(settings, [run_id]).get(run_id, [])


def reports_of(settings: Settings, runs: Collection[str]) -> dict[str, list[StageReport]]:
    """Every stage report of some runs, in the order written; a run that has none is not named."""
    found = {run: _before_rows(settings, run) for run in runs}
    for row in Lake.of(settings).run_rows.of_runs(runs, REPORT):
        found[row.run_id].append(StageReport.from_dict(json.loads(row.body)))
    return {run: listed for run, listed in found.items() if listed}


def _before_rows(settings: Settings, run_id: str) -> list[StageReport]:
    """Reports that a version before kept in a file. A line cut short by a kill is left out."""
    path = run_dir(settings, run_id) / BEFORE_ROWS
    if not path.is_file():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    return [StageReport.from_dict(json.loads(x)) for x in lines if x.endswith(b"\n") and x.startswith(b"{")]


READING = ("hashset_", "graded_uploads")
"""How the names of stages begin that read hash sets: deliveries, and graded results that people uploaded."""

HASH_SETS = "hashset-"
"""How the name of a run begins in which a command, without a night, imports hash sets or builds a release."""


def of_hash_sets(settings: Settings, run_id: str, done: Sequence[StageReport] | None = None) -> bool:
    """Whether a run read hash sets and nothing else: it writes no queue, so that nothing in it has to reconcile. A run of
    that name in which a night was begun too has to reconcile as any other. `done` are its reports where they are known."""
    named = run_id.startswith(HASH_SETS) or (run_dir(settings, run_id) / "hashsets.json").is_file()
    if not named:
        return False
    return all(report.stage.startswith(READING) for report in (reports(settings, run_id) if done is None else done))
