"""The night's last stage but one: bring the reporting tables for the dashboard and Power BI up to date."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from sqlalchemy.orm import Session

from pipeline import contract as nights
from pipeline import files, logs, policy
from pipeline.cases.views import hiding
from pipeline.contract import Night, StageReport
from pipeline.export import reporting, reporting_rows, reporting_runs, reporting_state
from pipeline.export.reporting_parts import KeptPart, LostError, Shelf
from pipeline.export.reporting_rows import BY, Concerned, World
from pipeline.export.reporting_state import KeptTables
from pipeline.lake import Lake
from pipeline.settings import Settings
from pipeline.store import opening as store
from pipeline.store.opening import Store

STAGE = "reporting"


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """Bring every reporting table up to the run's clock. `read` and `kept` count the tables."""
    started, cpu = time.monotonic(), time.process_time()
    rows = bring_up(settings, night.as_of, night.run_id)
    return StageReport(
        STAGE,
        night.run_id,
        read=len(rows),
        kept=len(rows),
        counts={f"{name}_rows": number for name, number in rows.items()},
        seconds=round(time.monotonic() - started, 3),
        cpu_seconds=round(time.process_time() - cpu, 3),
    )


def write(settings: Settings, run_id: str | None, *, whole: bool = False) -> list[dict[str, Any]]:
    """Bring the tables up to now or to a run's clock, outside a run, with every table as CSV too; returns one row per table. With
    `whole` everything is computed anew and what was there before is removed at once."""
    if run_id is None:
        moment, name = datetime.now(UTC).replace(microsecond=0), "on demand"
    else:
        night = nights.load(settings, run_id)
        moment, name = night.as_of, night.run_id
    rows = bring_up(settings, moment, name, whole=whole, every_csv=True)
    return [
        {"table": table, "rows": number, "meaning": reporting.describe(table)["description"]}
        for table, number in rows.items()
    ]


def bring_up(
    settings: Settings, as_of: datetime, run_id: str, *, whole: bool = False, every_csv: bool = False
) -> dict[str, int]:
    """Make both sets of tables what lake, runs and case store say at a moment; rows by table of the set for everybody.

    Tables with more rows than the policy's `reporting_csv_rows` are written as CSV with `every_csv` only.

    Killed anywhere, the tables stay as they were, and the next time does what is missing.
    """
    opened = store.open_store(settings)
    try:
        hours = opened.rules.data["urgency"]
        shelf = Shelf(settings, None if every_csv else policy.load(settings, "lake").data["reporting_csv_rows"])
        kept = None if whole else reporting_state.load(shelf, hours)
        try:
            return _bring_up(shelf, opened, as_of, run_id, kept, at_once=whole)
        except LostError as lost:
            logs.get(STAGE).warning("a kept file is not what was written: everything is computed anew", file=str(lost))
            return _bring_up(shelf, opened, as_of, run_id, None, at_once=whole)
    finally:
        opened.close()


def _bring_up(
    shelf: Shelf, opened: Store, as_of: datetime, run_id: str, kept: KeptTables | None, *, at_once: bool
) -> dict[str, int]:
    hours: dict[str, int] = opened.rules.data["urgency"]
    settings, lake = opened.settings, Lake.of(opened.settings).now()
    with opened.reader() as session:
        touches = reporting_state.touched(session)
        if kept and reporting_state.outdated(
            kept, as_of, lake, int(policy.load(settings, "lake").data["recheck_days"])
        ):
            kept = None
        state = _now(settings, session, lake, as_of, kept)
        concerned = (
            reporting_state.changed(kept, state, lake, session, touches.values(), hours=hours) if kept else Concerned()
        )
        runs = reporting_runs.read(settings, concerned.runs)
        world = World(settings, session, lake, as_of, hours, state.secret, state.erased, runs)
        parts = _parts(shelf, world, concerned, kept)
    rows = _publish(shelf, replace(state, parts=parts), run_id, hours)
    shelf.sweep(parts, at_once=at_once)
    if touches:
        with opened.session() as session:
            reporting_state.settled(session, touches)
    return rows


def _now(settings: Settings, session: Session, lake: Lake, as_of: datetime, kept: KeptTables | None) -> KeptTables:
    """What the tables are made of from now on, without their parts."""
    restricted = reporting_state.restricted(lake, kept)
    erased = frozenset(hiding.erased_referrals(session))
    return KeptTables(
        parts={},
        through=lake.last(),
        as_of=as_of,
        whole=kept.whole if kept else as_of.astimezone(UTC).date(),
        runs=reporting_state.stamps(settings.runs_dir, lake, kept),
        restricted=restricted,
        secret=restricted | frozenset(hiding.referrals(session, reporting.OPEN)) - erased,
        erased=erased,
    )


def _parts(shelf: Shelf, world: World, concerned: Concerned, kept: KeptTables | None) -> dict[str, list[KeptPart]]:
    """The parts of every table with the rows of the owners concerned computed and put in their places."""
    before: Mapping[str, list[KeptPart]] = kept.parts if kept else {}
    parts: dict[str, list[KeptPart]] = {}
    found = reporting_rows.compute(world, concerned)
    for table, rows in found.items():
        parts[table] = shelf.replaced(table, before.get(table, ()), rows, _owners(table, concerned))
    if kept and parts["matched"] == before["matched"]:  # no pair is new, gone or hidden from others
        parts["report_matches"] = before["report_matches"]
        return parts
    matched = shelf.read("matched", parts["matched"]) if parts["matched"] else found["matched"]
    counted = reporting_rows.counted(world.settings, matched)
    parts["report_matches"] = shelf.replaced("report_matches", before.get("report_matches", ()), counted, None)
    return parts


def _owners(table: str, concerned: Concerned) -> pa.Array | None:
    ids = getattr(concerned, BY[table]) if BY[table] else None
    return None if ids is None else pa.array(sorted(ids), pa.string())


def _publish(shelf: Shelf, state: KeptTables, run_id: str, hours: Mapping[str, int]) -> dict[str, int]:
    """Make the parts visible, the set with restricted cases first; the manifest of each set is written last."""
    for restricted in (True, False):
        shelf.put(state.parts, restricted=restricted)
        listed = {t: shelf.seen(t, state.parts[t], restricted=restricted) for t in reporting.tables()}
        manifest = {
            "as_of": state.as_of.isoformat(),
            "run_id": run_id,
            "tables": {
                t: {"rows": sum(p.rows for p in ps), "parts": [p.name for p in ps], "csv": shelf.csv_of(t, ps)}
                for t, ps in listed.items()
            },
        }
        folder = shelf.restricted if restricted else shelf.open
        files.write_bytes(folder / reporting.MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
    reporting_state.save(shelf, state, hours)
    return {table: sum(p.rows for p in parts) for table, parts in listed.items()}
