"""What is wrong now, looked for from outside: the watch needs neither Airflow nor the night to run to find it.

A missing night triggers its own check: by the hour of the policy the night of the day must be there and reconciled.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hashsets.release import approving, building, releases
from pipeline import contract as nights
from pipeline.audit import log as audit_log
from pipeline.errors import TriageError
from pipeline.night import marks
from pipeline.settings import Settings
from pipeline.store.actors import SYSTEM
from pipeline.store.opening import Store
from pipeline.watch.alarms import Condition

LONDON = ZoneInfo("Europe/London")
RECENT = 7
"""Runs, newest first, whose reports are looked at."""

AUDIT_CHECKED = "audit_checked"
FOUND = ("night_late", "not_reconciled", "quarantined", "delivery_waits", "disk")
"""Kinds that are looked for at every look, and are over when they are not found."""


def present(settings: Settings, policy: dict[str, Any], now: datetime) -> list[Condition]:
    """Everything of the kinds FOUND that is wrong at `now`."""
    found = reports(settings)
    return [
        *late(settings, found, policy, now),
        *bad_reports(found, policy),
        *deliveries(settings, policy, now),
        *disk(settings, policy),
    ]


def reports(settings: Settings) -> dict[str, dict[str, Any]]:
    """Reports of the newest runs that have one, by name of the run, the latest first."""
    paths = sorted(settings.runs_dir.glob("*/report.json"), key=lambda p: p.stat().st_mtime, reverse=True)
    return {path.parent.name: json.loads(path.read_text()) for path in paths[:RECENT]}


def late(
    settings: Settings, found: dict[str, dict[str, Any]], policy: dict[str, Any], now: datetime
) -> Iterator[Condition]:
    """The night of the day, when it is due and not there."""
    local = now.astimezone(LONDON)
    if local.time() < time.fromisoformat(policy["night_due"]):
        return
    name = f"night-{local:%Y-%m-%d}"
    report = found.get(name)
    if report is None or not report["reconciles"]:
        begun = (nights.run_dir(settings, name) / "run.json").is_file()
        facts = {"run": name, "due": policy["night_due"], "state": "not ended well" if begun else "never begun"}
        yield Condition("night_late", f"night_late:{name}", facts)


def bad_reports(found: dict[str, dict[str, Any]], policy: dict[str, Any]) -> Iterator[Condition]:
    """Runs that do not reconcile, and those with many packages in quarantine."""
    for name, report in found.items():
        if not report["reconciles"]:
            differs = sum(not check["holds"] for check in report["checks"])
            yield Condition("not_reconciled", f"not_reconciled:{name}", {"run": name, "checks_that_differ": differs})
        number = int(report.get("packages_quarantined", 0))
        if number > policy["quarantined_above"]:
            facts = {"run": name, "packages": number, "above": policy["quarantined_above"]}
            yield Condition("quarantined", f"quarantined:{name}", facts)


def deliveries(settings: Settings, policy: dict[str, Any], now: datetime) -> Iterator[Condition]:
    """Pages of a delivery that wait for the others, and a release that waits for its approval."""
    hours = float(policy["delivery_waits_hours"])
    sources: dict[str, int] = {}
    for page in building.waiting_pages(settings):
        if now - datetime.fromisoformat(page.since) > timedelta(hours=hours):
            sources[page.record.source_id] = sources.get(page.record.source_id, 0) + 1
    for source, pages in sources.items():
        facts = {"source": source, "pages": pages, "for": "further pages, or a person's word that none come"}
        yield Condition("delivery_waits", f"delivery_waits:{source}", facts)
    current = releases.pointer(settings)
    number = (current.number if current else 0) + 1
    folder = settings.releases_dir / str(number)
    if folder.is_dir() and not refused(settings):
        waited = now - datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        if waited > timedelta(hours=hours):
            facts = {"release": number, "for": "approval or publication", "hours": round(waited.total_seconds() / 3600)}
            yield Condition("delivery_waits", f"delivery_waits:release-{number}", facts)


def refused(settings: Settings) -> bool:
    """Whether a person has refused the release that was built: then nothing waits for anybody until another is built.

    What cannot be read counts as not refused, so that somebody looks at it.
    """
    try:
        release = approving.built(settings)
        found = approving.judged(settings, release) if release is not None else None
    except TriageError:
        return False
    return found is not None and found.state == approving.REFUSED


def disk(settings: Settings, policy: dict[str, Any]) -> Iterator[Condition]:
    """Little space below TRIAGE_HOME."""
    usage = shutil.disk_usage(settings.home)
    percent, gib = 100 * usage.free / usage.total, usage.free / 2**30
    if percent < policy["disk_free_percent"] or gib < policy["disk_free_gib"]:
        yield Condition("disk", "disk:home", {"free_percent": round(percent, 1), "free_gib": round(gib, 1)})


def audit(store: Store, policy: dict[str, Any], now: datetime) -> list[Condition] | None:
    """The audit chain against its anchors, when it is time to look again; None when it is not."""
    last = marks.get(store.settings, AUDIT_CHECKED)
    if last and now - datetime.fromisoformat(last) < timedelta(hours=policy["audit_every_hours"]):
        return None
    try:
        audit_log.verify(store, SYSTEM)
    except TriageError as error:
        return [Condition("audit", "audit:chain", {"error": type(error).__name__})]
    marks.put(store.settings, AUDIT_CHECKED, now.isoformat())
    return []
