"""The night's last stage: write the reporting tables for the dashboard and Power BI."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from sqlalchemy.orm import Session

from pipeline import senders
from pipeline.cases.views import case as views
from pipeline.export import reporting
from pipeline.export.sql import sources
from pipeline.lake import Lake
from pipeline.night import contract as nights
from pipeline.night.contract import Night, StageReport
from pipeline.settings import Settings
from pipeline.store import opening as store
from pipeline.store.actors import Actor


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """Write every reporting table as of the run's clock. `read` and `kept` count the tables."""
    started, cpu = time.monotonic(), time.process_time()
    built = both(settings, night.as_of, night.run_id)
    return StageReport(
        "reporting",
        night.run_id,
        read=len(built.tables),
        kept=len(built.tables),
        counts={f"{name}_rows": table.num_rows for name, table in built.tables.items()},
        seconds=round(time.monotonic() - started, 3),
        cpu_seconds=round(time.process_time() - cpu, 3),
    )


def write(settings: Settings, run_id: str | None) -> list[dict[str, Any]]:
    """Write the tables outside a run, as of now or of a run's clock; returns one row per table."""
    if run_id is None:
        moment, name = datetime.now(UTC).replace(microsecond=0), "on demand"
    else:
        night = nights.load(settings, run_id)
        moment, name = night.as_of, night.run_id
    built = both(settings, moment, name)
    return [
        {"table": table, "rows": rows.num_rows, "meaning": reporting.describe(table)["description"]}
        for table, rows in built.tables.items()
    ]


RESTRICTED = replace(reporting.OPEN, compartments=frozenset(senders.COMPARTMENTS))
"""As whom the second set is built."""


def both(settings: Settings, as_of: datetime, run_id: str) -> reporting.Reporting:
    """Write the set that everybody may read and that with restricted cases; returns the first. Where nothing is restricted
    they are the same, and computed once."""
    opened = store.open_store(settings)
    try:
        urgency = opened.rules.data["urgency"]
        with opened.reader() as session:
            stored = reporting.stored_tables(session)
            everything = reporting.build(settings, session, as_of, run_id, urgency, reader=RESTRICTED, stored=stored)
            if not _anything_restricted(settings, session, stored):
                reporting.write(settings, everything, restricted=(True, False))
                return everything
            reporting.write(settings, everything, restricted=(True,))
            built = reporting.build(settings, session, as_of, run_id, urgency, stored=stored)
    finally:
        opened.close()
    reporting.write(settings, built)
    return built


def _anything_restricted(settings: Settings, session: Session, stored: Mapping[str, pa.Table]) -> bool:
    """Whether there is a case, a link or a referral that not everybody may read."""
    marked = [
        t for t in stored.values() if "compartment" in t.column_names and t["compartment"].null_count < t.num_rows
    ]
    return (
        bool(marked)
        or bool(views.hidden_referrals(session, reporting.OPEN))
        or bool(sources.hidden_referrals(Lake.of(settings), reporting.OPEN))
    )


def build(settings: Settings, as_of: datetime, run_id: str, reader: Actor = reporting.OPEN) -> reporting.Reporting:
    """The reporting tables over the lake and the case store as they are, as `reader` may see them."""
    opened = store.open_store(settings)
    try:
        urgency = opened.rules.data["urgency"]
        with opened.reader() as session:
            return reporting.build(settings, session, as_of, run_id, urgency, reader=reader)
    finally:
        opened.close()
