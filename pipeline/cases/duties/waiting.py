"""The flags that wait, asked for without reading them all: the first of them in order, and how many there are for whom.

The database keeps `WaitingFlag` and `FlagTally` by triggers; here they are read as a person may see them, and tallies are
added up now and then.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    delete,
    distinct,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session, aliased

from pipeline.store.duty_tables import FlagTally, WaitingFlag
from pipeline.store.indexes import unindexed
from pipeline.store.types import Moment

ORDER = (
    WaitingFlag.band_order,
    WaitingFlag.due_at,
    WaitingFlag.score_order,
    WaitingFlag.case_id,
    WaitingFlag.flag_id,
)
"""The gravest band of a case's own first, in each the first due, then the higher score: as the index has them in each scope."""
MANY_TALLIES = 500
"""Tallies from which on they are added up."""


class Recipient(NamedTuple):
    """Whom flags are brought to."""

    role: str
    post: str


class Tally(NamedTuple):
    """Flags that wait for one recipient, the cases that have them, how many of those are late, and when the first is due."""

    cases: int
    late: int
    first_due: datetime
    flags: int


@cache
def scopes(compartments: frozenset[str]) -> tuple[str, ...]:
    """The scopes of flags that people with these compartments may see."""
    pairs = ("&".join(pair) for pair in combinations(sorted(compartments), 2))
    return ("", *sorted(compartments), *pairs)


def of_cases(compartments: frozenset[str], case_ids: Sequence[str]) -> ColumnElement[bool]:
    """That a flag is of one of these cases, and people with these compartments may see it."""
    return and_(WaitingFlag.case_id.in_(case_ids), unindexed(WaitingFlag.scope).in_(scopes(compartments)))


def first(compartments: frozenset[str], limit: int) -> Select[Any]:
    """The numbers of the first `limit` flags that people with these compartments may see: so many of each scope are taken from the
    index, and the first of those."""
    ordered = [
        select(*ORDER).where(WaitingFlag.scope == scope).order_by(*ORDER).limit(limit).subquery()
        for scope in scopes(compartments)
    ]
    together = union_all(*(select(one) for one in ordered)).subquery()
    return select(together.c.flag_id).order_by(*(together.c[key.key] for key in ORDER)).limit(limit)


@cache
def number(compartments: frozenset[str]) -> Select[int]:
    """How many flags wait, of those that people with these compartments may see."""
    return select(func.coalesce(func.sum(FlagTally.flags), 0)).where(FlagTally.audience.in_(scopes(compartments)))


def tallies(session: Session, compartments: frozenset[str], moment: datetime) -> dict[Recipient, Tally]:
    """What waits for whom at a moment, of the flags that people with these compartments may see."""
    seen = frozenset(scopes(compartments))
    counted: dict[Recipient, Counter[str]] = defaultdict(Counter)
    due: dict[Recipient, list[datetime]] = defaultdict(list)
    for role, post, audience, cases, flags, first_due in session.execute(_tallied(compartments), {"now": moment}):
        if audience is None:
            counted[Recipient(role, post)]["timely"] += cases
        elif seen.intersection(audience.split("|")):
            counted[Recipient(role, post)].update(cases=cases, flags=flags)
            due[Recipient(role, post)] += [first_due] if first_due is not None else []
    return {
        recipient: Tally(n["cases"], n["cases"] - n["timely"], min(due[recipient]), n["flags"])
        for recipient, n in counted.items()
        if n["flags"]
    }


@cache
def _tallied(compartments: frozenset[str]) -> Any:
    """Sums of the tallies, each with the first target of its scope, and (without an audience) how many cases have no late flag:
    one statement, so that all of it is of one moment. Those without are found among the flags that are not due yet, which are as
    old as their clocks are long at most; all others are late."""
    sums = (
        select(
            FlagTally.role,
            FlagTally.post,
            FlagTally.audience,
            func.sum(FlagTally.cases).label("cases"),
            func.sum(FlagTally.flags).label("flags"),
        )
        .group_by(FlagTally.role, FlagTally.post, FlagTally.audience)
        .subquery()
    )
    of_scope = (WaitingFlag.role == sums.c.role, WaitingFlag.post == sums.c.post, WaitingFlag.scope == sums.c.audience)
    first_due = select(func.min(WaitingFlag.due_at)).where(*of_scope).correlate(sums).scalar_subquery()
    kept = select(sums, first_due.label("first_due")).where(or_(sums.c.cases != 0, sums.c.flags != 0))
    late, now = aliased(WaitingFlag), bindparam("now", type_=Moment)
    same = (
        late.case_id == WaitingFlag.case_id,
        *(unindexed(getattr(late, n)) == getattr(WaitingFlag, n) for n in Recipient._fields),
    )
    seen = scopes(compartments)
    earlier = exists().where(*same, unindexed(late.due_at) <= now, unindexed(late.scope).in_(seen))
    recipient = (unindexed(WaitingFlag.role), unindexed(WaitingFlag.post))
    timely = (
        select(*recipient, null().label("audience"), func.count(distinct(WaitingFlag.case_id)), literal(0), null())
        .where(WaitingFlag.due_at > now, unindexed(WaitingFlag.scope).in_(seen), ~earlier)
        .group_by(*recipient)
    )
    return union_all(kept, timely)


def settle(session: Session, *, at_least: int = 1) -> None:
    """Replace the tallies by their sums, if there are so many. What another transaction adds meanwhile stays, and what another
    is replacing is left to it: nobody waits."""
    there = select(FlagTally.tally_id).limit(at_least)
    if (session.scalar(select(func.count()).select_from(there.subquery())) or 0) < at_least:
        return
    free = select(FlagTally.tally_id).with_for_update(skip_locked=True)
    gone = (
        delete(FlagTally)
        .where(FlagTally.tally_id.in_(free))
        .returning(FlagTally.role, FlagTally.post, FlagTally.audience, FlagTally.cases, FlagTally.flags)
    )
    sums: dict[Sequence[str], Counter[str]] = defaultdict(Counter)
    for *key, cases, flags in session.connection().execute(gone):
        sums[tuple(key)].update(cases=cases, flags=flags)
    rows = [
        {"role": role, "post": post, "audience": audience, **numbers}
        for (role, post, audience), numbers in sums.items()
        if any(numbers.values())
    ]
    if rows:
        session.connection().execute(insert(FlagTally), rows)
