"""Which cases stand on a page of the queue: found along the order, so that a page costs what stands on it and not what the
queue holds.

A selective filter leaves few cases, which are sorted (`filtering.within`). Else the cases are walked in the order's own
index until the page is full: by target in one go, by risk in runs (`ordering.Order.runs`). Neither database sees by
itself when that is right. SQLite has no statistics; PostgreSQL multiplies those of each filter, takes many together for
more selective than they are, and would intersect large indexes or sort whole bands for a page that is full after some
hundred cases. So it is asked how many of the next cases fit, and is told nothing of the filters where it shall walk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import Session

from pipeline.cases.views import ordering
from pipeline.cases.views.filtering import (
    MANY,
    URGENCIES,
    Narrowest,
    QueueFilters,
    bounds_of,
    conditions,
    due_between,
    is_sqlite,
    narrowest,
    not_due_from,
    places,
    shows_closed,
    unseen,
    within,
)
from pipeline.store.actors import Actor
from pipeline.store.context import now
from pipeline.store.tables import Case
from pipeline.store.types import Moment

FEW_FILTERS = 5
"""Filters up to which SQLite takes so many cases to be left that a page is full soon."""
FREE_FILTERS = 2
"""Filters up to which PostgreSQL walks without having looked how many of the next cases fit."""
AHEAD = (3, 12)
"""Pages of cases that are looked at, first few and then more, before every case is asked whether the person has looked at it."""
SAMPLE = 2_000
"""Cases from a place of the order on that are looked at, to tell whether many filters together leave many cases."""
ENOUGH = 4
"""Cases of the SAMPLE that must fit for the rest to be walked: the page is full after some ten thousand cases then."""

PageKey = tuple[Any, ...]


@dataclass(frozen=True)
class PageAsked:
    """What a page is asked for: whose, with which filters, in which order, behind which place. `narrow` is the most
    selective filter."""

    session: Session
    actor: Actor
    filters: QueueFilters
    ordered: ordering.Order
    narrow: Narrowest | None
    place: Sequence[Any] | None

    @property
    def selective(self) -> bool:
        return self.narrow is not None and self.narrow.number <= MANY

    @property
    def plain(self) -> bool:
        """Whether an index has the order: by risk without lifting, and by target."""
        return self.ordered.parts[0] is None and self.ordered.name in ordering.ORDERS[:2]

    @property
    def by_risk(self) -> bool:
        return self.ordered.name == ordering.ORDERS[0]

    def behind(self) -> list[ColumnElement[bool]]:
        return [self.ordered.after(self.place)] if self.place is not None else []


def keys(
    session: Session,
    actor: Actor,
    filters: QueueFilters,
    ordered: ordering.Order,
    *,
    place: Sequence[Any] | None,
    rows: int,
) -> list[PageKey]:
    """Places of up to `rows` cases behind `place`, in order. The last value of a place is the case's number."""
    narrow = narrowest(session, actor, filters)
    if narrow is not None and narrow.number == 0:
        return []
    asked = PageAsked(session, actor, filters, ordered, narrow, place)
    if is_sqlite(session):
        return _ahead(asked, rows)
    if asked.plain and not asked.selective and not shows_closed(filters):
        found = _along_by_risk(asked, rows) if asked.by_risk else _along_by_target(asked, rows)
        if found is not None:
            return found
    return _sorted(asked, rows)


def _ahead(asked: PageAsked, rows: int) -> list[PageKey]:
    """SQLite: whether a person has looked is asked of few cases first; of every case that the other filters leave it is
    dear."""
    if asked.filters.new_for_me and len(asked.filters.active()) <= FEW_FILTERS:
        others = replace(asked, filters=replace(asked.filters, new_for_me=None))
        for pages in AHEAD:
            first = _walk(others, rows * pages)
            new = unseen(asked.session, asked.actor, [key[-1] for key in first])
            found = [key for key in first if key[-1] in new][:rows]
            if len(found) == rows or len(first) < rows * pages:
                return found
    return _walk(asked, rows)


def _walk(asked: PageAsked, rows: int) -> list[PageKey]:
    """SQLite: from the index as it lies there, run by run, where many cases are left."""
    if asked.plain and asked.by_risk and not asked.selective and len(asked.filters.active()) <= FEW_FILTERS:
        return _run_by_run(asked, rows)
    return _sorted(asked, rows)


def _run_by_run(asked: PageAsked, rows: int) -> list[PageKey]:
    """SQLite: a statement for each run of cases, one behind the other. In a run the index has them in order, and nothing is
    sorted."""
    connection, found = asked.session.connection(), list[PageKey]()
    possible = _possible(asked.filters, first_page=asked.place is None)
    for run in asked.ordered.runs(places(asked.session, asked.filters), asked.place, **possible):
        query = _of_run(asked, run).where(*asked.behind()) if asked.place is not None else _of_run(asked, run)
        given = {"moment": asked.ordered.moment, "now": now(asked.session), "place": run.place}
        found += [tuple(row) for row in connection.execute(query, given | {"rows": rows - len(found)})]
        if len(found) >= rows:
            break
    return found


_RUNS: dict[object, Select[Any]] = {}
"""Statements of runs by all that they are made from: making one takes many times as long as it takes to run."""
RUNS_KEPT = 500


def _of_run(asked: PageAsked, run: ordering.QueueRun) -> Select[Any]:
    """The statement of a run in whichever place, with the moments and the number of rows as parameters. It is kept, unless a
    filter holds moments of its own (urgency)."""
    filters = asked.filters
    personal = filters.holder == "me" or filters.new_for_me is not None
    whose = asked.actor.user_id if personal else None
    key = (filters, asked.actor.compartments, whose, run.calm, run.timely)
    if (kept := _RUNS.get(key)) is not None:
        return kept
    moment = bindparam("moment", type_=Moment)
    sorted_by = ordering.risk_keys(moment)
    left = conditions(asked.session, asked.actor, filters, moment=bindparam("now", type_=Moment))
    query = select(*sorted_by).where(*left, run.condition(moment, bindparam("place", type_=Integer)))
    made = query.order_by(*sorted_by[ordering.RUN :]).limit(bindparam("rows", type_=Integer))
    if filters.urgency is None:
        if len(_RUNS) >= RUNS_KEPT:
            _RUNS.clear()
        _RUNS[key] = made
    return made


def _sorted(asked: PageAsked, rows: int) -> list[PageKey]:
    """As the database plans it: what the filters leave is sorted, or walked where it sees that this is right."""
    ordered = asked.ordered
    left = conditions(asked.session, asked.actor, asked.filters, ordered.name, few=asked.selective)
    if asked.narrow is not None and asked.selective:
        left = within(asked.session, left, asked.narrow)
    elif asked.plain and asked.by_risk:
        left.append(Case.band_order.in_(places(asked.session, asked.filters)))
    query = select(*ordered.keys).where(*left, *asked.behind()).order_by(*ordered.keys)
    first = int(asked.place[0]) if asked.place is not None and ordered.parts[0] is not None else 0
    return _each(asked, [query if part is None else query.where(part) for part in ordered.parts[first:]], rows)


def _runs(asked: PageAsked, left: Sequence[ColumnElement[bool]], bands: Sequence[int]) -> Iterator[Any]:
    """PostgreSQL: by risk, a statement for each run of cases, one behind the other."""
    ordered = asked.ordered
    query = select(*ordered.keys).order_by(*ordered.keys[ordering.RUN :])
    runs = ordered.runs(bands, asked.place, **_possible(asked.filters, first_page=asked.place is None))
    place, waits, late = (
        bindparam("place", type_=Integer),
        bindparam("waits", type_=Boolean),
        bindparam("late", type_=Boolean),
    )
    fit = _out_of_sight([*left, (Case.due_at < ordered.moment) == late, *asked.behind()])
    query = query.where(Case.is_open.is_(True), Case.band_order == place, Case.unacknowledged == waits, fit)
    start = tuple(map(int, asked.place[: ordering.RUN])) if asked.place is not None else None
    for run in runs:
        # the run in which the place lies: the index is entered there
        here = query.where(Case.score_order >= asked.place[ordering.RUN]) if asked.place and run == start else query
        yield here.params(place=run.place, waits=not run.calm, late=not run.timely)


def _each(asked: PageAsked, queries: Iterable[Any], rows: int) -> list[PageKey]:
    """The first `rows` of statements whose rows follow each other."""
    connection = asked.session.connection()  # plain columns: the session's own way to the rows costs more than the rows
    found: list[PageKey] = []
    for query in queries:
        found += [tuple(row) for row in connection.execute(query.limit(rows - len(found)))]
        if len(found) >= rows:
            break
    return found


def _possible(f: QueueFilters, *, first_page: bool) -> dict[str, Sequence[bool]]:
    """Which runs of the order by risk can hold what the filters leave (`ordering.Order.runs`). Later pages follow the first
    one's moment, at which a case may have been timely that is late now."""
    both = (False, True)
    calm = both if f.unacknowledged is None else (not f.unacknowledged,)
    if f.urgency is None or not first_page:
        return {"calm": calm, "timely": both}
    late = set(URGENCIES[:2])
    return {"calm": calm, "timely": tuple({name not in late for name in f.urgency})}


# -- PostgreSQL ---------------------------------------------------------------------------------------------------


def _out_of_sight(conditions: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    """All the conditions as one that PostgreSQL's planner cannot look into: it takes half of the cases to fit, whatever they
    say, and so walks the order's own index and stops when the page is full."""
    return case((and_(*conditions), true()), else_=false())


def _along_by_target(asked: PageAsked, rows: int) -> list[PageKey] | None:
    """None where too few of the next cases fit."""
    left = conditions(asked.session, asked.actor, asked.filters, asked.ordered.name)
    bounds = [Case.is_open.is_(True), *_due(asked)]
    fit = _out_of_sight([*left, *asked.behind()])
    query = select(*asked.ordered.keys).where(*bounds, fit).order_by(*asked.ordered.keys)
    if len(asked.filters.active()) > FREE_FILTERS:
        edge = select(Case.due_at).where(*bounds).order_by(Case.due_at).offset(SAMPLE).limit(1)
        found = _each(asked, [query.where(Case.due_at < func.coalesce(edge.scalar_subquery(), _NEVER))], rows)
        if len(found) >= rows:
            return found
        if len(found) < ENOUGH:
            return None
    return _each(asked, [query], rows)


def _due(asked: PageAsked) -> list[ColumnElement[bool]]:
    """From which target on and up to which: what the index of targets has between is walked."""
    low, high = due_between(asked.session, asked.filters)
    if asked.place is not None:
        low = max(low, asked.place[0]) if low is not None else asked.place[0]
    return bounds_of(low, high)


def _along_by_risk(asked: PageAsked, rows: int) -> list[PageKey] | None:
    """None where too few of the next cases fit."""
    bands = places(asked.session, asked.filters)
    left = conditions(asked.session, asked.actor, asked.filters, asked.ordered.name)
    if len(asked.filters.active()) > FREE_FILTERS and not _many_of_the_next(asked, left, bands[0]):
        return None
    return _each(asked, _runs(asked, left, bands), rows)


def _many_of_the_next(asked: PageAsked, left: Sequence[ColumnElement[bool]], band: int) -> bool:
    """Whether ENOUGH of the next SAMPLE cases fit. In a band the index has late cases between those that are not due yet:
    where only these are wanted, only they are counted among the SAMPLE."""
    connection = asked.session.connection()
    keys = (Case.band_order, Case.unacknowledged, Case.score_order)
    start = band if asked.place is None else max(band, int(asked.place[0]))
    first = [Case.is_open.is_(True), Case.band_order >= start]
    among = [_out_of_sight([late]) for late in not_due_from(asked.session, asked.filters)]
    edge = select(*keys).where(*first, *among).order_by(*keys).offset(SAMPLE).limit(1)
    fit = select(literal(1)).where(*first, _out_of_sight([*left, *asked.behind()]))
    if (last := connection.execute(edge).one_or_none()) is not None:
        given = [literal(value, key.type) for value, key in zip(last, keys, strict=True)]
        fit = fit.where(tuple_(*keys) < tuple_(*given))
    found = connection.scalar(select(func.count()).select_from(fit.limit(ENOUGH).subquery()))
    return (found or 0) >= ENOUGH


_NEVER: ColumnElement[Any] = literal_column("'infinity'::timestamptz")
"""Later than every target."""
