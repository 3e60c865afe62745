"""Escalation flags: each stands, in a case of any band, until somebody records who was told, by whom and when.

The assessment raises a flag; publishing gives it a recipient and a clock (policy/escalation.yaml). A flag that the next
assessment no longer raises stays too: that a fact was wrong is also to be told. Acknowledging needs no claim on the case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session

from pipeline import britishtime
from pipeline.cases import cases
from pipeline.cases.duties import telling, waiting
from pipeline.errors import ConflictError, UsageError
from pipeline.people import permissions, users
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now
from pipeline.store.duty_tables import Flag, WaitingFlag
from pipeline.store.tables import Case


@dataclass(frozen=True)
class OpenFlag:
    """One flag that nobody has acknowledged. `late`: its clock has run out; `gone`: no longer raised by the assessment."""

    flag_id: int
    case_id: str
    rule: str
    label: str
    reason: str
    role: str
    post: str
    raised_at: datetime
    due_at: datetime
    late: bool
    gone: bool
    band: str
    state: str
    holder: str | None
    version: int

    def as_dict(self) -> dict[str, Any]:
        """A flat row for JSON and CSV."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class Strip:
    """One line of the strip above the queue: how many cases are to be brought to one recipient, the first due first."""

    role: str
    post: str
    cases: int
    late: int
    first_due: datetime
    flags: int

    @property
    def text(self) -> str:
        """For example "2 cases to be brought to the Detective Superintendent now"."""
        number = "1 case" if self.cases == 1 else f"{self.cases} cases"
        return f"{number} to be brought to the {self.role} now"


def open_flags(
    session: Session,
    actor: Actor,
    case_id: str | None = None,
    *,
    of: Sequence[str] | None = None,
    limit: int | None = None,
) -> list[OpenFlag]:
    """Flags that wait for an acknowledgement, of one case, of some (`of`) or of all that the actor may see (the first `limit` of
    them): the gravest band first, in each the first due, then the higher score.

    Flags of closed and transferred cases are among them: closing a case tells nobody. Not logged, as lists are not.
    """
    permissions.require(actor, "queue.list")
    if case_id is not None or of is not None:
        some = waiting.of_cases(actor.compartments, [case_id] if case_id is not None else of or ())
        query = _ordered().where(some).limit(limit)
    elif limit is not None:
        query = _first(actor.compartments, limit)
    else:
        query = _ordered().where(WaitingFlag.scope.in_(waiting.scopes(actor.compartments)))
    moment = now(session)
    found = []
    for *columns, gone_at in session.execute(query):
        values = dict(zip(_AS_STORED, columns, strict=True))
        found.append(OpenFlag(**values, late=values["due_at"] <= moment, gone=gone_at is not None))
    return found


_AS_STORED = [f.name for f in fields(OpenFlag) if f.name not in {"late", "gone"}]


@cache
def _ordered() -> Select[Any]:
    """The statement of `open_flags` for everybody, built once."""
    columns = [getattr(Flag, name) if hasattr(Flag, name) else getattr(Case, name) for name in _AS_STORED]
    return (
        select(*columns, Flag.gone_at)
        .join(WaitingFlag, WaitingFlag.flag_id == Flag.flag_id)
        .join(Case, Case.case_id == WaitingFlag.case_id)
        .order_by(*waiting.ORDER)
    )


@cache
def _first(compartments: frozenset[str], limit: int) -> Select[Any]:
    """That statement for the first `limit` flags that people with these compartments may see: every page of the queue asks it."""
    return _ordered().where(WaitingFlag.flag_id.in_(waiting.first(compartments, limit)))


def waiting_count(session: Session, actor: Actor) -> int:
    """How many flags `open_flags` would list, for figures; asked as one count."""
    return session.scalar(waiting.number(actor.compartments)) or 0


def strip(session: Session, actor: Actor) -> list[Strip]:
    """What the strip above the queue says of the flags that `open_flags` lists: one line for each recipient, the first due
    first. Counts are kept by the store: a backlog of flags costs a page nothing. Not logged, as lists are not."""
    permissions.require(actor, "queue.list")
    counted = waiting.tallies(session, actor.compartments, now(session))
    lines = [Strip(**to._asdict(), **tally._asdict()) for to, tally in counted.items()]
    return sorted(lines, key=lambda line: (line.first_due, line.role, line.post))


def history(session: Session, actor: Actor, case_id: str) -> Sequence[Flag]:
    """Every flag that the case has ever had, with what was recorded of it, in the order of raising. For a reader of the
    case: the look at the case is what is logged."""
    permissions.require(actor, "case.read")
    query = select(Flag).where(Flag.case_id == case_id, _visible(actor)).order_by(Flag.flag_id)
    return session.scalars(query).all()


def acknowledge(
    session: Session,
    actor: Actor,
    case_id: str,
    flag_id: int,
    *,
    told_to: str,
    told_by: str | None = None,
    told_at: datetime | None = None,
    note: str | None = None,
    version: int | None = None,
) -> Flag:
    """Record that the recipient was told: to whom (`told_to`, a name), by whom (the actor unless `told_by` says another
    name) and when (now unless `told_at` says).

    `version` is optional: telling a senior officer does not depend on what else changed in the case.
    Raises UsageError for a flag that is not this case's (or not for the actor's eyes), without a name, or for a time
    without zone or in the future; ConflictError when somebody has acknowledged it already.
    """
    case = cases.find(session, actor, case_id, "case.acknowledge", lock=True)
    if version is not None:
        cases.check_version(session, case, version)
    row = session.get(Flag, flag_id, populate_existing=True)
    if row is None or row.case_id != case_id or not permissions.visible(actor, row.compartment):
        raise UsageError(f"Case {case_id} has no flag {flag_id}.")
    if not row.waiting:
        by = users.name_of(session, row.acknowledged_by)
        raise ConflictError(f"{by} has recorded already that {row.told_to} was told.")
    taker, teller, moment = telling.told(session, actor, told_to, told_by, told_at)
    row.told_to, row.told_by, row.told_at, row.note = taker, teller, moment, cases.note_text(note)
    row.acknowledged_by, row.acknowledged_at, row.waiting = actor.user_id, now(session), False
    settle(session, case)
    waiting.settle(session, at_least=waiting.MANY_TALLIES)
    hidden = row.compartment if row.compartment != case.compartment else None
    text = f"Flag “{row.label}”: {taker} was told by {teller} on {britishtime.moment(moment)}"
    cases.changed(session, actor, case, "escalation", text, work=False, compartment=hidden)
    audit.record(
        session,
        actor,
        "disclosure",
        "flag.acknowledged",
        case_id=case_id,
        object_=f"flag:{row.rule}",
        recipient=taker,
        detail={"flag": flag_id, "late": moment > row.due_at, "told_at": moment.isoformat()},
    )
    return row


def settle(session: Session, case: Case) -> None:
    """Say in the case's own row whether any flag waits, for the order of the queue. A flag that rests on what not every
    reader of the case may know of does not move the case for anybody."""
    session.flush()
    left = select(Flag.flag_id).where(
        Flag.case_id == case.case_id, Flag.waiting.is_(True), _open_to_readers(case.compartment)
    )
    case.unacknowledged = session.scalar(left.limit(1)) is not None


def _open_to_readers(compartment: str | None) -> ColumnElement[bool]:
    """Flags that everybody who may read a case of this compartment may see."""
    if compartment is None:
        return Flag.compartment.is_(None)
    return or_(Flag.compartment.is_(None), Flag.compartment == compartment)


def _visible(actor: Actor) -> ColumnElement[bool]:
    return _open_to(actor.compartments)


def _open_to(compartments: frozenset[str]) -> ColumnElement[bool]:
    if not compartments:
        return Flag.compartment.is_(None)
    return or_(Flag.compartment.is_(None), Flag.compartment.in_(sorted(compartments)))
