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
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, delete, func, inspect, select
from sqlalchemy.orm import Session, aliased

from pipeline import bulk, senders
from pipeline.cases import reaching
from pipeline.people import permissions
from pipeline.store.actors import Actor
from pipeline.store.context import rules
from pipeline.store.group_tables import GroupMember
from pipeline.store.tables import Assessment, Case
from pipeline.store.types import BANDS

OPEN = ""
"""The scope of people without a compartment."""
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


def regroup(session: Session, case_ids: Iterable[str], waiting: Sequence[Case] = ()) -> int:
    """Make the groups anew that these cases are in or may belong to; returns how many cases are in one of them now.

    Everything that a link leads to from them is looked at, in each scope; cases that leave a group have their own place
    in the queue again. `waiting` are loaded cases with changes on which no group depends and that are not written yet: they are
    written with the places, so that no row is written twice.
    """
    if not waiting:
        session.flush()
    with session.no_autoflush:
        asked = set(case_ids)
        before = _together_with(session, asked)
        joined: set[str] = set()
        pairs: dict[str, list[reaching.JoinedPair]] = {}
        for scope in (OPEN, *senders.COMPARTMENTS):
            reached = reaching.reached(session, asked | before, scope, pairs)
            _forget(session, sorted(reached.keys() | before), scope)
            members = [
                row for component in reaching.components(reached) for row in _members_rows(session, component, scope)
            ]
            bulk.insert(session, GroupMember, members)
            joined.update(row["case_id"] for row in members)
        _put(session, before | joined, waiting)
    return len(joined)


def settle(session: Session, case_ids: Iterable[str]) -> None:
    """Give cases that are in a group, or were in one until now, their place in the queue: the group's, or their own."""
    session.flush()
    with session.no_autoflush:
        _put(session, case_ids)


def _put(session: Session, case_ids: Iterable[str], waiting: Sequence[Case] = ()) -> None:
    """`settle`, and what else waits to be written of loaded cases."""
    ids = sorted(case_ids)
    groups: dict[tuple[str, str], str] = {}
    for part in reaching.chunks(ids):
        query = select(GroupMember.case_id, GroupMember.scope, GroupMember.group_id)
        for member_id, scope, group in session.execute(query.where(bulk.one_of(session, GroupMember.case_id, part))):
            groups[member_id, scope] = group
    ids.sort(key=lambda case_id: groups.get((case_id, OPEN), case_id))  # members of a group beside each other
    loaded: dict[str, Case] = {}
    rows: list[dict[str, Any]] = []
    for part in reaching.chunks(ids):
        for row in _moved(session, part, groups):
            here = session.identity_map.get(_IDENTITY.identity_key_from_primary_key((row["case_id"],)))
            if here is None:
                rows.append(row)
                continue
            loaded[row["case_id"]] = here
            for name in _PLACE:
                setattr(here, name, row[name])
    bulk.write(session, {**{case.case_id: case for case in waiting}, **loaded}.values())
    rows.sort(key=lambda row: str(row["case_id"]))
    for part in reaching.chunks([row["case_id"] for row in rows]):  # in the order in which everybody locks
        locked = select(Case.case_id).where(bulk.one_of(session, Case.case_id, part)).order_by(Case.case_id)
        session.execute(locked.with_for_update()).all()
    bulk.change(session, Case, rows)


_PLACE = ("band_order", "score_order", "due_at")
"""What of a case its group gives it."""
_IDENTITY = inspect(Case)


def _moved(session: Session, ids: Sequence[str], groups: Mapping[tuple[str, str], str]) -> Iterator[dict[str, Any]]:
    """Of some cases those whose place is another now, with it: so many are held in memory, whatever the number of all."""
    cases = {row.case_id: row for row in session.execute(_standing(bulk.one_of(session, Case.case_id, ids)))}
    of = {case_id: groups.get((case_id, row.compartment or OPEN)) for case_id, row in cases.items() if row.is_open}
    members = _open_members(session, sorted({group for group in of.values() if group is not None}), cases)
    for case_id, row in cases.items():
        together = members.get(of.get(case_id)) or [row]
        place = (
            min(BANDS.index(member.band) for member in together),
            min(-member.score for member in together),
            min(_own_target(session, member) for member in together),
        )
        if place != (row.band_order, row.score_order, row.due_at):
            yield {"case_id": case_id, **dict(zip(_PLACE, place, strict=True))}


def _open_members(
    session: Session, groups: Sequence[str], known: Mapping[str, Row[Any]]
) -> dict[str | None, list[Row[Any]]]:
    """Open cases of each group; those that are `known` are not read again."""
    found: dict[str | None, list[Row[Any]]] = {}
    for part in reaching.chunks(groups):
        query = select(GroupMember.group_id, GroupMember.case_id).where(
            bulk.one_of(session, GroupMember.group_id, part)
        )
        pairs = session.execute(query).all()
        others = sorted({case_id for _, case_id in pairs} - known.keys())
        rows = {
            row.case_id: row
            for some in reaching.chunks(others)
            for row in session.execute(_standing(bulk.one_of(session, Case.case_id, some)))
        }
        for group, case_id in pairs:
            row = known.get(case_id) or rows.get(case_id)
            if row is not None and row.is_open:
                found.setdefault(group, []).append(row)
    return found


def _standing(where: ColumnElement[bool]) -> Select[Any]:
    """What decides where cases stand, without their texts; `assessed_...` are the newest
    assessment's."""
    columns: tuple[Any, ...] = (
        Case.case_id, Case.is_open, Case.compartment, Case.band, Case.score, Case.clock_start,
        Case.band_order, Case.score_order, Case.due_at,
        Assessment.band.label("assessed_band"), Assessment.due_at.label("assessed_due_at"),
    )  # fmt: skip
    return select(*columns).outerjoin(Assessment, Assessment.assessment_id == Case.assessment_id).where(where)


def _own_target(session: Session, row: Row[Any]) -> datetime:
    """`target` of a case as `_standing` tells of it."""
    if row.assessed_band == row.band:
        due_at: datetime = row.assessed_due_at
        return due_at
    start: datetime = row.clock_start
    return start + timedelta(hours=rules(session).target_hours[row.band])


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
    for part in reaching.chunks(group_ids):
        query = (
            select(GroupMember.group_id, Case)
            .join(Case, GroupMember.case_id == Case.case_id)
            .where(bulk.one_of(session, GroupMember.group_id, part), Case.is_open.is_(True))
            .order_by(Case.case_id)
        )
        for group_id, case in session.execute(query):
            found[group_id].append(case)
    for cases in found.values():
        cases.sort(key=lambda case: (BANDS.index(case.band), -case.score, case.case_id))
    return found


def _together_with(session: Session, case_ids: set[str]) -> set[str]:
    """Every case that is in a group with one of these."""
    found: set[str] = set()
    other = aliased(GroupMember)
    for part in reaching.chunks(sorted(case_ids)):
        query = (
            select(other.case_id)
            .join(GroupMember, GroupMember.group_id == other.group_id)
            .where(bulk.one_of(session, GroupMember.case_id, part))
        )
        found.update(session.scalars(query))
    return found


def _forget(session: Session, case_ids: Sequence[str], scope: str) -> None:
    for part in reaching.chunks(case_ids):
        session.execute(
            delete(GroupMember)
            .where(and_(bulk.one_of(session, GroupMember.case_id, part), GroupMember.scope == scope))
            .execution_options(synchronize_session=False)
        )


def _members_rows(session: Session, component: Sequence[str], scope: str) -> list[dict[str, str]]:
    """Rows of one group, unless so many cases hang together that the value which they share says little."""
    if not 2 <= len(component) <= rules(session).data["groups"]["largest"]:
        return []
    name = f"G{component[0].removeprefix('C')}{f'-{scope}' if scope else ''}"
    return [{"case_id": case_id, "scope": scope, "group_id": name} for case_id in component]
