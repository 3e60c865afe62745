"""The queue: open cases by risk (`ordering.py`), filtered, in pages by key, so that page 100 costs what page 1 does.

Urgency is the time to the target, taken at the moment of asking (never stored, so never stale): a mark and a filter, not
the order. Which cases stand on a page is found along the order's own index (`walking.py`); only their rows are read then.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import String, and_, bindparam, select
from sqlalchemy.orm import Session

from pipeline.cases.cases import expired
from pipeline.cases.views import ordering, walking
from pipeline.cases.views.counting import counts
from pipeline.cases.views.filtering import (
    URGENCIES,
    QueueFilters,
    conditions,
    free,
    of_compartments,
    of_team,
    ranges,
    visible,
)
from pipeline.cases.views.ordering import ORDERS
from pipeline.errors import UsageError
from pipeline.people import permissions
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.tables import Case, Seen
from pipeline.store.types import BANDS, Moment

LARGEST_PAGE = 500

__all__ = [
    "LARGEST_PAGE",
    "URGENCIES",
    "QueueFilters",
    "QueuePage",
    "QueueRow",
    "conditions",
    "counts",
    "free",
    "of_compartments",
    "of_team",
    "page",
    "urgency",
    "visible",
]


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
    keys = walking.keys(session, actor, chosen, ordered, place=place, rows=size + 1)
    rows = _rows(session, actor, ordered, [key[-1] for key in keys[:size]])
    if rules(session).data["consultation"]["log_listings"]:
        shown = {"filters": sorted(chosen.active()), "cases": [r.case_id for r in rows]}
        audit.record(session, actor, "consultation", "queue.listed", detail=shown)
    more = _encode(ordered, keys[size - 1]) if len(keys) > size else None
    return QueuePage(tuple(rows), more, moment, order)


def urgency(session: Session, due_at: datetime) -> str:
    """The urgency group of a target, now."""
    return next(name for name, _, high in ranges(session) if high is None or due_at < high)


def _rows(session: Session, actor: Actor, ordered: ordering.Order, numbers: list[str]) -> list[QueueRow]:
    if not numbers:
        return []
    asked = {"numbers": numbers, "who": actor.user_id}
    place = _NAMES.index("case_id")
    by_id = {columns[place]: columns for columns in session.connection().execute(_ROWS, asked)}
    moment, spans = now(session), ranges(session)
    return [_row(session, by_id[case_id], ordered, moment, spans) for case_id in numbers]


def _row(
    session: Session,
    columns: Sequence[Any],
    ordered: ordering.Order,
    moment: datetime,
    spans: Sequence[tuple[str, datetime | None, datetime | None]],
) -> QueueRow:
    values = dict(zip(_NAMES, columns, strict=True))
    found: Any = SimpleNamespace(**values)
    change = found.looked_at
    return QueueRow(
        **{name: values[name] for name in _AS_STORED},
        urgency=next(name for name, _, high in spans if high is None or found.due_at < high),
        place=BANDS[found.band_order],
        standing=ordering.standing(session, found, ordered.name, moment),
        top_reasons=tuple(found.top_reasons),
        claim_lapsed=expired(found, moment),
        new_for_me=change is None or change < found.change_id,
        changed_for_me=change is not None and change < found.change_id,
    )


_AS_STORED = [f.name for f in fields(QueueRow) if f.name in Case.__table__.columns and f.name != "top_reasons"]
_OF_CASE = (*_AS_STORED, "top_reasons", "band_order", "score_order", "claim_expires_at", "change_id")
_NAMES = (*_OF_CASE, "looked_at")
_ROWS = (
    select(*(getattr(Case, name) for name in _OF_CASE), Seen.change_id)
    .outerjoin(Seen, and_(Seen.case_id == Case.case_id, Seen.user_id == bindparam("who")))
    .where(Case.case_id.in_(bindparam("numbers", expanding=True)))
)
"""What a page shows of its cases, without the rest of their columns; built once."""


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
