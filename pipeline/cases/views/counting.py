"""How many cases a list has by band and by urgency. A page tells both of one filter or another, never of both together.

What leaves out few of very many cases (a compartment, cases that somebody holds, cases that a person has looked at) is not
asked of each case: the few are counted by their own small index and taken away, in the same transaction.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from sqlalchemy import ColumnElement, and_, false, func, literal_column, not_, select
from sqlalchemy.orm import Session

from pipeline.cases.views.filtering import (
    URGENCIES,
    Narrowest,
    QueueFilters,
    conditions,
    free,
    is_sqlite,
    looked_at,
    ranges,
    visible,
    within,
)
from pipeline.people import permissions
from pipeline.store.actors import Actor
from pipeline.store.context import now
from pipeline.store.indexes import RESTRICTED, unindexed
from pipeline.store.tables import Case, Seen
from pipeline.store.types import BANDS


def counts(session: Session, actor: Actor, filters: QueueFilters | None = None) -> dict[str, int]:
    """How many cases stand in the place of each band, how many each urgency group holds, and `total`, under the filters."""
    permissions.require(actor, "queue.list")
    chosen = filters or QueueFilters()
    edges = [low for _, low, _ in ranges(session) if low is not None]
    counted = _counted(session, actor, chosen, edges)
    groups = [*BANDS, *(u for u in URGENCIES if u in (chosen.urgency or URGENCIES)), "total"]
    found = {name: counted[name] for name in groups}
    return found | {name: counted[name] for name in URGENCIES if counted[name]}


def _counted(session: Session, actor: Actor, f: QueueFilters, edges: list[datetime]) -> Counter[str]:
    """Cases by band, urgency and in all; `edges` are the targets between the urgency groups."""
    if f.new_for_me:
        others = replace(f, new_for_me=None)
        mine = Case.case_id.in_(select(Seen.case_id).where(Seen.user_id == actor.user_id))
        left = within(session, conditions(session, actor, others, few=True), Narrowest(0, mine))
        return _less(_counted(session, actor, others, edges), _asked(session, [*left, looked_at(actor)], edges))
    if f.holder == "nobody":
        others = replace(f, holder=None)
        taken = not_(func.coalesce(free(now(session)), false()))
        left = within(session, conditions(session, actor, others, few=True), Narrowest(0, Case.holder > ""))
        return _less(_counted(session, actor, others, edges), _asked(session, [*left, taken], edges))
    if is_sqlite(session) and not f.active():
        hidden = and_(literal_column(RESTRICTED), not_(visible(actor)))
        return _less(_open(session, edges), _asked(session, [hidden, unindexed(Case.is_open).is_(True)], edges))
    return _asked(session, conditions(session, actor, f), edges)


def _less(counted: Counter[str], gone: Counter[str]) -> Counter[str]:
    counted.subtract(gone)
    return counted


def _asked(session: Session, left: list[ColumnElement[bool]], edges: list[datetime]) -> Counter[str]:
    """Cases that fit every condition, looked at one by one: grouped by band alone, as the order's index has it, and what is due
    before each edge beside, since by both the rows would be sorted."""
    before = [func.count().filter(Case.due_at < edge) for edge in edges]
    query = select(Case.band_order, *before, func.count()).where(*left).group_by(Case.band_order)
    found: Counter[str] = Counter()
    for band, *upto in session.execute(query):
        found[BANDS[band]] += upto[-1]
        found["total"] += upto[-1]
        for name, number in zip(URGENCIES, (b - a for a, b in pairwise((0, *upto))), strict=True):
            found[name] += number
    return found


def _open(session: Session, edges: list[datetime]) -> Counter[str]:
    """All open cases, of every compartment: each number is a span of an index, of which SQLite reads no row. What is due last
    is what is left over."""
    spans = [Case.band_order == place for place in range(len(BANDS))]
    spans += [Case.due_at < edges[0], *(and_(Case.due_at >= a, Case.due_at < b) for a, b in pairwise(edges))]
    asked = [select(func.count()).where(Case.is_open.is_(True), span).scalar_subquery() for span in spans]
    numbers = [int(number) for number in session.execute(select(*asked)).one()]
    found = Counter(dict(zip((*BANDS, *URGENCIES[:-1]), numbers, strict=True)))
    found["total"] = sum(numbers[: len(BANDS)])
    found[URGENCIES[-1]] = found["total"] - sum(numbers[len(BANDS) :])
    return found
