"""Filters of the queue that a person keeps under a name. Each person sees only their own, and no count stands beside them.

What is kept is the part of the address after "?", with the names of filters that the queue knows and nothing else.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.orm import Session

from pipeline.errors import UsageError
from pipeline.people import permissions
from pipeline.store.actors import Actor
from pipeline.store.context import now
from pipeline.store.work_tables import SavedFilter

KEPT = frozenset(
    {"band", "urgency", "source", "state", "holder", "provider", "force", "team", "attention", "text", "order"}
)
"""Names that an address of the queue may have; the place in the list is not kept."""
MOST = 20
LONGEST = 1_000
_SAVED = select(SavedFilter).where(SavedFilter.user_id == bindparam("who")).order_by(func.lower(SavedFilter.name))


def saved(session: Session, actor: Actor) -> list[SavedFilter]:
    """The person's own filters by name."""
    permissions.require(actor, "filters.own")
    return list(session.scalars(_SAVED, {"who": actor.user_id}))


def save(session: Session, actor: Actor, name: str, query: str) -> SavedFilter:
    """Keep filters under a name; one of the same name is replaced.

    Raises UsageError without a name, without any filter, or with too many kept already.
    """
    permissions.require(actor, "filters.own")
    title, kept = " ".join(name.split()), _kept(query)
    if not 0 < len(title) <= 60:
        raise UsageError("Give the filters a name of at most 60 characters.")
    if not kept or len(kept) > LONGEST:
        raise UsageError("Choose filters first, then save them under a name.")
    row = session.get(SavedFilter, (actor.user_id, title))
    if row is None:
        if len(saved(session, actor)) >= MOST:
            raise UsageError(f"You have {MOST} saved filters.", "Remove one first.")
        row = SavedFilter(user_id=actor.user_id, name=title, query=kept, at=now(session))
        session.add(row)
    row.query, row.at = kept, now(session)
    return row


def remove(session: Session, actor: Actor, name: str) -> None:
    """Forget the person's filter of this name; nothing happens where there is none."""
    permissions.require(actor, "filters.own")
    session.execute(delete(SavedFilter).where(SavedFilter.user_id == actor.user_id, SavedFilter.name == name))


def _kept(query: str) -> str:
    return urlencode([(name, value) for name, value in parse_qsl(query) if name in KEPT])
