"""One look: find what is wrong, raise and close alarms, tell people."""

from __future__ import annotations

import json
from datetime import datetime

from pipeline import contract as nights
from pipeline import logs, policy
from pipeline.errors import DependencyError
from pipeline.settings import Settings
from pipeline.store.opening import Store
from pipeline.watch import alarms, conditions, ways
from pipeline.watch.alarms import Condition

POLICY = "alarms"


def look(store: Store, now: datetime) -> dict[str, int]:
    """Look at everything once and tell what is new; returns how many alarms were raised, closed and told.

    A way that does not answer is logged. What no way carried is tried at the next look.
    """
    settings, rules = store.settings, policy.load(store.settings, POLICY).data
    found = conditions.present(settings, rules, now)
    raised = sum(alarms.raise_(store, condition) for condition in found)
    closed = alarms.close_others(store, conditions.FOUND, [c.key for c in found])
    checked = conditions.audit(store, rules, now)
    if checked is not None:
        raised += sum(alarms.raise_(store, condition) for condition in checked)
        closed += alarms.close_others(store, ["audit"], [c.key for c in checked])
    closed += alarms.close_others(store, ["night_failed"], still_failed(store))
    return {"raised": raised, "closed": closed, "told": tell(store, now)}


def tell(store: Store, now: datetime) -> int:
    """Send what nobody was told of; returns how many. With no way configured alarms stay in `triage alarms` and the console."""
    settings = store.settings
    if not ways.configured(settings):
        return 0
    done = 0
    for alarm in alarms.untold(store):
        try:
            failed = ways.send(settings, ways.message(alarm, settings.force))
        except DependencyError as error:
            logs.get("watch").warning("alarm not sent", kind=alarm.kind, reason=error.message)
            return done
        for way, error_name in failed.items():
            logs.get("watch").error("one way did not take an alarm", kind=alarm.kind, way=way, reason=error_name)
        alarms.told(store, alarm.alarm_id, now)
        done += 1
    return done


def still_failed(store: Store) -> list[str]:
    """Keys of the open alarms of failed runs that have not ended well since."""
    return [a.key for a in alarms.open_ones(store) if a.kind == "night_failed" and not _ended_well(store.settings, str(a.facts["run"]), a.raised_at)]  # fmt: skip


def _ended_well(settings: Settings, run: str, after: datetime) -> bool:
    path = nights.run_dir(settings, run) / "report.json"
    if not path.is_file() or path.stat().st_mtime < after.timestamp():
        return False
    return bool(json.loads(path.read_text())["reconciles"])


def run_failed(store: Store, run: str, dag: str, tasks: list[str]) -> bool:
    """Raise the alarm of a run that failed. `tasks` are the names of the failed tasks."""
    return alarms.raise_(store, Condition("night_failed", f"night_failed:{run}", {"run": run, "dag": dag, "failed": ", ".join(tasks)}))  # fmt: skip
