"""Handing a case to another force: a disclosure, logged with its recipient."""

from __future__ import annotations

from sqlalchemy.orm import Session

from pipeline.cases import cases, states
from pipeline.cases.work.decisions import close
from pipeline.errors import UsageError
from pipeline.ingest import forces
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.tables import Decision, Transfer


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
    """Transfer the case to force `to_force` (its code); `recipient` is the unit or person there who took it.

    The case leaves the queue; a later assessment that raises it brings it back with the reason.
    Raises UsageError without a recipient, for a code that policy/forces.csv has not or the force's own, ConflictError
    as every change.
    """
    case = cases.for_change(session, actor, case_id, "case.transfer", version)
    cases.require_holder(session, actor, case)
    code = rules(session).reason("transfer", reason_code)
    force, taker = to_force.strip(), recipient.strip()
    if not force or not taker:
        raise UsageError("A transfer needs the force's code and who took the case there.")
    settings = session.info["store"].settings
    if force not in forces.load(settings).names:
        raise UsageError(f"{force!r} is no force's code.", "The codes are in policy/forces.csv, for example 43.")
    if force == settings.force:
        raise UsageError(f"{force} is this force.", "Allocate the case instead.")
    before = (case.state, case.band)
    states.move(case, "transfer")
    close(session, case)
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
    decision: Decision = cases.decide(session, actor, case, "transfer", code, before=before, note=note)
    audit.record(
        session,
        actor,
        "disclosure",
        "case.transferred",
        case_id=case_id,
        reason=code,
        recipient=f"force {force}: {taker}",
        detail={"state": [decision.state_before, decision.state_after]},
    )
    return row
