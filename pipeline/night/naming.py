"""The name of a run, from what Airflow says it is: DAG, logical date, run id.

night-2026-11-28                             the night of that date, scheduled or a backfill
night-2026-11-28T10.31.05.123456-00.00       a night started by hand
refresh-..., retro-...                       runs of hashset_refresh and retro_match
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from zoneinfo import ZoneInfo

PREFIXES = {"nightly_triage": "night", "hashset_refresh": "refresh", "graded_results": "graded", "retro_match": "retro"}
KINDS = ("scheduled", "backfill", "manual", "asset_triggered", "asset_materialization")
LONDON = ZoneInfo("Europe/London")
LONGEST = 80


def run_name(dag: str, run_id: str, kind: str, logical_date: datetime | None) -> str:
    """Name of the run that belongs to a DAG run: the same for every task and every repeat of it, and no other's."""
    prefix = PREFIXES.get(dag, dag)
    if kind in ("scheduled", "backfill") and logical_date is not None:
        return f"{prefix}-{logical_date.astimezone(LONDON):%Y-%m-%d}"
    rest = run_id
    for known in KINDS:
        rest = rest.removeprefix(f"{known}__")
    plain = re.sub(r"[^A-Za-z0-9_.-]", ".", rest.replace("+", "-"))
    name = f"{prefix}-{plain}"
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 13]}-{hashlib.sha256(run_id.encode()).hexdigest()[:12]}"
