"""What an auditor asks of the log: who saw a case, what a person opened, texts opened without a claim, the anchor's state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.audit import anchors
from pipeline.errors import IntegrityError
from pipeline.people import permissions
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import store
from pipeline.store.people_tables import AuditEntry, AuditHead

OPENED = "text.opened"
_HOLDING = ("case.claimed", "case.released", "case.transferred")
"""Actions after which somebody else, or nobody, holds a case."""


@dataclass(frozen=True)
class AnchorState:
    """How far the log is anchored outside the store: `anchors` lines, the newest for entry `seq` written `at`; `entries` in the
    log now; `problem` in words when the file of anchors is not what was written."""

    file: str
    anchors: int
    seq: int
    at: str | None
    entries: int
    problem: str | None


def texts_without_claim(
    session: Session, actor: Actor, *, case_id: str | None = None, user_id: str | None = None, limit: int = 1000
) -> Sequence[AuditEntry]:
    """Openings of texts by somebody who did not hold the case then, the newest first. Logged as a look into the log.

    Who held a case is read from the log itself. A claim counts until it was given back or taken by somebody else.
    """
    permissions.require(actor, "audit.read")
    opened = select(AuditEntry.case_id).where(AuditEntry.action == OPENED).distinct()
    query = select(AuditEntry).where(
        AuditEntry.action.in_((OPENED, *_HOLDING)), AuditEntry.case_id.in_([case_id] if case_id else opened)
    )
    holders: dict[str | None, str | None] = {}
    found: list[AuditEntry] = []
    for entry in session.scalars(query.order_by(AuditEntry.seq).execution_options(yield_per=2000)):
        if entry.action == "case.claimed":
            holders[entry.case_id] = json.loads(entry.detail).get("to")
        elif entry.action in _HOLDING:
            holders[entry.case_id] = None
        elif holders.get(entry.case_id) != entry.user_id and user_id in {None, entry.user_id}:
            found.append(entry)
    detail = {"asked": "texts without a claim", "found": len(found)}
    audit.record(session, actor, "consultation", "audit.read", detail=detail)
    return found[::-1][:limit]


def anchor_state(session: Session) -> AnchorState:
    """Looks at the file of anchors and at the log's head."""
    settings = store(session).settings
    head = session.scalar(select(AuditHead.seq)) or 0
    name = anchors.path(settings).name
    try:
        found = anchors.read(settings)
    except IntegrityError as error:
        return AnchorState(name, 0, 0, None, head, str(error))
    newest = found[-1] if found else None
    return AnchorState(name, len(found), newest.seq if newest else 0, newest.at if newest else None, head, None)
