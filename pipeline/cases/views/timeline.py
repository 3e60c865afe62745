"""The timeline of a case: its entries in the audit log, for those who work on it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.cases import cases
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.people_tables import AuditEntry


def timeline(session: Session, actor: Actor, case_id: str) -> Sequence[AuditEntry]:
    """Who did what to a case, oldest first. Looking at it is a consultation."""
    cases.find(session, actor, case_id, "case.timeline")
    audit.record(session, actor, "consultation", "case.timeline", case_id=case_id)
    return session.scalars(select(AuditEntry).where(AuditEntry.case_id == case_id).order_by(AuditEntry.seq)).all()
