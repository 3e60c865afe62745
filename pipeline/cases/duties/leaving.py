"""What must be done before a case leaves, closed or taken by another force: no duty goes out of sight with it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.cases.duties import escalations
from pipeline.errors import ConflictError
from pipeline.store.actors import Actor
from pipeline.store.tables import Case, Notification

OF_A_TRANSFER = "transfer"
"""Kind of the notification that says that a case belongs to another force: handing it over is what settles it."""


def open_duties(session: Session, actor: Actor, case: Case) -> list[str]:
    """One sentence per notification that is not made and per flag that is not acknowledged."""
    query = select(Notification).where(
        Notification.case_id == case.case_id, Notification.made_at.is_(None), Notification.kind != OF_A_TRANSFER
    )
    found = [f"{row.label}: not notified yet" for row in session.scalars(query.order_by(Notification.notification_id))]
    flags = escalations.open_flags(session, actor, case.case_id)
    return found + [f"{flag.label}: nobody is recorded as told" for flag in flags]


def check(session: Session, actor: Actor, case: Case) -> None:
    """Raises ConflictError naming every duty that is open."""
    duties = open_duties(session, actor, case)
    if duties:
        raise ConflictError(
            f"Case {case.case_id} cannot leave yet. {'; '.join(duties)}.",
            "Record each as done, or as not needed with the reason, and try again.",
        )
