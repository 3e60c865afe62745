"""Alarms: raised once, kept in the case store, told when they begin and when they are over. No personal data in any.

Whoever finds something wrong raises it here (a DAG that failed, the watch); the watch sends what is not sent. An alarm
that nobody can be told of stays unsent and is tried again, so that a mail server that is away loses none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from pipeline.store.opening import Store
from pipeline.store.operations import Alarm

KINDS = {
    "night_failed": "A run failed",
    "night_late": "The night is late",
    "not_reconciled": "A run does not reconcile: do not work the queue from it",
    "quarantined": "Many packages are in quarantine",
    "delivery_waits": "A hash-set delivery waits",
    "audit": "The audit log or its anchors are not what was written",
    "disk": "The disk is nearly full",
}
"""What an alarm is about, in words."""

REMEDIES = {
    "night_failed": "`triage status`, then docs/operations.md, When something fails.",
    "night_late": "See whether the scheduler and the workers run; `triage status` says how far the night is.",
    "not_reconciled": "`triage night report`; keep the run's folder.",
    "quarantined": "`triage quarantine`: texts to send back to the senders.",
    "delivery_waits": "`triage hashset releases`, and the approvals in Airflow (Required actions).",
    "audit": "`triage audit verify`; tell the auditor before anything else is done.",
    "disk": "Free space, or move TRIAGE_HOME.",
}
"""What to do first."""


@dataclass(frozen=True)
class Condition:
    """Something that is wrong now. `key` tells it from others of its kind; `facts` are counts and names of runs."""

    kind: str
    key: str
    facts: dict[str, Any] = field(default_factory=dict)


def raise_(store: Store, condition: Condition) -> bool:
    """Raise an alarm; False when it is open already. Raises ValueError for a kind that is none."""
    if condition.kind not in KINDS:
        raise ValueError(f"{condition.kind!r} is no kind of alarm")
    with store.session() as session:
        found = session.scalar(select(Alarm).where(Alarm.key == condition.key, Alarm.closed_at.is_(None)))
        if found is not None:
            return False
        session.add(Alarm(key=condition.key, kind=condition.kind, facts=condition.facts, raised_at=store.clock()))
        return True


def close_others(store: Store, kinds: Iterable[str], still: Iterable[str]) -> int:
    """Close the open alarms of these kinds whose keys are not in `still`; returns how many."""
    kept = set(still)
    with store.session() as session:
        listed = session.scalars(select(Alarm).where(Alarm.kind.in_(list(kinds)), Alarm.closed_at.is_(None))).all()
        gone = [alarm for alarm in listed if alarm.key not in kept]
        for alarm in gone:
            alarm.closed_at = store.clock()
        return len(gone)


def untold(store: Store) -> list[Alarm]:
    """Alarms of which nobody was told yet, and those whose end nobody was told of; the oldest first. One that began and
    ended before anybody was told is told once, as over."""
    with store.reader() as session:
        begun = Alarm.sent_at.is_(None) & Alarm.told_closed_at.is_(None)
        over = Alarm.closed_at.is_not(None) & Alarm.told_closed_at.is_(None)
        return list(session.scalars(select(Alarm).where(begun | over).order_by(Alarm.alarm_id)))


def told(store: Store, alarm_id: int, at: datetime) -> None:
    """Remember that people were told of the alarm as it stands."""
    with store.session() as session:
        alarm = session.get_one(Alarm, alarm_id)
        if alarm.sent_at is None:
            alarm.sent_at = at
        if alarm.closed_at is not None:
            alarm.told_closed_at = at


def open_ones(store: Store) -> list[Alarm]:
    """Alarms whose cause is not gone, the oldest first."""
    with store.reader() as session:
        return list(session.scalars(select(Alarm).where(Alarm.closed_at.is_(None)).order_by(Alarm.alarm_id)))


def all_of(store: Store, limit: int) -> list[Alarm]:
    """The newest alarms, open or over."""
    with store.reader() as session:
        return list(session.scalars(select(Alarm).order_by(Alarm.alarm_id.desc()).limit(limit)))
