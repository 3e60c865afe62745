"""How the stages are run by an orchestrator: retries, time limits and single writers. Read by the DAGs; no Airflow here.

Every stage may be repeated at any point (`pipeline/contract.py`), so every task is retried; the limits are far above what
a night on one machine takes (bench/results/nightly.json) and only end a task that hangs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

WRITER_POOL = "triage_writer"
"""Pool with one slot: stages that write one home (ingest, assess, publish, a release) never run beside each other."""

EVERY_STAGE: dict[str, Any] = {
    "retries": 7,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=2),
}
"""Seven retries after 20 s, 40 s, ... 10 min: more than half an hour, which a restart of a database or of a machine fits in."""

RUN_LIMIT = timedelta(hours=20)
"""A run that has not ended by then is failed, so that somebody is told and the next night can begin."""

ANSWER_WITHIN = timedelta(days=7)
"""How long a release waits for a person before the run that built it fails. The release itself goes on waiting."""

APPROVAL_LIMIT = RUN_LIMIT + ANSWER_WITHIN
"""The limit of a run that may wait for a person."""

TURN: dict[str, Any] = {
    "mode": "reschedule",
    "poke_interval": 10.0,
    "timeout": timedelta(hours=12).total_seconds(),
    "execution_timeout": timedelta(minutes=10),
}
"""Waiting for the turn to write the queue takes no worker's slot."""

LONG_STAGE: dict[str, Any] = {"execution_timeout": timedelta(hours=4)}

SINGLE_WRITER: dict[str, Any] = {"pool": WRITER_POOL, "execution_timeout": timedelta(hours=4)}

TASKS_AT_MOST = 500
"""Most tasks that one stage of a night is mapped to: below Airflow's own limit (`max_map_length`, 1024), however large the night."""

UNMEASURED = 20.0
"""Seconds that a shard is taken to need before any was measured: about a thousand small pictures (bench/results/nightly.json)."""
