"""Bands: the assessment raises by itself; a person may raise; lowering needs two people, a reason code and a note.

A lowering is first a proposal, of the nightly run (the assessment fell) or of a person who works on the case. It
takes effect when somebody with the role, and not the proposer, approves it. A refusal stands against that assessment
level: the same level is not proposed again every night.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.cases import groups, words
from pipeline.cases.cases import changed, decide, demanded_note, for_change, require_holder
from pipeline.errors import ConflictError, UsageError
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.tables import Case, Decision, Lowering
from pipeline.store.types import BANDS


def higher(left: str, right: str) -> bool:
    """Whether the left band is higher than the right one."""
    return order(left) < order(right)


def order(band: str) -> int:
    """Place of a band, 0 the highest. Raises UsageError for a word that is none."""
    if not band:
        raise UsageError("Choose a band.", f"Bands: {', '.join(BANDS)}.")
    if band not in BANDS:
        raise UsageError(f"{band!r} is not a band.", f"Bands: {', '.join(BANDS)}.")
    return BANDS.index(band)


def put(case: Case, band: str) -> None:
    """Set the band in force and its place in the queue."""
    case.band, case.band_order = band, order(band)


def raise_band(
    session: Session, actor: Actor, case_id: str, band: str, *, reason_code: str, note: str, version: int
) -> Decision:
    """A person raises the band: at once, with a reason and a note; a waiting lowering is withdrawn."""
    case = for_change(session, actor, case_id, "case.raise", version)
    require_holder(session, actor, case)
    code = rules(session).reason("raise_band", reason_code)
    text = demanded_note(note)
    if not higher(band, case.band):
        raise UsageError(
            f"{words.band(band)} is not higher than {words.band(case.band)}.", "To lower a band, propose it."
        )
    return raise_to(session, actor, case, band, code=code, note=text)


def raise_to(session: Session, actor: Actor, case: Case, band: str, *, code: str, note: str) -> Decision:
    """Raise the band in force as a person's decision, its target with it; a waiting lowering is withdrawn."""
    before = (case.state, case.band)
    withdraw_pending(session, actor, case)
    case.due_at = min(case.due_at, groups.target(session, case, band))
    _set_by_person(case, band)
    return decide(session, actor, case, "raise_band", code, before=before, note=note)


def propose_lowering(
    session: Session, actor: Actor, case_id: str, band: str, *, reason_code: str, note: str, version: int
) -> Lowering:
    """A person proposes a lower band; nothing changes until somebody else with the role approves."""
    case = for_change(session, actor, case_id, "case.propose_lowering", version)
    require_holder(session, actor, case)
    code = rules(session).reason("lower_band", reason_code)
    text = demanded_note(note)
    if not higher(case.band, band):
        raise UsageError(f"{words.band(band)} is not lower than {words.band(case.band)}.")
    withdraw_pending(session, actor, case)
    proposal = Lowering(
        case_id=case_id,
        assessment_id=case.assessment_id,
        from_band=case.band,
        to_band=band,
        proposed_at=now(session),
        proposed_by=actor.user_id,
        reason_code=code,
        note=text,
        status="pending",
    )
    session.add(proposal)
    case.lowering_pending = True
    said = words.reason(rules(session), "lower_band", code)
    changed(session, actor, case, "lowering_proposed", f"Lowering to {words.band(band)} proposed: {said}")
    audit.record(
        session,
        actor,
        "alteration",
        "lowering.proposed",
        case_id=case_id,
        reason=code,
        detail={"from": case.band, "to": band},
    )
    return proposal


def approve_lowering(
    session: Session, actor: Actor, case_id: str, *, reason_code: str, note: str, version: int
) -> Decision:
    """Approve the waiting proposal: the band falls, and stays unless a later assessment rises above this one's level.

    Raises ConflictError when nothing waits or the proposal is the actor's own.
    """
    case = for_change(session, actor, case_id, "case.approve_lowering", version)
    code = rules(session).reason("lower_band", reason_code)
    text = demanded_note(note)
    proposal = _pending(session, case)
    if proposal.proposed_by == actor.user_id:
        raise ConflictError("A lowering is approved by somebody other than its proposer.", "Ask a colleague.")
    before = (case.state, case.band)
    case.due_at = groups.target(session, case, proposal.to_band)
    _settle(session, actor, case, proposal, "approved")
    _set_by_person(case, proposal.to_band)
    return decide(session, actor, case, "lower_band", code, before=before, note=text)


def refuse_lowering(
    session: Session, actor: Actor, case_id: str, *, reason_code: str, note: str, version: int
) -> Decision:
    """Refuse the waiting proposal: the band stays as a person's decision."""
    case = for_change(session, actor, case_id, "case.approve_lowering", version)
    code = rules(session).reason("refuse_lowering", reason_code)
    text = demanded_note(note)
    proposal = _pending(session, case)
    _settle(session, actor, case, proposal, "refused")
    _set_by_person(case, case.band)
    return decide(session, actor, case, "refuse_lowering", code, before=(case.state, case.band), note=text)


def withdraw_pending(session: Session, actor: Actor, case: Case) -> None:
    """Withdraw a waiting proposal, if there is one: something newer takes its place."""
    if not case.lowering_pending:
        return
    for proposal in session.scalars(
        select(Lowering).where(Lowering.case_id == case.case_id, Lowering.status == "pending")
    ):
        _settle(session, actor, case, proposal, "withdrawn")


def _pending(session: Session, case: Case) -> Lowering:
    proposal = session.scalar(
        select(Lowering).where(Lowering.case_id == case.case_id, Lowering.status == "pending").with_for_update()
    )
    if proposal is None:
        raise ConflictError(f"No lowering waits for case {case.case_id}.", "Somebody may have decided it already.")
    return proposal


def _settle(session: Session, actor: Actor, case: Case, proposal: Lowering, status: str) -> None:
    proposal.status, proposal.decided_by, proposal.decided_at = status, actor.user_id, now(session)
    case.lowering_pending = False


def _set_by_person(case: Case, band: str) -> None:
    put(case, band)
    case.person_band, case.person_model_band = band, case.model_band
