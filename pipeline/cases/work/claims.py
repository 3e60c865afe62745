"""Claiming: one person works on a case at a time. Atomic on both databases; a claim without work lapses.

On SQLite the transaction holds the write lock from its beginning; on PostgreSQL the row is locked, and rows that
somebody else is claiming at the moment are skipped. Supervisors allocate: a claim in another person's name.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.cases import groups, states
from pipeline.cases.cases import changed, check_version, expired, find, for_change, holds
from pipeline.cases.views import ordering, queue
from pipeline.errors import ConflictError, UsageError
from pipeline.people import permissions, users
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.people_tables import Team, User
from pipeline.store.tables import Case


def claim(session: Session, actor: Actor, case_id: str, *, version: int | None = None) -> Case:
    """Take a case. Claiming what one holds already renews the claim.

    Raises ConflictError when somebody else holds it, or it is closed.
    """
    case = find(session, actor, case_id, "case.claim", lock=True)
    if version is not None:
        check_version(session, case, version)
    if case.holder and case.holder != actor.user_id and not expired(case, now(session)):
        holder = users.name_of(session, case.holder)
        raise ConflictError(f"Case {case_id} is held by {holder} already.", "Take another: claim the next case.")
    _take_together(session, actor, case, actor)
    return case


def claim_next(session: Session, actor: Actor, filters: queue.QueueFilters | None = None) -> Case | None:
    """Take the case that stands first in the queue and is free: by risk, as the queue's own order has it.

    Cases of other teams are left to them. None when there is no free case.
    """
    permissions.require(actor, "case.claim")
    moment = now(session)
    ordered = ordering.order(session, "risk", moment)
    query = (
        select(Case)
        .where(*queue.conditions(session, actor, filters or queue.QueueFilters()))
        .where(queue.free(moment), queue.of_team(actor))
        .order_by(*ordered.keys)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    for part in ordered.parts:
        case = session.scalar(query if part is None else query.where(part))
        if case is not None:
            _take_together(session, actor, case, actor)
            return case
    return None


def release(session: Session, actor: Actor, case_id: str, *, version: int) -> Case:
    """Give a case back. A supervisor may release what somebody else holds. Raises ConflictError if it is not held."""
    case = for_change(session, actor, case_id, "case.release", version)
    if case.holder is None:
        raise ConflictError(f"Case {case_id} is held by nobody.")
    if not holds(case, actor.user_id, now(session)) and "supervisor" not in actor.roles:
        raise ConflictError(f"Case {case_id} is not held by you.", "Ask a supervisor to release it.")
    holder, others = case.holder, _others(session, actor, case)
    _give_back(session, actor, case, "Released")
    for member in others:
        if member.holder == holder:
            _give_back(session, actor, member, f"Released with case {case_id}")
    return case


def allocate(
    session: Session,
    actor: Actor,
    case_id: str,
    *,
    reason_code: str,
    version: int,
    user_id: str | None = None,
    team_id: str | None = None,
) -> Case:
    """A supervisor puts a case into the hands of a person, or of a team (whose members then claim it).

    Raises UsageError for a person or team that is not there or may not see or work on the case.
    """
    case = for_change(session, actor, case_id, "case.allocate", version)
    code = rules(session).reason("allocate", reason_code)
    if (user_id is None) == (team_id is None):
        raise UsageError("Allocate to a person or to a team.")
    if team_id is not None:
        if session.get(Team, team_id) is None:
            raise UsageError(f"There is no team {team_id!r}.")
        case.team_id = team_id
        if case.holder is not None:
            _give_back(session, actor, case, f"Allocated to team {team_id}")
        else:
            changed(session, actor, case, "allocated", f"Allocated to team {team_id}")
    else:
        user = session.get(User, user_id)
        if user is None or user.disabled or not permissions.TABLE["case.claim"].intersection(user.roles):
            raise UsageError(f"{users.name_of(session, user_id)} is not somebody who works on cases.")
        if case.compartment is not None and case.compartment not in user.compartments:
            raise UsageError(f"{user.name} may not see this case.")
        _take_together(session, actor, case, users.actor_of(user))
    audit.record(
        session,
        actor,
        "alteration",
        "case.allocated",
        case_id=case_id,
        reason=code,
        object_=user_id or f"team:{team_id}",
    )
    return case


def expire(session: Session, actor: Actor) -> int:
    """Give back every claim that has lapsed; returns how many. Run nightly: until then a lapsed claim binds nobody."""
    permissions.require(actor, "night.expire_claims")
    lapsed = session.scalars(
        select(Case)
        .where(Case.state == "allocated", Case.claim_expires_at <= now(session))
        .order_by(Case.case_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    for case in lapsed:
        _give_back(session, actor, case, f"Claim of {case.holder} lapsed")
    return len(lapsed)


def _take_together(session: Session, actor: Actor, case: Case, holder: Actor) -> None:
    """Take a case with the others of its group that its new holder may see and nobody else holds."""
    others, moment = _others(session, holder, case), now(session)
    _take(session, actor, case, holder.user_id)
    for member in others:
        if member.holder in {None, holder.user_id} or expired(member, moment):
            _take(session, actor, member, holder.user_id)


def _others(session: Session, actor: Actor, case: Case) -> list[Case]:
    """The other cases of the group as the actor sees it."""
    group = groups.of_case(session, actor, case.case_id)
    return [member for member in group.cases if member is not case] if group else []


def _take(session: Session, actor: Actor, case: Case, user_id: str) -> None:
    before = case.holder
    states.move(case, "claim")
    moment = now(session)
    if before != user_id:
        case.claimed_at = moment
    case.holder = user_id
    case.claim_expires_at = moment + rules(session).claim_time
    text = f"Claimed by {user_id}" if actor.user_id == user_id else f"Allocated to {user_id}"
    changed(session, actor, case, "claim", text, work=False)
    audit.record(
        session, actor, "alteration", "case.claimed", case_id=case.case_id, detail={"from": before, "to": user_id}
    )


def _give_back(session: Session, actor: Actor, case: Case, text: str) -> None:
    before = case.holder
    states.move(case, "release")
    case.holder = case.claimed_at = case.claim_expires_at = None
    changed(session, actor, case, "released", text, work=False)
    audit.record(session, actor, "alteration", "case.released", case_id=case.case_id, detail={"from": before})
