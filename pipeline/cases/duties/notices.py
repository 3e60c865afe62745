"""Notices: what one person is told, until they have read it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from pipeline.errors import UsageError
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now
from pipeline.store.group_tables import Notice

_UNREAD = select(Notice).where(Notice.user_id == bindparam("who"), Notice.read_at.is_(None)).order_by(Notice.notice_id)


def tell(session: Session, user_id: str, text: str) -> None:
    """Put a notice before a person."""
    session.add(Notice(user_id=user_id, at=now(session), text=text))


def unread(session: Session, actor: Actor) -> Sequence[Notice]:
    """The actor's own notices that they have not marked as read, the oldest first."""
    return session.scalars(_UNREAD, {"who": actor.user_id}).all()


def read(session: Session, actor: Actor, notice_id: int) -> Notice:
    """Mark one of the actor's own notices as read. Raises UsageError for any other."""
    row = session.get(Notice, notice_id, populate_existing=True)
    if row is None or row.user_id != actor.user_id:
        raise UsageError(f"You have no notice {notice_id}.")
    row.read_at = row.read_at or now(session)
    audit.record(session, actor, "alteration", "notice.read", object_=f"notice:{notice_id}")
    return row
