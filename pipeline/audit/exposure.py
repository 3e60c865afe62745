"""Exposure: how many chats and narratives a person opened on each day, from the audit log. For that person, and for those who look
after people; by name and day, never ranked.

Openings in cases that the reader may not see are left out: that a restricted case was worked on is not told by a number either.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from pipeline.people import permissions
from pipeline.store import recording
from pipeline.store.actors import Actor
from pipeline.store.context import now
from pipeline.store.people_tables import AuditEntry
from pipeline.store.tables import Case

DAYS = 28
"""How far back it is counted."""
LONDON = ZoneInfo("Europe/London")


@dataclass(frozen=True)
class Opened:
    """Texts that one person opened on one day (British time)."""

    user_id: str
    name: str
    day: date
    texts: int


def own(session: Session, actor: Actor) -> list[Opened]:
    """The actor's own openings, the newest day first. Not logged: it is one's own."""
    permissions.require(actor, "mine.list")
    return _opened(session, actor, actor.user_id)


def of_everybody(session: Session, actor: Actor) -> list[Opened]:
    """Everybody's openings for the wellbeing view, by name and then the newest day first. The look itself is logged."""
    permissions.require(actor, "wellbeing.read")
    recording.record(session, actor, "consultation", "wellbeing.read")
    return sorted(_opened(session, actor, None), key=lambda o: (o.name, o.user_id, -o.day.toordinal()))


def _opened(session: Session, actor: Actor, user_id: str | None) -> list[Opened]:
    since = (now(session) - timedelta(days=DAYS)).isoformat(timespec="microseconds")
    visible = or_(Case.compartment.is_(None), Case.compartment.in_(sorted(actor.compartments)))
    query = (
        select(AuditEntry.user_id, AuditEntry.user_name, AuditEntry.at)
        .outerjoin(Case, Case.case_id == AuditEntry.case_id)
        .where(AuditEntry.action == "text.opened", AuditEntry.at >= since, or_(Case.case_id.is_(None), visible))
    )
    if user_id is not None:
        query = query.where(AuditEntry.user_id == user_id)
    counted: Counter[tuple[str, str, date]] = Counter()
    for who, name, at in session.execute(query):
        counted[who, name, datetime.fromisoformat(at).astimezone(LONDON).date()] += 1
    rows = [Opened(who, name, day, texts) for (who, name, day), texts in counted.items()]
    return sorted(rows, key=lambda o: o.day, reverse=True)
