"""The queue: open cases by risk (`ordering.py`), filtered, in pages by key, so that page 100 costs what page 1 does.

Urgency is the time to the target, taken at the moment of asking (never stored, so never stale): a mark and a filter, not
the order. A page is one statement over the covering index `ix_cases_queue`, which has the bands in order: the database
sorts one band after the other and stops when the page is full.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, and_, exists, func, or_, select
from sqlalchemy import case as case_
from sqlalchemy.orm import Session

from pipeline.cases.cases import expired
from pipeline.cases.states import OPEN, STATES
from pipeline.cases.views import ordering
from pipeline.cases.views.ordering import ORDERS
from pipeline.errors import UsageError
from pipeline.people import permissions
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.tables import BANDS, Case, Seen
from pipeline.store.types import Moment

URGENCIES = ("critically_overdue", "overdue", "due_soon", "not_yet_due")
LARGEST_PAGE = 500


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


@dataclass(frozen=True)
class QueueRow:
    """One line of the queue. `place` is the band in whose place the case stands: its own, or the worst of its group.
    `standing` says why it stands where it stands; `unacknowledged`: a flag waits to be brought
    to somebody; `new_for_me`: changed since this person last looked, or never looked at; `changed_for_me`: changed since."""

    case_id: str
    urgency: str
    place: str
    standing: str
    band: str
    model_band: str
    score: float
    top_reasons: tuple[str, ...]
    source: str
    provider: str | None
    force_code: str | None
    compartment: str | None
    state: str
    outcome: str | None
    holder: str | None
    claim_lapsed: bool
    team_id: str | None
    due_at: datetime
    clock_start: datetime
    opened_at: datetime
    oldest_at: datetime | None
    flagged: bool
    unacknowledged: bool
    text_only: bool
    unknown_files: int
    matched_exact: int
    matched_near: int
    new_for_me: bool
    changed_for_me: bool
    reopen_reason: str | None
    lowering_pending: bool
    second_look: bool
    kirat_level: str | None
    version: int

    def as_dict(self) -> dict[str, Any]:
        """A flat row for JSON and CSV."""
        return {**vars(self), "top_reasons": "; ".join(self.top_reasons)}


@dataclass(frozen=True)
class QueuePage:
    """One page: its rows in order, and the `after` of the next page (None at the end). `order` is the order's name."""

    rows: tuple[QueueRow, ...]
    next_after: str | None
    as_of: datetime
    order: str


def page(
    session: Session,
    actor: Actor,
    filters: QueueFilters | None = None,
    *,
    order: str = ORDERS[0],
    after: str | None = None,
    size: int = 25,
) -> QueuePage:
    """Up to `size` cases that the actor may see, in the order of that name (`ordering.ORDERS`).

    `after` is the `next_after` of the page before: pages of one walk follow the order of the first page's moment.
    Logged only where the policy has listings logged (`Store.listing`).
    Raises UsageError for a filter value, order, size or `after` that cannot be.
    """
    permissions.require(actor, "queue.list")
    chosen = filters or QueueFilters()
    if not 1 <= size <= LARGEST_PAGE:
        raise UsageError(f"A page has 1 to {LARGEST_PAGE} cases, not {size}.")
    moment, given = _decode(after, order) or (now(session), None)
    ordered = ordering.order(session, order, moment)
    place = _typed(ordered, given) if given is not None else None
    keys = _keys(session, actor, chosen, ordered, place, rows=size + 1)
    rows = _rows(session, actor, ordered, [key[-1] for key in keys[:size]])
    if rules(session).data["consultation"]["log_listings"]:
        shown = {"filters": sorted(chosen.active()), "cases": [r.case_id for r in rows]}
        audit.record(session, actor, "consultation", "queue.listed", detail=shown)
    more = _encode(ordered, keys[size - 1]) if len(keys) > size else None
    return QueuePage(tuple(rows), more, moment, order)


def counts(session: Session, actor: Actor, filters: QueueFilters | None = None) -> dict[str, int]:
    """How many cases stand in the place of each band, how many each urgency group holds, and `total`, under the filters."""
    permissions.require(actor, "queue.list")
    chosen = filters or QueueFilters()
    _, *edges = [low for _, low, _ in _ranges(session)]
    group = case_(*((Case.due_at < edge, place) for place, edge in enumerate(edges)), else_=len(edges))
    query = select(Case.band_order, group.label("urgency"), func.count())
    query = query.where(*conditions(session, actor, chosen)).group_by(Case.band_order, "urgency")
    asked = chosen.urgency or URGENCIES
    found = dict.fromkeys([*BANDS, *(u for u in URGENCIES if u in asked), "total"], 0)
    for band, place, number in session.execute(query):
        found[BANDS[band]] += number
        found[URGENCIES[place]] += number
        found["total"] += number
    return found


def urgency(session: Session, due_at: datetime) -> str:
    """The urgency group of a target, now."""
    return next(name for name, _, high in _ranges(session) if high is None or due_at < high)


def free(moment: datetime) -> ColumnElement[bool]:
    """Held by nobody: never claimed, given back, or lapsed."""
    return or_(Case.holder.is_(None), and_(Case.state == "allocated", Case.claim_expires_at <= moment))


def of_team(actor: Actor) -> ColumnElement[bool]:
    """Allocated to no team, or to the actor's."""
    return or_(Case.team_id.is_(None), Case.team_id == (actor.team_id or ""))


def visible(actor: Actor) -> ColumnElement[bool]:
    """In no compartment, or in one of the actor's: part of every list and count of cases."""
    if not actor.compartments:
        return Case.compartment.is_(None)
    return or_(Case.compartment.is_(None), Case.compartment.in_(sorted(actor.compartments)))


def _ranges(session: Session) -> list[tuple[str, datetime | None, datetime | None]]:
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
    for name, low, high in _ranges(session):
        if name not in chosen:
            continue
        if found and low is not None and found[-1][1] == low:
            found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return found


def _bounds(low: datetime | None, high: datetime | None) -> list[ColumnElement[bool]]:
    bounds = [Case.due_at >= low] if low is not None else []
    return bounds + ([Case.due_at < high] if high is not None else [])


def _keys(
    session: Session,
    actor: Actor,
    filters: QueueFilters,
    ordered: ordering.Order,
    place: list[Any] | None,
    *,
    rows: int,
) -> list[tuple[Any, ...]]:
    """Places of up to `rows` cases behind `place`, in order."""
    query = select(*ordered.keys).where(*conditions(session, actor, filters)).order_by(*ordered.keys)
    if place is not None:
        query = query.where(ordered.after(place))
        if ordered.name == "risk" and ordered.parts[0] is None:
            query = query.where(Case.band_order >= place[0])  # said apart, so that the index begins there
    connection = session.connection()  # plain columns: the session's own way to the rows costs more than the rows
    found: list[tuple[Any, ...]] = []
    for number, part in enumerate(ordered.parts):
        if part is not None and place is not None and number < place[0]:
            continue
        here = query if part is None else query.where(part)
        found += [tuple(row) for row in connection.execute(here.limit(rows - len(found)))]
        if len(found) >= rows:
            break
    return found


def _rows(session: Session, actor: Actor, ordered: ordering.Order, numbers: list[str]) -> list[QueueRow]:
    if not numbers:
        return []
    seen = and_(Seen.case_id == Case.case_id, Seen.user_id == actor.user_id)
    query = select(Case, Seen.change_id).outerjoin(Seen, seen).where(Case.case_id.in_(numbers))
    by_id = {found.case_id: (found, change) for found, change in session.execute(query)}
    moment, ranges = now(session), _ranges(session)
    names = [f.name for f in fields(QueueRow)]
    rows = []
    for case_id in numbers:
        found, change = by_id[case_id]
        values: dict[str, Any] = {name: getattr(found, name, None) for name in names}
        values.update(
            urgency=next(name for name, _, high in ranges if high is None or found.due_at < high),
            place=BANDS[found.band_order],
            standing=ordering.standing(session, found, ordered.name, moment),
            top_reasons=tuple(found.top_reasons),
            claim_lapsed=expired(found, moment),
            new_for_me=change is None or change < found.change_id,
            changed_for_me=change is not None and change < found.change_id,
        )
        rows.append(QueueRow(**values))
    return rows


def conditions(session: Session, actor: Actor, f: QueueFilters) -> list[ColumnElement[bool]]:
    """What the filters and the actor's compartments leave."""
    _check(f)
    found: list[ColumnElement[bool]] = [_open_or_closed(f), visible(actor)]
    if f.urgency is not None and not set(URGENCIES) <= set(f.urgency):
        found.append(or_(*(and_(*_bounds(low, high)) for low, high in _merged(session, f.urgency))))
    if f.band is not None:
        found.append(Case.band.in_(f.band))
        # a case of a group stands in the place of the group's worst band, never below its own
        found.append(Case.band_order <= max(BANDS.index(band) for band in f.band))
    for column, chosen in ((Case.state, f.state), (Case.source, f.source), (Case.provider, f.provider)):
        if chosen is not None:
            found.append(column == chosen[0] if len(chosen) == 1 else column.in_(chosen))
    for value, condition in (
        (f.force, Case.force_code == f.force),
        (f.other_force, and_(Case.force_code.is_not(None), Case.force_code != f.other_force)),
        (f.team, Case.team_id == f.team),
    ):
        if value is not None:
            found.append(condition)
    if f.holder is not None:
        wanted = actor.user_id if f.holder == "me" else f.holder
        found.append(free(now(session)) if wanted == "nobody" else Case.holder == wanted)
    for flag, condition in (
        (f.flagged, Case.flagged.is_(True)),
        (f.unacknowledged, Case.unacknowledged.is_(True)),
        (f.text_only, Case.text_only.is_(True)),
        (f.unknown_files, Case.unknown_files > 0),
        (f.exact_matches, Case.matched_exact > 0),
        (f.near_matches, Case.matched_near > 0),
        (f.reopened, Case.reopened_at.is_not(None)),
        (f.lowering_pending, Case.lowering_pending.is_(True)),
        (f.second_look, Case.second_look.is_(True)),
        (f.new_for_me, ~_looked_at(actor)),
    ):
        if flag is not None:
            found.append(condition if flag else ~condition)
    if f.opened_since is not None:
        found.append(Case.opened_at >= f.opened_since)
    if f.query:
        found.append(Case.case_id.startswith(f.query, autoescape=True))
    return found


def _open_or_closed(f: QueueFilters) -> ColumnElement[bool]:
    if f.state is None or OPEN.issuperset(f.state):
        if f.holder not in {None, "nobody"}:  # out of the planner's sight, so that it takes the index of holders
            return func.coalesce(Case.is_open, False).is_(True)
        return Case.is_open.is_(True)
    return Case.is_open.in_([True, False])


def _looked_at(actor: Actor) -> ColumnElement[bool]:
    return exists().where(Seen.case_id == Case.case_id, Seen.user_id == actor.user_id, Seen.change_id >= Case.change_id)


def _check(f: QueueFilters) -> None:
    for name, values, known in (
        ("urgency", f.urgency, URGENCIES),
        ("band", f.band, BANDS),
        ("state", f.state, STATES),
    ):
        wrong = sorted(set(values or ()) - set(known))
        if wrong:
            raise UsageError(f"{', '.join(map(repr, wrong))} is no {name}.", f"Known: {', '.join(known)}.")


def _encode(ordered: ordering.Order, key: tuple[Any, ...]) -> str:
    place = [value.isoformat() if isinstance(value, datetime) else value for value in key]
    return base64.urlsafe_b64encode(json.dumps([ordered.name, ordered.moment.isoformat(), place]).encode()).decode()


def _decode(after: str | None, order: str) -> tuple[datetime, list[Any]] | None:
    """The moment and the place of an `after`."""
    if not after:
        return None
    try:
        name, at, place = json.loads(base64.urlsafe_b64decode(after))
        if name != order or not isinstance(place, list):
            raise ValueError("a place of another order")
        return _moment(at), place
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise _no_page() from error


def _typed(ordered: ordering.Order, place: list[Any]) -> list[Any]:
    """The values of a place in the types of the columns that the order sorts by. Raises UsageError for a place of another
    order."""
    found: list[Any] = []
    try:
        for value, key in zip(place, ordered.keys, strict=True):
            if isinstance(key.type, Moment):
                found.append(_moment(value))
            else:
                found.append(str(value) if isinstance(key.type, String) else float(value))
    except (ValueError, TypeError) as error:
        raise _no_page() from error
    return found


def _no_page() -> UsageError:
    return UsageError("This page of the queue cannot be found.", "Start at the first page.")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment
