"""What somebody may not know of: what is in a compartment that they have not, and what was erased."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    bindparam,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from pipeline import senders
from pipeline.store.actors import Actor
from pipeline.store.indexes import unindexed
from pipeline.store.tables import Case, CaseReferral, Link, Tombstone

CHUNK = 500
"""Ids in one IN list."""
_ERASED = select(Tombstone.referrals)


def referrals(session: Session, actor: Actor) -> set[str]:
    """Referrals that the actor may not know of, and those that were erased; whoever reads the lake for a person leaves
    their rows out.

    Covers what was published; a referral that is in the lake only is judged by its own `compartment` column.
    """
    erased = erased_referrals(session)
    if set(senders.COMPARTMENTS) <= actor.compartments:
        return erased
    there = select(Case.case_id).where(_hidden(actor.compartments))
    cases = select(CaseReferral.referral_id).where(CaseReferral.case_id.in_(there))
    return set(session.scalars(cases)) | erased


def erased_referrals(session: Session) -> set[str]:
    """Referrals of erased cases: nobody reads them from the moment of the erasure, and their values leave the lake
    (`triage night erase`, and the weekly upkeep)."""
    return set().union(*session.scalars(_ERASED))


def erased_cases(session: Session) -> set[str]:
    """Numbers of erased cases."""
    return set(session.scalars(select(Tombstone.case_id)))


def among(session: Session, actor: Actor, ids: Collection[str]) -> set[str]:
    """Which of these ids of referrals, cases and links the actor may not know of: looked up by id, since what is restricted
    grows with every night."""
    if set(senders.COMPARTMENTS) <= actor.compartments or not ids:
        return set()
    asked, query = sorted(ids), _hidden_of_some(actor.compartments)
    found: set[str] = set()
    for start in range(0, len(asked), CHUNK):
        found.update(session.scalars(query, {"ids": asked[start : start + CHUNK]}))
    return found | erased_referrals(session).intersection(asked)


@cache
def _hidden_of_some(compartments: frozenset[str]) -> CompoundSelect[Any]:
    """Of `:ids`, those of cases, their referrals and links that people with these compartments may not know of. Found
    by id: not all that is restricted is gone through."""

    def secret(column: Any) -> ColumnElement[bool]:
        return and_(unindexed(column).is_not(None), unindexed(column).not_in(sorted(compartments)))

    ids: BindParameter[Any] = bindparam("ids", expanding=True)
    referrals = select(CaseReferral.referral_id).join(Case, Case.case_id == CaseReferral.case_id)
    return union_all(
        select(Case.case_id).where(Case.case_id.in_(ids), secret(Case.compartment)),
        referrals.where(CaseReferral.referral_id.in_(ids), secret(Case.compartment)),
        select(Link.link_id).where(Link.link_id.in_(ids), secret(Link.compartment)),
    )


def referrals_among(session: Session, actor: Actor, ids: Collection[str]) -> set[str]:
    """Those of these referrals that `referrals` would name."""
    return among(session, actor, ids) | erased_referrals(session).intersection(ids)


def anything(session: Session, actor: Actor) -> bool:
    """Whether there is anything in the store that the actor may not know of."""
    if set(senders.COMPARTMENTS) <= actor.compartments:
        return False
    return bool(session.scalar(_anything(actor.compartments)))


@cache
def _anything(compartments: frozenset[str]) -> Select[Any]:
    """Whether there is anything that people with these compartments may not know of, in the whole store."""
    secret = and_(Link.compartment.is_not(None), Link.compartment.not_in(sorted(compartments)))
    there = (
        select(Case.case_id).where(_hidden(compartments)),
        select(Link.link_id).where(secret),
        select(Tombstone.case_id),
    )
    return select(or_(*(one.exists() for one in there)))


def _hidden(compartments: frozenset[str]) -> ColumnElement[bool]:
    """In none of these compartments but in another; said so that the databases use the small index of such cases."""
    some = Case.compartment.is_not(None)
    return and_(some, Case.compartment.not_in(sorted(compartments))) if compartments else some
