"""Second looks: somebody else looks at a case again, because two facts about it contradict each other."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.cases import cases, words
from pipeline.errors import ConflictError, UsageError
from pipeline.people import users
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.tables import Case, SecondLook


def ask(session: Session, actor: Actor, case: Case, kind: str, text: str) -> SecondLook | None:
    """Put the case on the second-look list; None if it is there for this kind already."""
    there = session.scalar(
        select(SecondLook.second_look_id)
        .where(SecondLook.case_id == case.case_id, SecondLook.kind == kind, SecondLook.done_at.is_(None))
        .limit(1)
    )
    if there is not None:
        return None
    row = SecondLook(case_id=case.case_id, kind=kind, text=text, opened_at=now(session), opened_by=actor.user_id)
    session.add(row)
    case.second_look = True
    audit.record(session, actor, "alteration", "second_look.asked", case_id=case.case_id, object_=kind)
    return row


def resolve(
    session: Session,
    actor: Actor,
    case_id: str,
    second_look_id: int,
    *,
    reason_code: str,
    version: int,
    note: str | None = None,
) -> SecondLook:
    """Record the result of a second look, by somebody other than the one whose entry raised it.

    Raises UsageError for a look that is not this case's, ConflictError when it was done already or by its own cause.
    """
    case = cases.for_change(session, actor, case_id, "case.second_look", version)
    code = rules(session).reason("second_look", reason_code)
    row = session.get(SecondLook, second_look_id, populate_existing=True)
    if row is None or row.case_id != case_id:
        raise UsageError(f"Case {case_id} has no second look {second_look_id}.")
    if row.done_at is not None:
        raise ConflictError(f"{users.name_of(session, row.done_by)} has looked already.")
    if row.opened_by == actor.user_id:
        raise ConflictError("A second look is for a second person: your own entry raised this one.", "Ask a colleague.")
    row.done_at, row.done_by, row.reason_code, row.note = now(session), actor.user_id, code, cases.note_text(note)
    session.flush()
    rest = session.scalar(
        select(SecondLook.second_look_id).where(SecondLook.case_id == case_id, SecondLook.done_at.is_(None)).limit(1)
    )
    case.second_look = rest is not None
    said = words.reason(rules(session), "second_look", code)
    cases.changed(session, actor, case, "second_look", f"Second look: {said}")
    audit.record(session, actor, "alteration", "second_look.done", case_id=case_id, reason=code, object_=row.kind)
    return row
