"""Groups: open cases that a strong link of an account or a person joins are one investigation, and are worked on as one.

The worst band, the earliest target and the highest score of a group give every member its place in the queue; each case
keeps its own band, and has its own place again when the group is taken apart. Groups are made anew from the links
whenever one of their cases changes, for each scope: people without a compartment have groups of what they may see, and
what is restricted changes nothing for them. Which links join is policy (`groups` in policy/cases.yaml).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, insert, or_, select
from sqlalchemy.orm import Session, aliased, load_only

from pipeline import senders
from pipeline.people import permissions
from pipeline.store.actors import Actor
from pipeline.store.context import rules
from pipeline.store.group_tables import Apart, GroupMember
from pipeline.store.tables import BANDS, Assessment, Case, CaseReferral, Link

OPEN = ""
"""The scope of people without a compartment."""
_Value = TypeVar("_Value")
CHUNK = 400
"""Ids in one IN list."""
_GROUP = select(GroupMember.group_id).where(
    GroupMember.case_id == bindparam("case"), GroupMember.scope == bindparam("scope")
)


@dataclass(frozen=True)
class Group:
    """A group as one person sees it: its cases, first the one with the worst band, and what applies to all of them."""

    group_id: str
    cases: tuple[Case, ...]
    band: str
    due_at: datetime


def scope_of(actor: Actor) -> str:
    """The scope in which an actor sees groups."""
    return min(actor.compartments, default=OPEN)


def of_case(session: Session, actor: Actor, case_id: str) -> Group | None:
    """The group of a case as the actor sees it; None where it stands alone."""
    permissions.require(actor, "queue.list")
    found = session.scalar(_GROUP, {"case": case_id, "scope": scope_of(actor)})
    if found is None:
        return None
    members = _members(session, found)
    return Group(found, tuple(members), members[0].band, min(target(session, case) for case in members))


def sizes(session: Session, actor: Actor, case_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Of the cases that are in a group: its id and how many cases the actor sees in it."""
    permissions.require(actor, "queue.list")
    other = aliased(GroupMember)
    query = (
        select(GroupMember.case_id, GroupMember.group_id, func.count())
        .join(other, other.group_id == GroupMember.group_id)
        .where(GroupMember.scope == scope_of(actor), GroupMember.case_id.in_(case_ids))
        .group_by(GroupMember.case_id, GroupMember.group_id)
    )
    return {case_id: (group_id, number) for case_id, group_id, number in session.execute(query)}


def target(session: Session, case: Case, band: str | None = None) -> datetime:
    """A case's own target in a band (the one in force unless given): the assessment's own where it has that band, else by
    the risk model's hours from the clock's start."""
    wanted = band or case.band
    newest = session.get(Assessment, case.assessment_id)
    if newest is not None and newest.band == wanted:
        return newest.due_at
    return case.clock_start + timedelta(hours=rules(session).target_hours[wanted])


def regroup(session: Session, case_ids: Iterable[str]) -> int:
    """Make the groups anew that these cases are in or may belong to; returns how many cases are in one of them now.

    Everything that a link leads to from them is looked at, in each scope; cases that leave a group have their own place
    in the queue again.
    """
    session.flush()
    asked = set(case_ids)
    before = _together_with(session, asked)
    joined: set[str] = set()
    for scope in (OPEN, *senders.COMPARTMENTS):
        reached = _reached(session, asked | before, scope)
        _forget(session, sorted(reached.keys() | before), scope)
        members = [row for component in _components(reached) for row in _members_rows(session, component, scope)]
        for part in _chunks(members):  # in one statement: a flush for each group costs more than the groups
            session.execute(insert(GroupMember), part)
        joined.update(row["case_id"] for row in members)
    settle(session, before | joined)
    return len(joined)


def settle(session: Session, case_ids: Iterable[str]) -> None:
    """Give cases that are in a group, or were in one until now, their place in the queue: the group's, or their own."""
    session.flush()
    ids = sorted(case_ids)
    groups: dict[tuple[str, str], str] = {}
    for part in _chunks(ids):
        query = select(GroupMember.case_id, GroupMember.scope, GroupMember.group_id)
        for member_id, scope, group in session.execute(query.where(GroupMember.case_id.in_(part))):
            groups[member_id, scope] = group
    ids.sort(key=lambda case_id: groups.get((case_id, OPEN), case_id))  # members of a group beside each other
    for part in _chunks(ids):
        _settle(session, part, groups)


def _settle(session: Session, ids: Sequence[str], groups: Mapping[tuple[str, str], str]) -> None:
    """`settle` for some cases: so many are held in memory, whatever the number of all."""
    cases = list(_cases(session, ids))
    of = {case.case_id: groups.get((case.case_id, case.compartment or OPEN)) for case in cases}
    members = _members_of(session, sorted({group for group in of.values() if group is not None}))
    everybody = {case.case_id: case for case in [*cases, *(case for group in members.values() for case in group)]}
    newest = list(
        _newest(session, list(everybody.values()))
    )  # held, so that `target` finds them without asking the store
    targets = {case_id: target(session, case) for case_id, case in everybody.items()}
    del newest
    for case in cases:
        group_id = of[case.case_id]
        together = members[group_id] if group_id is not None and case.is_open else [case]
        case.band_order = min(BANDS.index(member.band) for member in together)
        case.score_order = min(-member.score for member in together)
        case.due_at = min(targets[member.case_id] for member in together)
    session.flush()


def follow(session: Session, case: Case) -> None:
    """After a change of one case: its group follows. Costs one look-up for a case that stands alone."""
    together = _together_with(session, {case.case_id})
    if together and case.is_open:
        settle(session, together)
    elif together:
        regroup(session, [case.case_id])


def _members(session: Session, group_id: str) -> list[Case]:
    return _members_of(session, [group_id])[group_id]


def _members_of(session: Session, group_ids: Sequence[str]) -> dict[str, list[Case]]:
    """Open cases of each group, first the one with the worst band."""
    found: dict[str, list[Case]] = {group_id: [] for group_id in group_ids}
    for part in _chunks(group_ids):
        query = (
            select(GroupMember.group_id, Case)
            .join(Case, GroupMember.case_id == Case.case_id)
            .where(GroupMember.group_id.in_(part), Case.is_open.is_(True))
            .order_by(Case.case_id)
        )
        for group_id, case in session.execute(query):
            found[group_id].append(case)
    for cases in found.values():
        cases.sort(key=lambda case: (BANDS.index(case.band), -case.score, case.case_id))
    return found


def _newest(session: Session, cases: Sequence[Case]) -> Iterator[Assessment]:
    """The assessments in force of some cases, without their reasons."""
    for part in _chunks(sorted({case.assessment_id for case in cases})):
        query = select(Assessment).where(Assessment.assessment_id.in_(part))
        yield from session.scalars(query.options(load_only(Assessment.band, Assessment.due_at)))


def _together_with(session: Session, case_ids: set[str]) -> set[str]:
    """Every case that is in a group with one of these."""
    found: set[str] = set()
    other = aliased(GroupMember)
    for part in _chunks(sorted(case_ids)):
        query = (
            select(other.case_id)
            .join(GroupMember, GroupMember.group_id == other.group_id)
            .where(GroupMember.case_id.in_(part))
        )
        found.update(session.scalars(query))
    return found


def _reached(session: Session, start: set[str], scope: str) -> dict[str, set[str]]:
    """Open cases of a scope that joining links lead to from `start`, each with its neighbours."""
    policy = rules(session).data["groups"]
    neighbours: dict[str, set[str]] = {}
    frontier, seen = start, set(start)
    while frontier:
        met: set[str] = set()
        for part in _chunks(sorted(frontier)):
            for one, two in _joined(session, part, scope, policy["kinds"]):
                neighbours.setdefault(one, set()).add(two)
                neighbours.setdefault(two, set()).add(one)
                met.update((one, two))
        frontier = met - seen
        seen |= met
    return neighbours


def _joined(session: Session, case_ids: Sequence[str], scope: str, kinds: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of open cases that a strong link joins, one of them among `case_ids`."""
    mine, other, here, there = aliased(CaseReferral), aliased(CaseReferral), aliased(Case), aliased(Case)
    for own, far in ((Link.left_referral, Link.right_referral), (Link.right_referral, Link.left_referral)):
        query = (
            select(here.case_id, there.case_id)
            .join(mine, mine.case_id == here.case_id)
            .join(Link, own == mine.referral_id)
            .join(other, other.referral_id == far)
            .join(there, there.case_id == other.case_id)
            .where(
                here.case_id.in_(case_ids),
                here.case_id != there.case_id,
                here.is_open.is_(True),
                there.is_open.is_(True),
                _seen(here, scope),
                _seen(there, scope),
                Link.withdrawn.is_(False),
                Link.strength == "strong",
                Link.kind.in_(kinds),
                here.case_id.not_in(select(Apart.case_id)),
                there.case_id.not_in(select(Apart.case_id)),
            )
        )
        yield from ((one, two) for one, two in session.execute(query))


def _seen(case: type[Case], scope: str) -> ColumnElement[bool]:
    nowhere = case.compartment.is_(None)
    return nowhere if scope == OPEN else or_(nowhere, case.compartment == scope)


def _components(neighbours: dict[str, set[str]]) -> Iterator[list[str]]:
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


def _forget(session: Session, case_ids: Sequence[str], scope: str) -> None:
    for part in _chunks(case_ids):
        session.execute(
            delete(GroupMember)
            .where(and_(GroupMember.case_id.in_(part), GroupMember.scope == scope))
            .execution_options(synchronize_session=False)
        )


def _members_rows(session: Session, component: Sequence[str], scope: str) -> list[dict[str, str]]:
    """Rows of one group, unless so many cases hang together that the value which they share says little."""
    if not 2 <= len(component) <= rules(session).data["groups"]["largest"]:
        return []
    name = f"G{component[0].removeprefix('C')}{f'-{scope}' if scope else ''}"
    return [{"case_id": case_id, "scope": scope, "group_id": name} for case_id in component]


def _cases(session: Session, case_ids: Sequence[str]) -> Iterator[Case]:
    for part in _chunks(case_ids):
        yield from session.scalars(select(Case).where(Case.case_id.in_(part)).order_by(Case.case_id))


def _chunks(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
