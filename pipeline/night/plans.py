"""What a run planned: how many shards of a stage were left, when. Written beside its reports, read for its progress.

runs/<run>/plans.jsonl    one line per planning: stage, left, reported (reports of the stage so far), at
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pipeline import contract as nights
from pipeline.settings import Settings

NAME = "plans.jsonl"


@dataclass(frozen=True)
class Planned:
    """`left` shards were to be done at `at` (ISO 8601), when the stage had `reported` reports."""

    stage: str
    left: int
    reported: int
    at: str


def note(settings: Settings, run_id: str, stage: str, left: int) -> None:
    """Append a plan, if the run was begun: one write, so that tasks may append at once."""
    folder = nights.run_dir(settings, run_id)
    if not (folder / "run.json").is_file():
        return
    plan = Planned(stage, left, reported(settings, run_id, stage), datetime.now(UTC).isoformat(timespec="seconds"))
    descriptor = os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    try:
        os.write(descriptor, json.dumps(asdict(plan)).encode() + b"\n")
    finally:
        os.close(descriptor)


def reported(settings: Settings, run_id: str, stage: str) -> int:
    """How many reports of the stage the run has."""
    path = nights.run_dir(settings, run_id) / "stages.jsonl"
    lines = path.read_bytes().splitlines() if path.is_file() else []
    return sum(json.loads(line)["stage"] == stage for line in lines if line.startswith(b"{") and line.endswith(b"}"))


def newest(settings: Settings, run_id: str) -> dict[str, Planned]:
    """The last plan of each stage. A line cut short by a kill is left out."""
    path = nights.run_dir(settings, run_id) / NAME
    found = {}
    for line in path.read_bytes().splitlines(keepends=True) if path.is_file() else []:
        if line.endswith(b"\n"):
            plan = Planned(**json.loads(line))
            found[plan.stage] = plan
    return found
