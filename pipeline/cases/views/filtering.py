"""What the filters of the queue and a person's compartments leave, as conditions that each database can take from an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, Select, and_, case, exists, func, literal, literal_column, or_, select
from sqlalchemy.orm import Session

from pipeline.cases.states import OPEN, STATES
from pipeline.cases.views.ordering import ORDERS
from pipeline.errors import UsageError
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.indexes import SOME, unindexed
from pipeline.store.tables import Case, Seen
from pipeline.store.types import BANDS

URGENCIES = ("critically_overdue", "overdue", "due_soon", "not_yet_due")


@dataclass(frozen=True)
class QueueFilters:
    """What a list shows. None leaves a filter off; a tuple shows any of its values.

    `state` None shows open cases; closed and transferred ones are shown only when named. `holder`: a user id, "me" or
    "nobody". `other_force` picks cases that belong to another force than `force`; `new_for_me` those that changed
    since the person last looked; `query` a case number's beginning.
    """

    urgency: tuple[str, ...] | None = None
    band: tuple[str, ...] | None = None
    state: tuple[str, ...] | None = None
    source: tuple[str, ...] | None = None
    provider: tuple[str, ...] | None = None
    force: str | None = None
    other_force: str | None = None
    team: str | None = None
    holder: str | None = None
    flagged: bool | None = None
    unacknowledged: bool | None = None
    text_only: bool | None = None
    unknown_files: bool | None = None
    exact_matches: bool | None = None
    near_matches: bool | None = None
    new_for_me: bool | None = None
    reopened: bool | None = None
    lowering_pending: bool | None = None
    second_look: bool | None = None
    opened_since: datetime | None = None
    query: str | None = None

    def active(self) -> dict[str, Any]:
        """The filters that are on."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


def free(moment: Any) -> ColumnElement[bool]:
    """Held by nobody: never claimed, given back, or lapsed."""
    held, state = unindexed(Case.holder), unindexed(Case.state)  # most cases are free: no index helps to find them
    return or_(held.is_(None), and_(state == "allocated", Case.claim_expires_at <= moment))


def of_team(actor: Actor) -> ColumnElement[bool]:
    """Allocated to no team, or to the actor's."""
    return or_(Case.team_id.is_(None), Case.team_id == (actor.team_id or ""))


def visible(actor: Actor) -> ColumnElement[bool]:
    """In no compartment, or in one of the actor's: part of every list and count of cases."""
    return of_compartments(actor.compartments)


@cache
def of_compartments(compartments: frozenset[str]) -> ColumnElement[bool]:
    """In no compartment, or in one of these."""
    if not compartments:
        return Case.compartment.is_(None)
    return or_(Case.compartment.is_(None), Case.compartment.in_(sorted(compartments)))


def ranges(session: Session) -> list[tuple[str, datetime | None, datetime | None]]:
    """Urgency groups with the targets from and before which a case belongs to each."""
    moment, policy = now(session), rules(session).data["urgency"]
    edges = (
        moment - timedelta(hours=policy["critically_overdue_hours"]),
        moment,
        moment + timedelta(hours=policy["due_soon_hours"]),
    )
    return list(zip(URGENCIES, (None, *edges), (*edges, None), strict=True))


def _merged(session: Session, chosen: tuple[str, ...]) -> list[tuple[datetime | None, datetime | None]]:
    """The ranges of targets of these urgency groups, neighbours joined to one."""
    found: list[tuple[datetime | None, datetime | None]] = []
    for name, low, high in ranges(session):
        if name not in chosen:
            continue
        if found and low is not None and found[-1][1] == low:
            found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return found


def bounds_of(low: datetime | None, high: datetime | None, due: Any = Case.due_at) -> list[ColumnElement[bool]]:
    """That a target lies from `low` on and before `high`."""
    bounds: list[ColumnElement[bool]] = [due >= low] if low is not None else []
    return bounds + ([due < high] if high is not None else [])


def due_between(session: Session, f: QueueFilters) -> tuple[datetime | None, datetime | None]:
    """From which target on and before which the chosen urgency groups lie, with what lies between them."""
    spans = _merged(session, f.urgency or URGENCIES)
    return spans[0][0], spans[-1][1]


def not_due_from(session: Session, f: QueueFilters) -> list[ColumnElement[bool]]:
    """Where cases that are not due yet are wanted by name: that a case is one of them."""
    if f.urgency is None or URGENCIES[-1] not in f.urgency:
        return []
    return [Case.due_at >= low for low, high in _merged(session, f.urgency) if low is not None and high is None]


def conditions(
    session: Session,
    actor: Actor,
    f: QueueFilters,
    order: str = ORDERS[0],
    *,
    few: bool = False,
    moment: Any = None,
) -> list[ColumnElement[bool]]:
    """What the filters and the actor's compartments leave, for a list in that order; `few`: begin with what a selective
    filter fits (`within`); `moment`: the present one, or a parameter for it.

    SQLite has no statistics and takes an index for each filter that it sees, row by row from the table; `seen` hides the
    filter, so that it walks the order's own index, which has every column. What few cases fit is found by `fewest`.
    """
    _check(f)
    by_risk = order == ORDERS[0]
    seen = unindexed if is_sqlite(session) else _as_it_is
    found: list[ColumnElement[bool]] = [
        _open_or_closed(f, few=few or f.holder not in {None, "nobody"}),
        visible(actor),
    ]
    if f.urgency is not None and not set(URGENCIES) <= set(f.urgency):
        due = unindexed(Case.due_at) if by_risk else Case.due_at
        found.append(or_(*(and_(*bounds_of(low, high, due)) for low, high in _merged(session, f.urgency))))
    if f.band is not None:
        found.append(seen(Case.band).in_(f.band))
    for column, chosen in ((Case.state, f.state), (Case.source, f.source), (Case.provider, f.provider)):
        if chosen is not None:
            found.append(seen(column) == chosen[0] if len(chosen) == 1 else seen(column).in_(chosen))
    if f.force is not None:
        found.append(seen(Case.force_code) == f.force)
    if f.other_force is not None:
        found.append(and_(seen(Case.force_code).is_not(None), seen(Case.force_code) != f.other_force))
    if f.team is not None:
        found.append(seen(Case.team_id) == f.team)
    if f.holder is not None:
        wanted = actor.user_id if f.holder == "me" else f.holder
        nobody = wanted == "nobody"
        found.append(free(now(session) if moment is None else moment) if nobody else Case.holder == wanted)
    found += _so_or_not(f, actor)
    if f.opened_since is not None:
        found.append(seen(Case.opened_at) >= f.opened_since)
    if f.query:
        found.append(Case.case_id.startswith(f.query, autoescape=True))
    return found


def _so_or_not(f: QueueFilters, actor: Actor) -> Iterator[ColumnElement[bool]]:
    """The filters that ask whether something is so. Only those that are on are built: every page asks this."""
    for name, condition in _FLAGS.items():
        if (flag := getattr(f, name)) is not None:
            yield condition if flag else ~condition
    for name, column in _NUMBERS.items():
        if (flag := getattr(f, name)) is not None:
            yield column > 0 if flag else column <= 0
    if f.new_for_me is not None:
        yield ~looked_at(actor) if f.new_for_me else looked_at(actor)


_FLAGS: dict[str, ColumnElement[bool]] = {
    "flagged": Case.flagged.is_(True),
    "unacknowledged": Case.unacknowledged.is_(True),
    "text_only": Case.text_only.is_(True),
    "reopened": Case.reopened_at.is_not(None),
    "lowering_pending": Case.lowering_pending.is_(True),
    "second_look": Case.second_look.is_(True),
}
"""Filters that ask whether something is so, with its condition: each is built once."""
_NUMBERS: dict[str, Any] = {
    "unknown_files": Case.unknown_files,
    "exact_matches": Case.matched_exact,
    "near_matches": Case.matched_near,
}
"""Filters that ask whether a case has any of something, with its count."""


def _as_it_is(column: Any) -> Any:
    return column


def is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


MANY = 2_500
"""Cases up to which a filter is selective: what it leaves is sorted; else cases are walked in order until a page is full."""


class Narrowest(NamedTuple):
    """The most selective of the filters: how many cases it fits by itself, counted up to MANY and one, and its condition."""

    number: int
    condition: ColumnElement[bool]


def narrowest(session: Session, actor: Actor, f: QueueFilters) -> Narrowest | None:
    """Asked of the small indexes of `store.indexes`, so that a list with nothing in it costs no walk through all cases;
    None where no filter of those is on."""
    _check(f)
    key = (is_sqlite(session), f, actor.user_id if f.holder == "me" else None)
    query, probes = _PROBED.get(key) or _probed(session, actor, f)
    if f.urgency is None:  # which holds moments of its own
        if len(_PROBED) >= PROBES_KEPT:
            _PROBED.clear()
        _PROBED[key] = query, probes
    if not probes:
        return None
    found = session.connection().execute(query).one()
    listed = [Narrowest(int(n), one) for n, one in zip(found, probes, strict=True)]
    return min(listed, key=lambda each: each.number)


_PROBED: dict[object, tuple[Select[Any], list[ColumnElement[bool]]]] = {}
"""What `narrowest` asks, by the filters: making it takes longer than asking."""
PROBES_KEPT = 500


def _probed(session: Session, actor: Actor, f: QueueFilters) -> tuple[Select[Any], list[ColumnElement[bool]]]:
    """The statement that counts what each of the filters fits by itself, and their conditions in the same order."""
    few, many = _probes(session, actor, f)
    numbers: list[Any] = [
        select(func.count())
        .select_from(select(literal(1)).select_from(Case).where(one).limit(MANY + 1).subquery())
        .scalar_subquery()
        for one in few
    ]
    numbers += [case((exists(select(Case.case_id).where(one)), MANY + 1), else_=0) for one in many]
    return select(*numbers), [*few, *many]


def _probes(
    session: Session, actor: Actor, f: QueueFilters
) -> tuple[list[ColumnElement[bool]], list[ColumnElement[bool]]]:
    """The filters by themselves: those that may be selective, and those of which it is only asked whether any case fits."""
    asked = [name for name in SOME if getattr(f, _ASKED.get(name, name))]
    few, many = ([_so(name) for name in asked if (name in _USUAL) is usual] for usual in (False, True))
    if f.provider is not None:
        few.append(Case.provider.in_(f.provider))
    if f.team is not None:
        few.append(Case.team_id == f.team)
    if f.holder not in {None, "nobody"}:
        few.append(Case.holder == (actor.user_id if f.holder == "me" else f.holder))
    if f.query:
        few.append(_begins(session, f.query))
    many += [
        column.in_(values)
        for column, values in ((Case.band, f.band), (Case.state, f.state), (Case.source, f.source))
        if values is not None
    ]
    if f.force is not None:
        many.append(Case.force_code == f.force)
    if f.opened_since is not None:
        many.append(Case.opened_at >= f.opened_since)
    if f.urgency is not None:
        spans = [bounds_of(low, high) for low, high in _merged(session, f.urgency)]
        many.append(or_(*(and_(Case.is_open.is_(True), *bounds) for bounds in spans)))
    return few, many


def _so(name: str) -> ColumnElement[bool]:
    """The condition of an index of `store.indexes.SOME` in the index's own words, by which the database knows it again."""
    return literal_column(SOME[name])  # typed as a boolean it would be compared with 1, and no index would be used


def within(session: Session, left: list[ColumnElement[bool]], narrow: Narrowest) -> list[ColumnElement[bool]]:
    """`left`, what `conditions` leave, for a list of few cases: it begins with those that the selective filter fits.
    SQLite does not see by itself how few they are, PostgreSQL knows the small index by its own words only."""
    if not is_sqlite(session):
        return [narrow.condition, *left]
    fit = select(_ROW).select_from(Case).where(narrow.condition).correlate(None)
    return [_ROW.in_(fit), *left]


_ROW: ColumnElement[int] = literal_column("cases.rowid", Integer)
"""SQLite's own number of a row, by which it finds a case in a tenth of the time of its case number; small indexes have it."""


def places(session: Session, f: QueueFilters) -> list[int]:
    """The places in BANDS where cases of the bands stand: a case of a group stands in the place of the group's worst band,
    never below its own."""
    if f.band is None:
        return list(range(len(BANDS)))
    own = {BANDS.index(band) for band in f.band}
    # the least place from one on, by the index of bands and places: whether a place has any is not asked of the table
    asked = [
        select(func.min(Case.band_order)).where(Case.band == band, Case.band_order >= place).scalar_subquery()
        for band in f.band
        for place in range(BANDS.index(band))
        if place not in own
    ]
    found = session.connection().execute(select(*asked)).one() if asked else ()
    return sorted(own.union(int(place) for place in found if place is not None))


_USUAL = frozenset({"unknown_files", "matched_exact", "matched_near"})
"""Conditions of `store.indexes.SOME` that are so of many cases."""
_ASKED = {"reopened_at": "reopened", "matched_exact": "exact_matches", "matched_near": "near_matches"}
"""Filters by the condition of `store.indexes.SOME` that they ask for, where it has another name."""


def _begins(session: Session, number: str) -> ColumnElement[bool]:
    """Cases whose number begins so, in words for which each database uses an index."""
    if is_sqlite(session):
        return and_(Case.case_id >= number, Case.case_id < f"{number}\U0010ffff")
    return Case.case_id.startswith(number, autoescape=True)


def shows_closed(f: QueueFilters) -> bool:
    """Whether closed or transferred cases are asked for by name."""
    return f.state is not None and not OPEN.issuperset(f.state)


def _open_or_closed(f: QueueFilters, *, few: bool) -> ColumnElement[bool]:
    """`few`: out of the planner's sight, so that it takes the index of what few cases have."""
    if not shows_closed(f):
        return unindexed(Case.is_open).is_(True) if few else Case.is_open.is_(True)
    return Case.is_open.in_([True, False])


def looked_at(actor: Actor) -> ColumnElement[bool]:
    """Seen at its newest change, asked case by case: joined, all that the person has ever seen would be read for a page."""
    seen = select(Seen.change_id).where(Seen.case_id == Case.case_id, Seen.user_id == actor.user_id).scalar_subquery()
    return func.coalesce(seen, -1) >= Case.change_id


def unseen(session: Session, actor: Actor, case_ids: Sequence[str]) -> set[str]:
    """Which of these cases have changed since the actor looked, or were never looked at."""
    query = select(Case.case_id).where(Case.case_id.in_(case_ids), ~looked_at(actor))
    return set(session.scalars(query))


def _check(f: QueueFilters) -> None:
    for name, values, known in (
        ("urgency", f.urgency, URGENCIES),
        ("band", f.band, BANDS),
        ("state", f.state, STATES),
    ):
        wrong = sorted(set(values or ()) - set(known))
        if wrong:
            raise UsageError(f"{', '.join(map(repr, wrong))} is no {name}.", f"Known: {', '.join(known)}.")
