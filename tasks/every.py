"""What every DAG is told alike: one run at a time, in British time, how long it may take, how often its tasks are tried
again, and who hears of its failure."""

from __future__ import annotations

from typing import Any

import pendulum

from pipeline.night.orchestration import RUN_LIMIT
from tasks.retrying import EVERY_TASK
from tasks.telling import run_failed

EVERY_DAG: dict[str, Any] = {
    "start_date": pendulum.datetime(2026, 1, 1, tz="Europe/London"),
    "catchup": False,
    "max_active_runs": 1,
    "dagrun_timeout": RUN_LIMIT,
    "default_args": EVERY_TASK,
    "on_failure_callback": run_failed,
    "tags": ["triage"],
}
"""Arguments of every DAG beside its schedule, its page and its parameters."""
