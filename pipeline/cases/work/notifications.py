"""Notifications due (LADO, children's services): listed by the assessment, made by people, each a disclosure."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from pipeline import britishtime
from pipeline.cases import cases, words
from pipeline.cases.duties import telling
from pipeline.errors import ConflictError, UsageError
from pipeline.people import users
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
    post: str | None = None,
    told_by: str | None = None,
    told_at: datetime | None = None,
    note: str | None = None,
) -> Notification:
    """Record that a notification was made (`made`) or is not needed (`not_needed`, with a note).

    Of one that was made: `recipient` is the person who was told, `post` their post (the authority that the notification
    names, unless given), `told_by` who told them (the actor unless given), `told_at` when (now unless given).
    Raises UsageError for one that is not this case's, lacks recipient or note, or has a time that cannot be;
    ConflictError if settled already.
    """
    case = cases.for_change(session, actor, case_id, "case.notify", version)
    code = rules(session).reason("notification", reason_code)
    row = session.get(Notification, notification_id, populate_existing=True)
    if row is None or row.case_id != case_id:
        raise UsageError(f"Case {case_id} has no notification {notification_id}.")
    if row.made_at is not None:
        raise ConflictError(f"{users.name_of(session, row.made_by)} has settled this notification already.")
    said = f"{row.label}: {words.reason(rules(session), 'notification', code)}"
    if code == "made":
        told = telling.told(session, actor, recipient or "", told_by, told_at)
        row.recipient, row.told_by, row.told_at = told
        row.post, row.note = _post(row, post), cases.note_text(note)
        said += f", {told.to} ({row.post}) was told by {told.by} on {britishtime.moment(told.at)}"
    else:
        row.note = cases.demanded_note(note)
    row.made_at, row.made_by, row.reason_code = now(session), actor.user_id, code
    if code == "made" and case.first_action_at is None:
        case.first_action_at = row.made_at
    cases.changed(session, actor, case, "notification", said)
    audit.record(
        session,
        actor,
        "disclosure" if code == "made" else "alteration",
        f"notification.{code}",
        case_id=case_id,
        recipient=row.recipient,
        object_=row.kind,
        reason=code,
        detail={"post": row.post, "told_at": row.told_at.isoformat()} if row.told_at else None,
    )
    return row


def _post(row: Notification, given: str | None) -> str:
    post = (given or "").strip() or row.label
    if len(post) > telling.LONGEST:
        raise UsageError(f"The name of a post has at most {telling.LONGEST} characters.")
    return post
