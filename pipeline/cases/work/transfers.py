"""Handing a case to another force: offered first, ours until they took it. Each step is logged; taking is the disclosure.

transfer(...)  offer it: the case waits for acceptance, keeps its holder and its target
accept(...)    they took it: the case leaves the queue
take_back(...) they did not, or we want it back
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.cases import cases, states
from pipeline.cases.duties import leaving
from pipeline.cases.work.decisions import close
from pipeline.errors import ConflictError, UsageError
from pipeline.ingest.geography import forces
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules, store
from pipeline.store.tables import Case, Decision, Transfer


def transfer(
    session: Session,
    actor: Actor,
    case_id: str,
    to_force: str,
    *,
    recipient: str,
    reason_code: str,
    version: int,
    note: str | None = None,
) -> Transfer:
    """Offer the case to force `to_force` (its code); `recipient` is the unit or person there who is asked to take it.

    The case waits for acceptance and stays in the queue, with its holder and its target. Raises UsageError without a
    recipient, for a code that policy/forces.csv has not or the force's own, ConflictError as every change and while a
    notification or an escalation is open.
    """
    case = cases.for_change(session, actor, case_id, "case.transfer", version)
    cases.require_holder(session, actor, case)
    force, taker = checked(session, to_force, recipient)
    code = rules(session).reason("transfer", reason_code)
    leaving.check(session, actor, case)
    before = (case.state, case.band)
    states.move(case, "transfer")
    row = Transfer(
        case_id=case_id,
        at=now(session),
        by=actor.user_id,
        to_force=force,
        recipient=taker,
        reason_code=code,
        note=cases.note_text(note),
    )
    session.add(row)
    cases.decide(session, actor, case, "transfer", code, before=before, note=note)
    session.flush()
    audit.record(
        session,
        actor,
        "alteration",
        "case.transfer_offered",
        case_id=case_id,
        reason=code,
        object_=f"transfer:{row.transfer_id}",
        detail={"force": force},
    )
    return row


def checked(session: Session, to_force: str, recipient: str) -> tuple[str, str]:
    """Force and recipient as they are stored. Raises UsageError where they cannot be."""
    force, taker = to_force.strip(), recipient.strip()
    if not force or not taker:
        raise UsageError("A transfer needs the force and who is to take the case there.")
    settings = store(session).settings
    if force not in forces.load(settings).names:
        raise UsageError(f"{force!r} is no force's code.", "The codes are in policy/forces.csv, for example 43.")
    if force == settings.force:
        raise UsageError("This is our own force.", "Allocate the case instead.")
    return force, taker


def accept(session: Session, actor: Actor, case_id: str, *, accepted_by: str, version: int) -> Transfer:
    """Record that the other force took the case (`accepted_by`: who there said so): a disclosure; the case leaves the
    queue. A later assessment that raises it brings it back. Raises UsageError without a name, ConflictError as every
    change and where no offer waits."""
    case = cases.for_change(session, actor, case_id, "case.transfer", version)
    cases.require_holder(session, actor, case)
    taker = accepted_by.strip()
    if not taker:
        raise UsageError("Who took the case there?")
    leaving.check(session, actor, case)
    row = _waiting(session, case)
    before = (case.state, case.band)
    states.move(case, "accept_transfer")
    close(session, case)
    row.settled_at, row.settled_by, row.accepted, row.accepted_by = now(session), actor.user_id, True, taker
    decision: Decision = cases.decide(session, actor, case, "accept_transfer", row.reason_code, before=before)
    audit.record(
        session,
        actor,
        "disclosure",
        "case.transferred",
        case_id=case_id,
        reason=row.reason_code,
        recipient=f"force {row.to_force}: {taker}",
        detail={"state": [decision.state_before, decision.state_after]},
    )
    return row


def take_back(session: Session, actor: Actor, case_id: str, *, version: int, note: str | None = None) -> Transfer:
    """End an offer that was not taken: the case is worked on here. Raises ConflictError where no offer waits."""
    case = cases.for_change(session, actor, case_id, "case.transfer", version)
    cases.require_holder(session, actor, case)
    row = _waiting(session, case)
    before = (case.state, case.band)
    states.move(case, "take_back")
    if case.holder is None:
        case.holder, case.claimed_at = actor.user_id, now(session)
    case.claim_expires_at = now(session) + rules(session).claim_time
    row.settled_at, row.settled_by, row.accepted = now(session), actor.user_id, False
    cases.decide(session, actor, case, "take_back", row.reason_code, before=before, note=note)
    return row


def _waiting(session: Session, case: Case) -> Transfer:
    query = select(Transfer).where(Transfer.case_id == case.case_id, Transfer.settled_at.is_(None))
    row = session.scalars(query.order_by(Transfer.transfer_id.desc()).limit(1)).first()
    if row is None:
        raise ConflictError(f"Case {case.case_id} waits for no other force.", "Offer it first.")
    return row
