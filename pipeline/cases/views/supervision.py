"""What a supervisor must see: reviews due by rank, overdue cases, second looks, lowerings that wait, lapsed claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, bindparam, func, inspect, literal_column, not_, select
from sqlalchemy.orm import Session

from pipeline.cases import cases, words
from pipeline.cases.duties import waiting
from pipeline.cases.views import ordering, queue
from pipeline.cases.views.filtering import MANY
from pipeline.errors import ConflictError, UsageError
from pipeline.people import permissions, users
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.indexes import RESTRICTED, unindexed
from pipeline.store.people_tables import User
from pipeline.store.rules import CaseRules, add_months
from pipeline.store.tables import Case, Lowering, Notification, Review, SecondLook
from pipeline.store.types import BANDS, Moment

REVIEW_DAYS = 14
"""How far ahead reviews are listed."""

_Row = TypeVar("_Row", Review, SecondLook, Lowering, Notification)


def schedule(policy: CaseRules, case_id: str, opened_at: datetime) -> list[dict[str, Any]]:
    """Rows of the reviews of a new case: one per rank, at 3, 5 and 6 months unless the policy says otherwise."""
    return [
        {"case_id": case_id, "rank": review["rank"], "due_at": add_months(opened_at, review["months"])}
        for review in policy.data["supervision"]["reviews"]
    ]


def reviews_due(
    session: Session, actor: Actor, *, within_days: int = REVIEW_DAYS, rank: str | None = None, limit: int | None = None
) -> list[tuple[Review, Case]]:
    """Reviews of open cases that are overdue or due within `within_days` (the first `limit`), in the order of the queue."""
    conditions = [Review.done_at.is_(None), Review.due_at <= now(session) + timedelta(days=within_days)]
    if rank is not None:
        conditions.append(Review.rank == rank)
    return _with_cases(session, actor, Review, Review.due_at, *conditions, limit=limit)


def overdue(session: Session, actor: Actor, *, limit: int | None = None) -> Sequence[Case]:
    """Open cases past their target (the first `limit` of them), by their own band, in each the longest overdue first: so that
    nothing starves unseen."""
    permissions.require(actor, "supervision.list")
    keys = (ordering.OWN_BAND, Case.due_at, Case.case_id)
    late = (Case.is_open.is_(True), Case.due_at < now(session), queue.visible(actor))
    if limit is None:
        return session.scalars(select(Case).where(*late).order_by(*keys)).all()
    first = (
        select(Case.case_id).where(*late).order_by(*keys).limit(limit)
    )  # from an index: whole rows of all are not sorted
    return session.scalars(select(Case).where(Case.case_id.in_(first)).order_by(*keys)).all()


def past_target(session: Session, actor: Actor) -> list[dict[str, Any]]:
    """The figure beside that list: how many open cases of each own band are past their target, and the oldest target."""
    permissions.require(actor, "supervision.list")
    query = (
        select(Case.band, func.count(), func.min(Case.due_at))
        .where(Case.is_open.is_(True), Case.due_at < now(session), queue.visible(actor))
        .group_by(Case.band)
    )
    found = {band: (number, oldest) for band, number, oldest in session.execute(query)}
    return [
        {
            "band": band,
            "cases": found[band][0] if band in found else 0,
            "oldest_target": found[band][1] if band in found else None,
        }
        for band in BANDS
    ]


@dataclass(frozen=True)
class Load:
    """What a person who works on cases holds at this moment, of the cases that the reader may see."""

    user_id: str
    name: str
    cases: int
    very_high: int
    past_target: int

    @property
    def words(self) -> str:
        """The person with what they hold: "Ana Analyst: 3 cases, 1 very high"."""
        held = "1 case" if self.cases == 1 else f"{self.cases} cases"
        very_high = [f"{self.very_high} very high"] if self.very_high else []
        late = [f"{self.past_target} past target"] if self.past_target else []
        return f"{self.name}: {', '.join([held, *very_high, *late])}"


def loads(session: Session, actor: Actor) -> list[Load]:
    """Everybody to whom a case can be allocated, by name, with what they hold: for allocation, not for comparison."""
    permissions.require(actor, "case.allocate")
    moment = now(session)
    held = (
        select(
            Case.holder,
            func.count(),
            func.count().filter(Case.band == BANDS[0]),
            func.count().filter(Case.due_at < moment),
        )
        # by the index of holders: few of the open cases are held
        .where(Case.holder.is_not(None), unindexed(Case.is_open).is_(True))
        .where(~queue.free(moment), queue.visible(actor))
        .group_by(Case.holder)
    )
    found = {who: numbers for who, *numbers in session.execute(held)}
    workers = permissions.TABLE["case.claim"]
    return sorted(
        (
            Load(user.user_id, user.name, *found.get(user.user_id, (0, 0, 0)))
            for user in session.scalars(select(User).where(User.disabled.is_(False)))
            if workers.intersection(user.roles)
        ),
        key=lambda load: (load.name, load.user_id),
    )


def counts(session: Session, actor: Actor) -> dict[str, int]:
    """How long each work list is, of the cases that the reader may see: what the supervisor's page and the dashboard say.

    Raises PermissionDeniedError for somebody who reads no reports.
    """
    permissions.require(actor, "reports.read")
    moment = now(session)
    asked = {"now": moment, "soon": moment + timedelta(days=REVIEW_DAYS)}
    found = session.execute(_lengths(actor.compartments), asked).one()
    return {name: int(number) for name, number in found._mapping.items()}


@cache
def _lengths(compartments: frozenset[str]) -> Select[Any]:
    """The statement of `counts` for people with these compartments: one for all lists, built once for each set of compartments."""
    seen = [Case.is_open.is_(True), queue.of_compartments(compartments)]

    def of(table: Any, *conditions: ColumnElement[bool]) -> ColumnElement[int]:
        # Not a join: SQLite would walk all open cases and look each up in a list that is short.
        its_case = select(Case.case_id).where(Case.case_id == table.case_id, *seen).exists()
        return select(func.count()).select_from(table).where(*conditions, its_case).scalar_subquery()

    due = bindparam("now", type_=Moment)
    late = select(func.count()).where(Case.is_open.is_(True), Case.due_at < due).scalar_subquery()
    # a span of an index, less the few of it that are in a compartment: of so many cases that is not asked one by one
    hidden = select(func.count()).where(
        literal_column(RESTRICTED),
        not_(queue.of_compartments(compartments)),
        unindexed(Case.is_open).is_(True),
        unindexed(Case.due_at) < due,
    )
    return select(
        waiting.number(compartments).scalar_subquery().label("flags"),
        (late - hidden.scalar_subquery()).label("past_target"),
        of(Notification, Notification.made_at.is_(None)).label("notifications"),
        of(Lowering, Lowering.status == "pending").label("lowerings"),
        of(SecondLook, SecondLook.done_at.is_(None)).label("second_looks"),
        of(Review, Review.done_at.is_(None), Review.due_at <= bindparam("soon")).label("reviews"),
    )


def second_looks(session: Session, actor: Actor, *, limit: int | None = None) -> list[tuple[SecondLook, Case]]:
    """Second looks that wait, in the order of the queue."""
    return _with_cases(session, actor, SecondLook, SecondLook.opened_at, SecondLook.done_at.is_(None), limit=limit)


def lowerings(session: Session, actor: Actor, *, limit: int | None = None) -> list[tuple[Lowering, Case]]:
    """Lowerings that wait for approval, in the order of the queue."""
    return _with_cases(session, actor, Lowering, Lowering.proposed_at, Lowering.status == "pending", limit=limit)


def notifications(session: Session, actor: Actor, *, limit: int | None = None) -> list[tuple[Notification, Case]]:
    """Notifications of open cases that nobody has made yet, in the order of the queue."""
    return _with_cases(
        session, actor, Notification, Notification.listed_at, Notification.made_at.is_(None), limit=limit
    )


def complete_review(
    session: Session,
    actor: Actor,
    case_id: str,
    review_id: int,
    *,
    reason_code: str,
    version: int,
    note: str | None = None,
) -> Review:
    """Record a review. After the case's last one the next falls due `repeat_months` later, at the same rank.

    Raises UsageError for a review that is not this case's, ConflictError when it was done already.
    """
    case = cases.for_change(session, actor, case_id, "case.review", version)
    code = rules(session).reason("review", reason_code)
    row = session.get(Review, review_id, populate_existing=True)
    if row is None or row.case_id != case_id:
        raise UsageError(f"Case {case_id} has no review {review_id}.")
    if row.done_at is not None:
        raise ConflictError(f"{users.name_of(session, row.done_by)} has done this review already.")
    row.done_at, row.done_by, row.reason_code, row.note = now(session), actor.user_id, code, cases.note_text(note)
    session.flush()
    waiting = session.scalar(
        select(Review.review_id).where(Review.case_id == case_id, Review.done_at.is_(None)).limit(1)
    )
    if waiting is None:
        months = rules(session).data["supervision"]["repeat_months"]
        session.add(Review(case_id=case_id, rank=row.rank, due_at=add_months(row.done_at, months)))
    cases.changed(
        session, actor, case, "review", f"Review by {row.rank}: {words.reason(rules(session), 'review', code)}"
    )
    audit.record(session, actor, "alteration", "review.done", case_id=case_id, reason=code, object_=row.rank)
    return row


def _with_cases(
    session: Session,
    actor: Actor,
    table: type[_Row],
    order: Any,
    *conditions: ColumnElement[bool],
    limit: int | None = None,
) -> list[tuple[_Row, Case]]:
    permissions.require(actor, "supervision.list")
    keys = (*ordering.order(session, "risk", now(session)).keys, order)
    (row,) = inspect(table).primary_key
    some = select(row).where(*conditions).limit(MANY + 1).subquery()
    few = (session.scalar(select(func.count()).select_from(some)) or 0) <= MANY
    # where the list is short, all open cases would be walked, and each looked for in it
    still_open = unindexed(Case.is_open).is_(True) if few else Case.is_open.is_(True)
    listed = (still_open, queue.visible(actor), *conditions)
    query = select(table, Case).join(Case, Case.case_id == table.case_id).order_by(*keys)
    if limit is None:
        query = query.where(*listed)
    else:  # whole rows of those alone that stand first
        first = select(row).join(Case, Case.case_id == table.case_id).where(*listed).order_by(*keys).limit(limit)
        query = query.where(row.in_(first))
    return [(row, case) for row, case in session.execute(query)]
