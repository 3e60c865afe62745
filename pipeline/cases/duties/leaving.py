"""What must be done before a case leaves, closed or taken by another force: no duty goes out of sight with it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.cases.duties import escalations
from pipeline.errors import ConflictError
from pipeline.store.actors import Actor
from pipeline.store.tables import Case, Notification

OF_A_TRANSFER = "transfer"
"""Kind of the notification that says that a case belongs to another force: handing it over is what settles it."""


@dataclass(frozen=True)
class OpenDuty:
    """A duty in a sentence; `form` names the form of the case's page that settles it, `action` the right that it needs."""

    text: str
    form: str
    action: str


def open_duties(session: Session, actor: Actor, case: Case) -> list[OpenDuty]:
    """One for each notification that is not made and for each flag that is not acknowledged."""
    query = select(Notification).where(
        Notification.case_id == case.case_id, Notification.made_at.is_(None), Notification.kind != OF_A_TRANSFER
    )
    found = [
        OpenDuty(f"{row.label}: not notified yet", f"n{row.notification_id}", "case.notify")
        for row in session.scalars(query.order_by(Notification.notification_id))
    ]
    return found + [
        OpenDuty(f"{flag.label}: nobody is recorded as told", f"f{flag.flag_id}", "case.acknowledge")
        for flag in escalations.open_flags(session, actor, case.case_id)
    ]


def check(session: Session, actor: Actor, case: Case) -> None:
    """Raises ConflictError naming every duty that is open."""
    duties = open_duties(session, actor, case)
    if duties:
        raise ConflictError(
            f"Case {case.case_id} cannot leave yet. {'; '.join(duty.text for duty in duties)}.",
            "Record each as done, or as not needed with the reason, and try again.",
        )
