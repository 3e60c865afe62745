"""Which cases, as far as a person may know of them, hold what was matched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.cases.views import hiding
from pipeline.cases.views.queue import visible
from pipeline.console.casepage.evidence import Evidence
from pipeline.store.actors import Actor
from pipeline.store.tables import Case, CaseReferral

CHUNK = 500


def cases_with(
    session: Session, actor: Actor, evidence: Evidence, matches: Iterable[dict[str, Any]]
) -> dict[str, list[str]]:
    """Case numbers by match id, sorted: the cases whose files have the content of the match, or state its digest."""
    holders = {match["match_id"]: evidence.holders(match) for match in matches}
    known = {r for held in holders.values() for r in held}
    wanted = sorted(known - hiding.referrals_among(session, actor, known))
    numbers: dict[str, str] = {}
    for start in range(0, len(wanted), CHUNK):
        query = select(CaseReferral.referral_id, CaseReferral.case_id).join(Case, Case.case_id == CaseReferral.case_id)
        chunk = query.where(CaseReferral.referral_id.in_(wanted[start : start + CHUNK]), visible(actor))
        for referral, number in session.execute(chunk):
            numbers[referral] = number
    return {name: sorted({numbers[r] for r in held if r in numbers}) for name, held in holders.items()}
