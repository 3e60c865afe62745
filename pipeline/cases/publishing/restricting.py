"""A case that becomes restricted: it leaves the sight, the claims and the links of those without its compartment at once."""

from __future__ import annotations

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from pipeline.cases import states
from pipeline.cases.duties import notices
from pipeline.store import recording as audit
from pipeline.store.actors import SYSTEM
from pipeline.store.people_tables import User
from pipeline.store.tables import Case, CaseReferral, Link


def withdraw(session: Session, case: Case) -> str | None:
    """Take the case from a holder without its compartment and hide its links. Lists, counts, filters and groups ask for
    the compartment anew each time and need nothing. Returns who held it, if it was taken over.

    The holder is told that the case was taken over, and nothing else: not why, and not by whom.
    """
    own = select(CaseReferral.referral_id).where(CaseReferral.case_id == case.case_id)
    referrals = [case.referral_id, *session.scalars(own)]
    session.execute(
        update(Link)
        .where(or_(Link.left_referral.in_(referrals), Link.right_referral.in_(referrals)), Link.compartment.is_(None))
        .values(compartment=case.compartment)
        .execution_options(synchronize_session=False)
    )
    holder = session.get(User, case.holder) if case.holder else None
    if case.holder is None or (holder is not None and case.compartment in holder.compartments):
        return None
    held_by = case.holder
    notices.tell(session, held_by, f"Case {case.case_id} was taken over.")
    case.holder = case.claimed_at = case.claim_expires_at = None
    states.put(case, "new" if case.state == "allocated" else case.state)
    audit.record(session, SYSTEM, "alteration", "case.taken_over", case_id=case.case_id, detail={"from": held_by})
    return held_by
