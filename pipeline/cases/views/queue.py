"""The queue: open cases grouped by urgency, inside a group by risk. Pages by key, so that page 100 costs what page 1 does.

Urgency is the time to the target, taken at the moment of asking (never stored, so never stale); groups are ranges of
`due_at`. A page is filled cell by cell (a group and a band) in order, each a range of the covering index
`ix_cases_queue`, and stops when it is full: the first page seldom looks further than the most urgent cell.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session

from pipeline.cases.cases import expired
from pipeline.cases.states import OPEN, STATES
from pipeline.errors import UsageError
from pipeline.people import permissions
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.tables import BANDS, Case, Seen

URGENCIES = ("critically_overdue", "overdue", "due_soon", "not_yet_due")
ORDER = (Case.score_order, Case.due_at, Case.case_id)
"""Order inside a cell."""
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
    """One line of the queue. `new_for_me`: changed since this person last looked, or never looked at."""

    case_id: str
    urgency: str
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
    text_only: bool
    unknown_files: int
    matched_exact: int
    matched_near: int
    new_for_me: bool
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
    """One page: its rows in order, and the `after` of the next page (None at the end)."""

    rows: tuple[QueueRow, ...]
    next_after: str | None
    as_of: datetime


def page(
    session: Session,
    actor: Actor,
    filters: QueueFilters | None = None,
    *,
    after: str | None = None,
    size: int = 25,
    filled: Container[tuple[int, int]] | None = None,
) -> QueuePage:
    """Up to `size` cases that the actor may see, most urgent group first, inside it by band, score and target.

    `after` is the `next_after` of the page before; `filled` the cells that hold a case (a `tally` of this very
    transaction), so that empty ones are not asked for. Logged only where the policy has listings logged (`Store.listing`).
    Raises UsageError for a filter value, size or `after` that cannot be.
    """
    permissions.require(actor, "queue.list")
    chosen = filters or QueueFilters()
    if not 1 <= size <= LARGEST_PAGE:
        raise UsageError(f"A page has 1 to {LARGEST_PAGE} cases, not {size}.")
    keys, more = _keys(session, actor, chosen, _decode(after), size=size, filled=filled)
    rows = _rows(session, actor, keys)
    if rules(session).data["consultation"]["log_listings"]:
        shown = {"filters": sorted(chosen.active()), "cases": [r.case_id for r in rows]}
        audit.record(session, actor, "consultation", "queue.listed", detail=shown)
    return QueuePage(tuple(rows), _encode(keys[-1]) if more else None, now(session))


def counts(session: Session, actor: Actor, filters: QueueFilters | None = None) -> dict[str, int]:
    """How many cases each urgency group holds under the filters, and `total`."""
    return by_urgency(tally(session, actor, filters), filters)


def tally(session: Session, actor: Actor, filters: QueueFilters | None = None) -> dict[tuple[int, int], int]:
    """How many cases each cell (number of the urgency group, place of the band) holds; empty cells are left out."""
    permissions.require(actor, "queue.list")
    chosen = filters or QueueFilters()
    conditions = [*_conditions(session, actor, chosen), _bands(chosen)]
    found = {}
    for group, (name, low, high) in enumerate(_ranges(session)):
        if chosen.urgency is None or name in chosen.urgency:
            query = select(Case.band_order, func.count()).where(*conditions, *_bounds(low, high))
            for band, number in session.execute(query.group_by(Case.band_order)):
                found[group, band] = number
    return found


def by_urgency(tallied: Mapping[tuple[int, int], int], filters: QueueFilters | None = None) -> dict[str, int]:
    """A `tally` summed up by urgency group, and `total`."""
    asked = (filters.urgency if filters else None) or URGENCIES
    found = {name: 0 for name in URGENCIES if name in asked}
    for (group, _), number in tallied.items():
        found[URGENCIES[group]] += number
    return {**found, "total": sum(found.values())}


def urgency(session: Session, due_at: datetime) -> str:
    """The urgency group of a target, now."""
    return next(name for name, _, high in _ranges(session) if high is None or due_at < high)


def cells(
    session: Session, actor: Actor, filters: QueueFilters
) -> Iterator[tuple[int, int, list[ColumnElement[bool]]]]:
    """Number of the urgency group, place of the band, and the conditions of each cell, in the queue's order."""
    conditions = _conditions(session, actor, filters)
    for group, place, low, high in _chosen(session, filters):
        yield group, place, [*conditions, *_bounds(low, high), Case.band_order == place]


def _chosen(session: Session, filters: QueueFilters) -> Iterator[tuple[int, int, datetime | None, datetime | None]]:
    """Group, band and range of targets of each cell that the filters leave."""
    for group, (name, low, high) in enumerate(_ranges(session)):
        if filters.urgency is not None and name not in filters.urgency:
            continue
        for place, band in enumerate(BANDS):
            if filters.band is None or band in filters.band:
                yield group, place, low, high


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


def _bounds(low: datetime | None, high: datetime | None) -> list[ColumnElement[bool]]:
    bounds = [Case.due_at >= low] if low is not None else []
    return bounds + ([Case.due_at < high] if high is not None else [])


def _bands(filters: QueueFilters) -> ColumnElement[bool]:
    return Case.band_order.in_([BANDS.index(band) for band in filters.band or BANDS])


def _keys(
    session: Session,
    actor: Actor,
    filters: QueueFilters,
    after: tuple[Any, ...] | None,
    *,
    size: int,
    filled: Container[tuple[int, int]] | None,
) -> tuple[list[tuple[Any, ...]], bool]:
    """Keys (group, band, score, due, case) of one page, and whether more follow.

    One statement for all cells, with the cell's bounds as parameters: making a statement costs more than running it.
    """
    cell = (Case.due_at >= bindparam("low"), Case.due_at < bindparam("high"), Case.band_order == bindparam("band"))
    query = select(*ORDER).where(*_conditions(session, actor, filters), *cell).order_by(*ORDER).limit(bindparam("rows"))
    connection = session.connection()  # plain columns: the session's own way to the rows costs more than the rows
    found: list[tuple[Any, ...]] = []
    for group, band, low, high in _chosen(session, filters):
        if (after is not None and (group, band) < after[:2]) or (filled is not None and (group, band) not in filled):
            continue
        here = query
        if after is not None and (group, band) == after[:2]:
            here = query.where(tuple_(*ORDER) > tuple_(*after[2:]))
        given = {"low": low or _EARLIEST, "high": high or _LATEST, "band": band, "rows": size + 1 - len(found)}
        found += [(group, band, *row) for row in connection.execute(here, given)]
        if len(found) > size:
            return found[:size], True
    return found, False


_EARLIEST, _LATEST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


def _rows(session: Session, actor: Actor, keys: list[tuple[Any, ...]]) -> list[QueueRow]:
    numbers = [key[-1] for key in keys]
    if not numbers:
        return []
    seen = and_(Seen.case_id == Case.case_id, Seen.user_id == actor.user_id)
    query = select(Case, Seen.change_id).outerjoin(Seen, seen).where(Case.case_id.in_(numbers))
    by_id = {found.case_id: (found, change) for found, change in session.execute(query)}
    moment = now(session)
    names = [f.name for f in fields(QueueRow)]
    rows = []
    for group, *_, case_id in keys:
        found, change = by_id[case_id]
        values: dict[str, Any] = {name: getattr(found, name, None) for name in names}
        values.update(
            urgency=URGENCIES[group],
            top_reasons=tuple(found.top_reasons),
            claim_lapsed=expired(found, moment),
            new_for_me=change is None or change < found.change_id,
        )
        rows.append(QueueRow(**values))
    return rows


def _conditions(session: Session, actor: Actor, f: QueueFilters) -> list[ColumnElement[bool]]:
    _check(f)
    found: list[ColumnElement[bool]] = [_open_or_closed(f), visible(actor)]
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


def _encode(key: tuple[Any, ...]) -> str:
    group, band, score, due, case_id = key
    return base64.urlsafe_b64encode(json.dumps([group, band, score, due.isoformat(), case_id]).encode()).decode()


def _decode(after: str | None) -> tuple[Any, ...] | None:
    if not after:
        return None
    try:
        group, band, score, due, case_id = json.loads(base64.urlsafe_b64decode(after))
        moment = datetime.fromisoformat(due)
        if moment.tzinfo is None:
            raise ValueError("no time zone")
        return int(group), int(band), float(score), moment, str(case_id)
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise UsageError("This page of the queue cannot be found.", "Start at the first page.") from error
