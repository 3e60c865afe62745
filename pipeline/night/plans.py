"""What a run planned: how many shards of a stage were left, when. A row of the lake's table `runs`, read for the run's progress."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pipeline import contract as nights
from pipeline.lake import Lake
from pipeline.lake.run_rows import PLAN, REPORT
from pipeline.settings import Settings


@dataclass(frozen=True)
class Planned:
    """`left` shards were to be done at `at` (ISO 8601), when the stage had `reported` reports."""

    stage: str
    left: int
    reported: int
    at: str


def note(settings: Settings, run_id: str, stage: str, left: int) -> None:
    """Append a plan, if the run was begun."""
    if not (nights.run_dir(settings, run_id) / "run.json").is_file():
        return
    rows = Lake.of(settings).run_rows
    reported = sum(row.name == stage for row in rows.of(run_id, REPORT))
    plan = Planned(stage, left, reported, datetime.now(UTC).isoformat(timespec="seconds"))
    rows.append(run_id, [(PLAN, stage, json.dumps(asdict(plan)))])


def newest(settings: Settings, run_id: str) -> dict[str, Planned]:
    """The last plan of each stage."""
    rows = Lake.of(settings).run_rows.of(run_id, PLAN)
    return {row.name: Planned(**json.loads(row.body)) for row in rows}
