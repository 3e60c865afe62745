"""Which open cases hang together: what strong links of a joining kind lead to, in each scope."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from pipeline import bulk
from pipeline.store.context import rules
from pipeline.store.group_tables import Apart
from pipeline.store.tables import Case, CaseReferral, Link

_Value = TypeVar("_Value")
CHUNK = 400
"""Ids in one IN list."""


class JoinedPair(NamedTuple):
    """Another open case to which a joining link leads from one, and the compartments of both."""

    other: str
    compartments: tuple[str | None, str | None]


def reached(session: Session, start: set[str], scope: str, pairs: dict[str, list[JoinedPair]]) -> dict[str, set[str]]:
    """Open cases of a scope that joining links lead to from `start`, each with its neighbours. `pairs` of cases that were
    asked for in another scope are known."""
    neighbours: dict[str, set[str]] = {}
    frontier, seen = start, set(start)
    while frontier:
        _learn(session, sorted(frontier - pairs.keys()), pairs)
        met: set[str] = set()
        for one in frontier:
            for two, compartments in pairs[one]:
                if all(compartment in {None, scope or None} for compartment in compartments):
                    neighbours.setdefault(one, set()).add(two)
                    neighbours.setdefault(two, set()).add(one)
                    met.update((one, two))
        frontier = met - seen
        seen |= met
    return neighbours


def _learn(session: Session, case_ids: Sequence[str], pairs: dict[str, list[JoinedPair]]) -> None:
    """Pairs of open cases that a strong link joins, one of them among `case_ids`. Each table is asked by its own keys: of links
    that a publish has just written no database knows how many there are, and joined it walked all of them for each case."""
    pairs.update((case_id, []) for case_id in case_ids)
    for part in chunks(case_ids):
        own = dict(_found(session, CaseReferral.referral_id, CaseReferral.case_id, by=CaseReferral.case_id, of=part))
        met = [(own[near], far) for near, far in _linked(session, sorted(own))]
        of = dict(
            _found(
                session,
                CaseReferral.referral_id,
                CaseReferral.case_id,
                by=CaseReferral.referral_id,
                of=sorted({far for _, far in met}),
            )
        )
        named = sorted({*of.values(), *(one for one, _ in met)})
        apart = {case_id for (case_id,) in _found(session, Apart.case_id, by=Apart.case_id, of=named)}
        columns = (Case.case_id, Case.compartment, Case.is_open)
        listed = _found(session, *columns, by=Case.case_id, of=named)
        there = {case_id: compartment for case_id, compartment, open_ in listed if open_ and case_id not in apart}
        for one, far in met:
            two = of.get(far)
            if two is not None and two != one and two in there and one in there:
                pairs[one].append(JoinedPair(two, (there[one], there[two])))


def _linked(session: Session, referrals: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Of some referrals those that a strong link of a joining kind leads on from, each with the referral there."""
    joining = (
        Link.withdrawn.is_(False),
        Link.strength == "strong",
        Link.kind.in_(rules(session).data["groups"]["kinds"]),
    )
    for near, far in ((Link.left_referral, Link.right_referral), (Link.right_referral, Link.left_referral)):
        yield from _found(session, near, far, by=near, of=referrals, where=joining)


def _found(
    session: Session, *columns: Any, by: Any, of: Sequence[str], where: Sequence[ColumnElement[bool]] = ()
) -> Iterator[Any]:
    """Columns of the rows that have one of these keys."""
    for part in chunks(of):
        yield from session.execute(select(*columns).where(bulk.one_of(session, by, part), *where))


def components(neighbours: dict[str, set[str]]) -> Iterator[list[str]]:
    left_over = set(neighbours)
    while left_over:
        stack, found = [min(left_over)], set()
        while stack:
            at = stack.pop()
            if at not in found:
                found.add(at)
                stack.extend(neighbours[at] - found)
        left_over -= found
        yield sorted(found)


def chunks(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
