"""Decisions on a case: start an enquiry, close with an outcome, reopen. Each has a reason code and one optional note.

Bands are decided in `bands.py`, transfers in `transfers.py`, retention in `retention.py`; all leave a Decision row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.cases import cases, states
from pipeline.cases.duties import leaving
from pipeline.cases.views import queue
from pipeline.errors import UsageError
from pipeline.people import permissions
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.rules import add_months
from pipeline.store.tables import Case, Decision

KINDS = ("start_enquiry", "close", "reopen")


@dataclass(frozen=True)
class Decided:
    """A decided case, for outcomes shown to the one who worked on it and for replays of risk models."""

    case_id: str
    referral_id: str
    outcome: str
    acted: bool
    band: str
    closed_at: datetime


def decide(
    session: Session,
    actor: Actor,
    case_id: str,
    kind: str,
    *,
    reason_code: str,
    version: int,
    outcome: str | None = None,
    note: str | None = None,
) -> Decision:
    """Decide `kind` (one of KINDS). Closing needs an outcome; reopening is for supervisors.

    Raises UsageError for an unknown kind, reason or outcome, ConflictError where the state does not allow it, where
    somebody else holds the case, or where it has changed since `version`.
    """
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is not a decision.", f"Decisions: {', '.join(KINDS)}.")
    action = "case.reopen" if kind == "reopen" else "case.decide"
    case = cases.for_change(session, actor, case_id, action, version)
    if kind != "reopen":
        cases.require_holder(session, actor, case)
    code = rules(session).reason(kind, reason_code)
    if kind != "close" and outcome is not None:
        raise UsageError("Only a closed case has an outcome.")
    before = (case.state, case.band)
    states.move(case, kind)
    if kind == "close":
        case.outcome = rules(session).outcome(outcome)
        leaving.check(session, actor, case)
        close(session, case)
    elif kind == "reopen":
        reopen(session, case, f"Reopened by a person: {rules(session).reasons('reopen')[code]}")
    return cases.decide(session, actor, case, kind, code, before=before, note=note, outcome=outcome)


def close(session: Session, case: Case) -> None:
    """What follows from a case leaving the queue: its holder is free, its retention review is set."""
    case.holder = case.claimed_at = case.claim_expires_at = None
    case.closed_at, case.closed_band = now(session), case.band
    case.retention_review_at = add_months(case.closed_at, rules(session).data["retention"]["first_review_months"])


def reopen(session: Session, case: Case, reason: str) -> None:
    """Put a closed or transferred case back into the queue (its state is set by the caller)."""
    case.outcome = case.closed_at = case.closed_band = case.retention_review_at = None
    case.reopened_at, case.reopen_reason = now(session), reason


def own_outcomes(session: Session, actor: Actor, limit: int = 50) -> list[Decided]:
    """Closed cases that the actor decided on, newest first: the outcomes of one's own work."""
    permissions.require(actor, "outcomes.own")
    mine = select(Decision.case_id).where(Decision.by == actor.user_id)
    return _decided(session, queue.visible(actor), Case.case_id.in_(mine))[:limit]


def decided_cases(session: Session, actor: Actor) -> list[Decided]:
    """All closed cases with their outcome, newest first: what a replay measures a risk model against."""
    permissions.require(actor, "model.report")
    return _decided(session, queue.visible(actor))


def _decided(session: Session, *conditions: object) -> list[Decided]:
    outcomes = rules(session).data["outcomes"]
    query = select(Case).where(Case.state == "closed", *conditions).order_by(Case.closed_at.desc(), Case.case_id)  # type: ignore[arg-type]
    return [
        Decided(
            c.case_id, c.referral_id, c.outcome, bool(outcomes.get(c.outcome, {}).get("acted")), c.band, c.closed_at
        )
        for c in session.scalars(query)
        if c.outcome is not None and c.closed_at is not None
    ]
