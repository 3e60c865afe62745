"""Measures of the running product: one snapshot, from which the Prometheus page, the OpenTelemetry export and /health are made.

Counts, ages and shares only: no measure has a label that names a person, a case or a package. docs/monitoring.md lists all.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select

from pipeline.night import turns
from pipeline.settings import Settings
from pipeline.store.opening import Store
from pipeline.store.tables import Case
from pipeline.store.types import BANDS
from pipeline.watch import alarms, conditions


@dataclass(frozen=True)
class Measure:
    """One gauge with its value now. `labels` have few values each."""

    name: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)


NAMES = {
    "triage_night_age_seconds": "Seconds since the newest run ended reconciled: the freshness of the queue",
    "triage_night_reconciled": "Whether the newest run reconciles: 1 or 0",
    "triage_night_checks_failed": "Checks of the newest run that differ",
    "triage_night_canaries": "Indexes of the newest run in which every canary was found",
    "triage_night_packages": "Packages of the newest run by what became of them",
    "triage_night_files": "Media files that the newest run fingerprinted",
    "triage_night_matches": "Matches that the newest run found",
    "triage_night_worker_deaths": "Media workers that died in the newest run",
    "triage_night_stage_seconds": "Seconds of each stage of the newest run, all its shards and repeats",
    "triage_night_stage_rows_per_second": "Rows per second of each stage of the newest run",
    "triage_queue_cases": "Open cases by band",
    "triage_queue_overdue_cases": "Open cases past their target, by band",
    "triage_queue_oldest_seconds": "Seconds on the clock of the oldest open case, by band",
    "triage_alarms_open": "Open alarms by kind",
    "triage_turn_held_seconds": "Seconds for which a run has had the turn to write the queue; 0 while nobody has it",
    "triage_disk_free_bytes": "Free bytes below TRIAGE_HOME",
    "triage_disk_free_ratio": "Free share below TRIAGE_HOME, 0 to 1",
}
"""Every measure with what it says; the same names on every way out."""


def snapshot(store: Store, now: datetime | None = None) -> list[Measure]:
    """All measures now."""
    at = now or datetime.now(UTC)
    return [*_night(store.settings, at), *_queue(store, at), *_alarms(store), *_turn(store, at), *_disk(store.settings)]


def _night(settings: Settings, at: datetime) -> Iterator[Measure]:
    reports = conditions.reports(settings)
    good = [name for name, report in reports.items() if report["reconciles"]]
    if good:
        ended = (settings.runs_dir / good[0] / "report.json").stat().st_mtime
        yield Measure("triage_night_age_seconds", max(0.0, at.timestamp() - ended))
    if not reports:
        return
    report = next(iter(reports.values()))
    yield Measure("triage_night_reconciled", float(report["reconciles"]))
    yield Measure("triage_night_checks_failed", float(sum(not check["holds"] for check in report["checks"])))
    yield Measure("triage_night_canaries", float(report["indexes_with_canaries_checked"]))
    stages: dict[str, Any] = report["stages"]
    ingest = stages.get("ingest", {"kept": 0, "rejected": {}})
    yield Measure("triage_night_packages", float(ingest["kept"]), {"state": "taken_in"})
    for state in ("quarantined", "waiting"):
        yield Measure("triage_night_packages", float(ingest["rejected"].get(state, 0)), {"state": state})
    fingerprint = stages.get("fingerprint", {"read": 0, "counts": {}})
    yield Measure("triage_night_files", float(fingerprint["read"]))
    yield Measure("triage_night_worker_deaths", float(fingerprint["counts"].get("workers_died", 0)))
    match = stages.get("match", {"counts": {}})["counts"]
    yield Measure("triage_night_matches", float(sum(n for name, n in match.items() if name.endswith("_matches"))))
    for name, row in stages.items():
        yield Measure("triage_night_stage_seconds", float(row["seconds"]), {"stage": name})
        rate = row["read"] / row["seconds"] if row["seconds"] else 0.0
        yield Measure("triage_night_stage_rows_per_second", rate, {"stage": name})


def _queue(store: Store, at: datetime) -> Iterator[Measure]:
    overdue_now = func.count().filter(Case.due_at < at)
    query = select(Case.band, func.count(), func.min(Case.clock_start), overdue_now).where(Case.is_open)
    with store.reader() as session:
        rows = {str(row[0]): row for row in session.execute(query.group_by(Case.band))}
    for band in BANDS:
        _, number, oldest, overdue = rows.get(band, (band, 0, None, 0))
        yield Measure("triage_queue_cases", float(number), {"band": band})
        yield Measure("triage_queue_overdue_cases", float(overdue), {"band": band})
        yield Measure("triage_queue_oldest_seconds", (at - oldest).total_seconds() if oldest else 0.0, {"band": band})


def _alarms(store: Store) -> Iterator[Measure]:
    kinds = [alarm.kind for alarm in alarms.open_ones(store)]
    for kind in alarms.KINDS:
        yield Measure("triage_alarms_open", float(kinds.count(kind)), {"kind": kind})


def _turn(store: Store, at: datetime) -> Iterator[Measure]:
    held = turns.present(store)
    yield Measure("triage_turn_held_seconds", max(0.0, (at - held[1]).total_seconds()) if held else 0.0)


def _disk(settings: Settings) -> Iterator[Measure]:
    usage = shutil.disk_usage(settings.home)
    yield Measure("triage_disk_free_bytes", float(usage.free))
    yield Measure("triage_disk_free_ratio", usage.free / usage.total)
