"""Notifications due (LADO, children's services): listed by the assessment, made by people, each a disclosure."""

from __future__ import annotations

from sqlalchemy.orm import Session

from pipeline.cases import cases, words
from pipeline.errors import ConflictError, UsageError
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.tables import Notification


def settle(
    session: Session,
    actor: Actor,
    case_id: str,
    notification_id: int,
    *,
    reason_code: str,
    version: int,
    recipient: str | None = None,
    note: str | None = None,
) -> Notification:
    """Record that a notification was made (`made`, to `recipient`) or is not needed (`not_needed`, with a note).

    Raises UsageError for one that is not this case's or lacks recipient or note, ConflictError if settled already.
    """
    case = cases.for_change(session, actor, case_id, "case.notify", version)
    code = rules(session).reason("notification", reason_code)
    row = session.get(Notification, notification_id, populate_existing=True)
    if row is None or row.case_id != case_id:
        raise UsageError(f"Case {case_id} has no notification {notification_id}.")
    if row.made_at is not None:
        raise ConflictError(f"{row.made_by} has settled this notification already.")
    taker = (recipient or "").strip() or None
    if code == "made" and taker is None:
        raise UsageError("Who was notified?")
    row.note = cases.note_text(note) if code == "made" else cases.demanded_note(note)
    row.made_at, row.made_by, row.recipient, row.reason_code = now(session), actor.user_id, taker, code
    cases.changed(
        session, actor, case, "notification", f"{row.label}: {words.reason(rules(session), 'notification', code)}"
    )
    if case.first_action_at is None and code == "made":
        case.first_action_at = row.made_at
    audit.record(
        session,
        actor,
        "disclosure" if code == "made" else "alteration",
        f"notification.{code}",
        case_id=case_id,
        recipient=taker,
        object_=row.kind,
        reason=code,
    )
    return row
