"""Children safeguarded: a number that a person enters on a case, at any time, and can correct. Never computed here."""

from __future__ import annotations

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from pipeline.cases import cases
from pipeline.errors import UsageError
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now
from pipeline.store.work_tables import Safeguarded

MOST = 1_000
"""A greater number of one case is taken for a slip of the hand."""
_NEWEST = (
    select(Safeguarded)
    .where(Safeguarded.case_id == bindparam("case"))
    .order_by(Safeguarded.safeguarded_id.desc())
    .limit(1)
)


def enter(
    session: Session, actor: Actor, case_id: str, children: int, *, version: int, note: str | None = None
) -> Safeguarded:
    """Enter how many children were safeguarded in the case; takes the place of what was entered before.

    Raises UsageError for a number that cannot be, ConflictError as every change.
    """
    case = cases.for_change(session, actor, case_id, "case.safeguarded", version)
    if not 0 <= children <= MOST:
        raise UsageError(f"The number of children is from 0 to {MOST:,}.")
    row = Safeguarded(case_id=case_id, children=children, at=now(session), by=actor.user_id, note=cases.note_text(note))
    session.add(row)
    text = "1 child safeguarded" if children == 1 else f"{children} children safeguarded"
    cases.changed(session, actor, case, "safeguarded", f"Entered: {text}")
    audit.record(session, actor, "alteration", "case.safeguarded", case_id=case_id, detail={"children": children})
    return row


def newest(session: Session, case_id: str) -> Safeguarded | None:
    """What counts of the case: the newest entry. For a reader of the case."""
    return session.scalars(_NEWEST, {"case": case_id}).first()
