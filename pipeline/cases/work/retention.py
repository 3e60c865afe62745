"""Retention: closed cases come up for review; keeping one is a recorded decision, erasing one leaves a tombstone.

Erasure removes the case and everything that hangs on it from the case store; the audit log keeps who did what, by
case number only. The tombstone keeps the nightly publish from bringing it back. The lake's tables and the packages
are erased by their own procedure (docs/cases.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from pipeline.cases import cases
from pipeline.cases.views import queue
from pipeline.errors import ConflictError
from pipeline.people import permissions
from pipeline.store import recording as audit
from pipeline.store import tables
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.duty_tables import Flag
from pipeline.store.group_tables import Apart, GroupMember
from pipeline.store.rules import add_months
from pipeline.store.tables import Case, CaseReferral, Link, Retention, Tombstone
from pipeline.store.types import Base
from pipeline.store.work_tables import GradedUpload, Safeguarded

OF_A_CASE: tuple[type[Base], ...] = (
    tables.RecordedAnswer, Apart, tables.Assessment, tables.CaseReferral, tables.Change, tables.Decision, Flag, GradedUpload, GroupMember, tables.InformationRequest, tables.Kirat, tables.Lowering, tables.Note, tables.Notification,
    tables.Retention, tables.Review, Safeguarded, tables.SecondLook, tables.Seen, tables.Transfer,
)  # fmt: skip
"""Tables with a `case_id` whose rows go with the case; a test compares this list with all tables."""


def due(session: Session, actor: Actor) -> Sequence[Case]:
    """Cases whose retention review has come, the oldest first."""
    permissions.require(actor, "supervision.list")
    query = (
        select(Case)
        .where(Case.retention_review_at <= now(session), queue.visible(actor))
        .order_by(Case.retention_review_at, Case.case_id)
    )
    return session.scalars(query).all()


def retain(
    session: Session, actor: Actor, case_id: str, *, reason_code: str, version: int, note: str | None = None
) -> Retention:
    """Record the decision to keep a closed case, and when it is looked at next.

    Raises ConflictError for an open case: it is kept anyway.
    """
    case = cases.for_change(session, actor, case_id, "case.retain", version)
    code = rules(session).reason("retain", reason_code)
    _closed(case)
    months = rules(session).data["retention"]["next_review_months"]
    case.retention_review_at = add_months(now(session), months)
    row = Retention(
        case_id=case_id,
        at=now(session),
        by=actor.user_id,
        reason_code=code,
        note=cases.note_text(note),
        next_review_at=case.retention_review_at,
    )
    session.add(row)
    cases.decide(session, actor, case, "retain", code, before=(case.state, case.band), note=note)
    return row


def erase(session: Session, actor: Actor, case_id: str, *, reason_code: str, version: int) -> Tombstone:
    """Erase a closed case with all its rows; leaves a tombstone and an audit entry of category erasure.

    Raises ConflictError for an open case.
    """
    case = cases.for_change(session, actor, case_id, "case.erase", version)
    code = rules(session).reason("erase", reason_code)
    _closed(case)
    referrals = sorted({case.referral_id, *_referrals(session, case_id)})
    removed: dict[str, int] = {}
    for table in OF_A_CASE:
        removed[table.__tablename__] = _delete(session, table, table.__table__.c.case_id == case_id)
    touching = or_(Link.left_referral.in_(referrals), Link.right_referral.in_(referrals))
    removed["links"] = _delete(session, Link, touching)
    stone = Tombstone(
        case_id=case_id,
        referrals=referrals,
        compartment=case.compartment,
        erased_at=now(session),
        erased_by=actor.user_id,
        reason_code=code,
    )
    session.delete(case)
    session.add(stone)
    audit.record(
        session,
        actor,
        "erasure",
        "case.erased",
        case_id=case_id,
        reason=code,
        detail={"rows": {name: number for name, number in removed.items() if number}},
    )
    return stone


def _delete(session: Session, table: type[Base], condition: object) -> int:
    result = session.execute(delete(table).where(condition).execution_options(synchronize_session=False))  # type: ignore[arg-type]
    return int(result.rowcount)  # type: ignore[attr-defined]


def _referrals(session: Session, case_id: str) -> Sequence[str]:
    return session.scalars(select(CaseReferral.referral_id).where(CaseReferral.case_id == case_id)).all()


def _closed(case: Case) -> None:
    if case.is_open:
        raise ConflictError(f"Case {case.case_id} is open.", "Close it first.")
