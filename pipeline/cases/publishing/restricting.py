"""What is in a compartment, looked up by id, and a case that becomes restricted: it leaves the sight, the claims and the links of
those without its compartment at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from pipeline import bulk
from pipeline.cases import states
from pipeline.cases.duties import notices
from pipeline.cases.publishing.intake import Intake
from pipeline.store import recording as audit
from pipeline.store.actors import SYSTEM
from pipeline.store.people_tables import User
from pipeline.store.tables import Case, CaseReferral, Link

CHUNK = 500
"""Ids in one IN list."""


class Restricted:
    """Which of the referrals, cases and links that reasons and flags rest on are in a compartment.

    They are looked up as they are named: a publish reads of what is restricted what it meets. The answer is that of the moment
    before the publish, and of its own links, however its assessments are cut into batches.
    """

    def __init__(self, session: Session, intake: Intake) -> None:
        self.session, self.intake = session, intake
        self._of: dict[str, str] = {}
        self._asked: set[str] = set()
        self._since: set[str] = set()
        """Cases and links that this publish has put into a compartment."""
        self._hidden: dict[str | None, set[str]] = {}
        intake.learn(link[side] for link in intake.links for side in ("left", "right"))
        self._links = {link["link_id"]: intake.restricted((link["left"], link["right"])) for link in intake.links}

    def learn(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Look up what these reasons and flags rest on, as far as it was not asked for before."""
        asked = sorted({str(e.get("id")) for item in items for e in item.get("evidence") or ()} - self._asked)
        if not asked:
            return
        self._asked.update(asked)
        self.intake.learn(asked)
        found = {name: self.intake.compartments[name] for name in asked if name in self.intake.compartments}
        for start in range(0, len(asked), CHUNK):
            for table, name in ((Case, Case.case_id), (Link, Link.link_id)):
                query = select(name, table.compartment).where(
                    bulk.one_of(self.session, name, asked[start : start + CHUNK])
                )
                for one, compartment in self.session.execute(query.where(table.compartment.is_not(None))):
                    if one not in self._since:
                        found[one] = str(compartment)
        found |= {name: where for name in asked if (where := self._links.get(name)) is not None}
        self._of |= found
        for own, names in self._hidden.items():
            names.update(name for name, where in found.items() if where != own)

    def hidden(self, case: Case) -> set[str]:
        """Ids that a reader of this case need not be allowed to know of, of all that were asked for."""
        own = case.compartment
        if own not in self._hidden:
            self._hidden[own] = {name for name, where in self._of.items() if where != own}
        return self._hidden[own]

    def opened(self, case: Case) -> None:
        """A case that this publish opened in a compartment, or put into one, is none of those before."""
        self._since.add(case.case_id)

    def withdraw(self, case: Case) -> str | None:
        """As the function of this name does it."""
        self.opened(case)
        self._since.update(self.session.scalars(select(Link.link_id).where(_open_links(self.session, case))))
        return withdraw(self.session, case)


def withdraw(session: Session, case: Case) -> str | None:
    """Take the case from a holder without its compartment and hide its links. Lists, counts, filters and groups ask for
    the compartment anew each time and need nothing. Returns who held it, if it was taken over.

    The holder is told that the case was taken over, and nothing else: not why, and not by whom.
    """
    session.execute(
        update(Link)
        .where(_open_links(session, case))
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


def _open_links(session: Session, case: Case) -> ColumnElement[bool]:
    """Links of a case's referrals that everybody may see."""
    own = select(CaseReferral.referral_id).where(CaseReferral.case_id == case.case_id)
    referrals = [case.referral_id, *session.scalars(own)]
    sides = or_(Link.left_referral.in_(referrals), Link.right_referral.in_(referrals))
    return and_(sides, Link.compartment.is_(None))
