"""One person's own work: cases by the next duty, what they wait for, what came back to them, what changed meanwhile.

A list like the queue's: only the person's own cases, of which every compartment was checked when they were claimed, and is
again here. Nothing in it is about anybody else's work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from pipeline.cases import words
from pipeline.cases.cases import holds
from pipeline.cases.duties import escalations
from pipeline.cases.views import queue
from pipeline.people import permissions, users
from pipeline.store.actors import Actor
from pipeline.store.context import now
from pipeline.store.indexes import unindexed
from pipeline.store.tables import (
    Case,
    Change,
    Decision,
    InformationRequest,
    Lowering,
    Notification,
    SecondLook,
    Seen,
    Transfer,
)

BACK_DAYS = 14
"""How long something that came back stays on the list."""
_Row = TypeVar("_Row", InformationRequest, Transfer, Lowering, SecondLook)

CHANGES_SHOWN = 4
"""Newest changes told of one case; the rest are counted."""


@dataclass(frozen=True)
class NextDuty:
    """What is to be done next in one case that the person holds. `kind`: flag, notification, target or claim."""

    case_id: str
    band: str
    state: str
    kind: str
    text: str
    due_at: datetime
    top_reasons: tuple[str, ...]


@dataclass(frozen=True)
class Awaited:
    """Something that somebody else has to do in a case of the person's: since when, and who."""

    case_id: str
    band: str
    kind: str
    text: str
    since: datetime
    due_at: datetime


@dataclass(frozen=True)
class CameBack:
    """Something that came back: an answer, a decided proposal, a case that was reopened or not taken elsewhere."""

    case_id: str
    band: str
    kind: str
    text: str
    at: datetime


@dataclass(frozen=True)
class Changed:
    """What others changed in a case of the person's since they last looked: the newest changes, and how many in all."""

    case_id: str
    band: str
    texts: tuple[str, ...]
    count: int
    newest_at: datetime


@dataclass(frozen=True)
class Mine:
    """The page: four lists, each in its own order."""

    duties: list[NextDuty]
    waiting: list[Awaited]
    back: list[CameBack]
    changed: list[Changed]


def mine(session: Session, actor: Actor) -> Mine:
    """The person's own work as of now. Not logged, as lists are not."""
    permissions.require(actor, "mine.list")
    moment = now(session)
    held = [
        case
        for case in session.scalars(select(Case).where(Case.holder == actor.user_id, queue.visible(actor)))
        if holds(case, actor.user_id, moment)
    ]
    numbers = [case.case_id for case in held]
    return Mine(
        duties=_duties(session, actor, held),
        waiting=_waiting(session, {case.case_id: case for case in held}),
        back=_back(session, actor, moment - timedelta(days=BACK_DAYS)),
        changed=_changed(session, actor, held, numbers),
    )


def _duties(session: Session, actor: Actor, held: Sequence[Case]) -> list[NextDuty]:
    """The next duty of each case: an unmade escalation or notification before the target, the gravest band first where
    two are due at the same moment."""
    flags = {f.case_id: f for f in reversed(escalations.open_flags(session, actor, of=[c.case_id for c in held]))}
    unmade: dict[str, Notification] = {}
    for row in session.scalars(
        select(Notification)
        .where(Notification.case_id.in_([c.case_id for c in held]), Notification.made_at.is_(None))
        .order_by(Notification.notification_id.desc())
    ):
        unmade[row.case_id] = row
    found = []
    for case in held:
        kind, text, due = "target", _next_step(case), case.due_at
        if (flag := flags.get(case.case_id)) is not None:
            kind, text, due = "flag", f"Bring to the {flag.role}: {flag.label}", flag.due_at
        elif (notice := unmade.get(case.case_id)) is not None:
            kind, text = "notification", f"Make the notification: {notice.label}"
        found.append(NextDuty(case.case_id, case.band, case.state, kind, text, due, tuple(case.top_reasons[:2])))
    order = {case.case_id: case.band_order for case in held}
    return sorted(found, key=lambda d: (d.due_at, order[d.case_id], d.case_id))


def _next_step(case: Case) -> str:
    """What the state asks for."""
    if case.state == "awaiting_information":
        return "Chase the answer; the clock runs on"
    if case.state == "awaiting_acceptance":
        return "Ask the other force whether they take it"
    if case.state == "in_enquiry":
        return "Go on with the enquiry"
    return "Decide: start an enquiry, ask, or close"


def _waiting(session: Session, held: dict[str, Case]) -> list[Awaited]:
    """Requests without an answer, offers to another force, lowerings and second looks that wait for somebody."""
    found: list[tuple[str, str, str, datetime]] = []
    for asked in _of(session, InformationRequest, held, InformationRequest.answered_at.is_(None)):
        found.append((asked.case_id, "request", f"An answer from {asked.asked_of}", asked.asked_at))
    for offer in _of(session, Transfer, held, Transfer.settled_at.is_(None)):
        found.append((offer.case_id, "transfer", f"{offer.recipient} to take the case", offer.at))
    for proposal in _of(session, Lowering, held, Lowering.status == "pending"):
        found.append((proposal.case_id, "lowering", "A supervisor to decide on the lower band", proposal.proposed_at))
    for look in _of(session, SecondLook, held, SecondLook.done_at.is_(None)):
        found.append((look.case_id, "second_look", "Somebody else to look again", look.opened_at))
    rows = [
        Awaited(number, held[number].band, kind, text, since, held[number].due_at)
        for number, kind, text, since in found
    ]
    return sorted(rows, key=lambda w: (w.since, w.case_id, w.kind))


def _of(session: Session, table: type[_Row], held: dict[str, Case], condition: ColumnElement[bool]) -> Iterable[_Row]:
    return session.scalars(select(table).where(table.case_id.in_(list(held)), condition))


def _back(session: Session, actor: Actor, since: datetime) -> list[CameBack]:
    """What came back to the person who asked, proposed, offered or decided, newest first."""
    me = actor.user_id
    found: list[tuple[str, str, str, datetime | None]] = []
    asked = select(InformationRequest).where(InformationRequest.asked_by == me, InformationRequest.answered_at >= since)
    found += [(q.case_id, "answer", f"{q.asked_of} answered", q.answered_at) for q in session.scalars(asked)]
    proposed = select(Lowering).where(
        Lowering.proposed_by == me, Lowering.decided_at >= since, Lowering.status.in_(["approved", "refused"])
    )
    found += [
        (
            p.case_id,
            "lowering",
            f"Your lower band was {p.status} by {users.name_of(session, p.decided_by)}",
            p.decided_at,
        )
        for p in session.scalars(proposed)
    ]
    offered = select(Transfer).where(Transfer.by == me, Transfer.settled_at >= since, Transfer.accepted.is_(False))
    found += [(o.case_id, "transfer", f"{o.recipient} did not take it", o.settled_at) for o in session.scalars(offered)]
    worked = select(Decision.case_id).where(Decision.by == me)
    still_open = unindexed(Case.is_open).is_(True)  # few cases are worked by one person
    again = select(Case).where(Case.reopened_at >= since, still_open, Case.case_id.in_(worked))
    found += [
        (case.case_id, "reopened", case.reopen_reason or "Reopened", case.reopened_at)
        for case in session.scalars(again)
    ]
    bands = {
        case.case_id: case.band
        for case in session.scalars(
            select(Case).where(Case.case_id.in_([number for number, *_ in found]), queue.visible(actor))
        )
    }
    rows = [CameBack(n, bands[n], kind, text, at) for n, kind, text, at in found if n in bands and at is not None]
    return sorted(rows, key=lambda b: (b.at, b.case_id, b.kind), reverse=True)


def _changed(session: Session, actor: Actor, held: Sequence[Case], numbers: Sequence[str]) -> list[Changed]:
    """What others changed in cases that the person holds since they last looked, the newest first."""
    rows = session.scalars(
        select(Change)
        .outerjoin(Seen, (Seen.case_id == Change.case_id) & (Seen.user_id == actor.user_id))
        .where(
            Change.case_id.in_(numbers),
            Change.by != actor.user_id,
            or_(Seen.change_id.is_(None), Change.change_id > Seen.change_id),
        )
        .order_by(Change.change_id.desc())
    )
    by_case: dict[str, list[Change]] = {}
    for row in rows:
        if permissions.visible(actor, row.compartment):
            by_case.setdefault(row.case_id, []).append(row)
    bands, people = {case.case_id: case.band for case in held}, users.names(session)

    def told(change: Change) -> str:
        return words.changed(change.kind, change.text, lambda user_id: people.get(user_id, user_id))

    return [
        Changed(number, bands[number], tuple(told(c) for c in of[:CHANGES_SHOWN]), len(of), of[0].at)
        for number, of in by_case.items()
    ]
