"""Requests for information: the case waits for the sender or a partner while its target's clock runs on."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.cases import cases, states
from pipeline.cases.work import answers
from pipeline.errors import ConflictError, UsageError
from pipeline.people import users
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.tables import InformationRequest


def ask(
    session: Session, actor: Actor, case_id: str, *, asked_of: str, text: str, reason_code: str, version: int
) -> InformationRequest:
    """Record a request and let the case wait for it. `due_at` stays as it is.

    Raises UsageError without a text or a recipient, ConflictError as every change.
    """
    case = cases.for_change(session, actor, case_id, "case.request_information", version)
    cases.require_holder(session, actor, case)
    code = rules(session).reason("request_information", reason_code)
    recipient = asked_of.strip()
    if not recipient:
        raise UsageError("A request needs somebody who is asked.")
    before = (case.state, case.band)
    states.move(case, "request_information")
    row = InformationRequest(
        case_id=case_id,
        asked_at=now(session),
        asked_by=actor.user_id,
        asked_of=recipient,
        reason_code=code,
        text=cases.demanded_note(text),
        state_before=before[0],
    )
    session.add(row)
    cases.decide(session, actor, case, "request_information", code, before=before)
    audit.record(
        session,
        actor,
        "disclosure",
        "information.requested",
        case_id=case_id,
        reason=code,
        recipient=recipient,
        object_=f"request:{row.request_id}",
    )
    return row


def answer(
    session: Session,
    actor: Actor,
    case_id: str,
    request_id: int,
    *,
    answer: str,
    version: int,
    facts: Sequence[answers.Given] = (),
) -> InformationRequest:
    """Record the answer. With the last open request answered, the case goes back to the state it waited from. `facts` are
    what the answer settles: they are recorded with it, and the case is assessed anew at once.

    Raises UsageError for a request that is not this case's or a fact that cannot be, ConflictError when it was answered
    already.
    """
    case = cases.for_change(session, actor, case_id, "case.request_information", version)
    row = session.get(InformationRequest, request_id, populate_existing=True)
    if row is None or row.case_id != case_id:
        raise UsageError(f"Case {case_id} has no request {request_id}.")
    if row.answered_at is not None:
        by = users.name_of(session, row.answered_by)
        raise ConflictError(f"Request {request_id} was answered by {by} already.", "Add a note instead.")
    row.answered_at, row.answered_by, row.answer = now(session), actor.user_id, cases.demanded_note(answer)
    session.flush()
    waiting = session.scalar(
        select(InformationRequest.request_id)
        .where(InformationRequest.case_id == case_id, InformationRequest.answered_at.is_(None))
        .limit(1)
    )
    if waiting is None and case.state == "awaiting_information":
        states.put(case, row.state_before)
        if case.state == "allocated":
            case.claim_expires_at = now(session) + rules(session).claim_time
    cases.changed(session, actor, case, "answered", "Information received")
    audit.record(session, actor, "collection", "information.received", case_id=case_id, object_=f"request:{request_id}")
    if facts:
        answers.record_all(session, actor, case, facts, request_id=request_id)
    return row
