"""The order of the queue, in one place: every list of open cases, the next case and every page follow it.

By risk: the band in force; inside the band cases with an escalation flag that nobody has acknowledged, then cases past
their target before cases that are not; then the higher score, the earlier target; inside a group the case whose own band
and score are higher; the case number. Lateness is a mark, never a wall: no low case, however late, stands above a high one. `queue/lift_after_targets` of policy/cases.yaml can
lift a case one band's place after so many times its target (off unless the policy says so).

By target: the earliest target first, whatever the band; and by each column of the list that a person may want to sort by. All take the moment of asking, so nothing about them is stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, tuple_
from sqlalchemy.orm import Session

from pipeline import britishtime
from pipeline.errors import UsageError
from pipeline.store.context import rules
from pipeline.store.tables import Case
from pipeline.store.types import BANDS

ORDERS = ("risk", "target", "age", "source", "state", "case")
"""The orders by name; the first is the default. All but the first two sort every open case that the filters leave."""
OWN_BAND: ColumnElement[int] = case(
    *((Case.band == band, place) for place, band in enumerate(BANDS[:-1])), else_=len(BANDS) - 1
)
"""The place of a case's own band among the bands, whatever the place that its group gives it."""
_OWN: tuple[Any, ...] = (
    OWN_BAND,
    -Case.score,
    Case.case_id,
)
"""What decides between cases of one group, which share everything else: their own band and score."""
_COLUMNS: dict[str, tuple[Any, ...]] = {
    "target": (Case.due_at, Case.band_order, Case.score_order, *_OWN),
    "age": (Case.clock_start, Case.case_id),
    "source": (Case.source, Case.band_order, Case.score_order, *_OWN),
    "state": (Case.state, Case.band_order, Case.score_order, *_OWN),
    "case": (Case.case_id,),
}
"""What the orders other than by risk sort by."""


RUN = 3
"""How many of the keys of the order by risk are the same for all cases of a run."""


class QueueRun(NamedTuple):
    """Cases of one place among the bands, with a flag that waits or without one (`calm`), late or not due yet (`timely`)."""

    place: int
    calm: bool
    timely: bool

    def condition(self, moment: Any, place: Any) -> ColumnElement[bool]:
        """That a case is of this run. The moment and the place may be parameters, for a run of whichever place."""
        due = func.coalesce(Case.due_at, Case.due_at)  # out of the planner's sight, so that it takes the order's index
        late = due >= moment if self.timely else due < moment
        return and_(Case.band_order == place, Case.unacknowledged.is_(not self.calm), late)


@dataclass(frozen=True)
class Order:
    """One order at one moment. `keys` are what it sorts by, each ascending; a row's values of them are its place.

    `parts` are conditions that cut all open cases into runs that follow each other in the order: one statement each.
    """

    name: str
    moment: datetime
    keys: tuple[ColumnElement[Any], ...]
    parts: tuple[ColumnElement[bool] | None, ...]

    def runs(
        self, places: Sequence[int], behind: Sequence[Any] | None, *, calm: Sequence[bool], timely: Sequence[bool]
    ) -> list[QueueRun]:
        """Of the order by risk without lifting: the runs of cases in the places of some bands, each behind the other, from the
        run on in which `behind` lies. `calm` and `timely` say which can hold what is wanted. In a run only `keys[RUN:]` differ, and
        the index `ix_cases_queue` has them in order."""
        start = tuple(map(int, behind[:RUN])) if behind is not None else ()
        return [run for each in product(places, sorted(calm), sorted(timely)) if (run := QueueRun(*each)) >= start]

    def after(self, place: Sequence[Any]) -> ColumnElement[bool]:
        """Cases behind this place."""
        given = [literal(value, key.type) for value, key in zip(place, self.keys, strict=True)]
        return tuple_(*self.keys) > tuple_(*given)


def order(session: Session, name: str, moment: datetime) -> Order:
    """The named order as it stands at `moment`. Raises UsageError for a name that is none."""
    if name not in ORDERS:
        raise UsageError(f"{name!r} is no order of the queue.", f"Orders: {', '.join(ORDERS)}.")
    if name != "risk":
        return Order(name, moment, _expressions(_COLUMNS[name]), (None,))
    cutoffs = lift_cutoffs(session, moment)
    if not cutoffs:
        return Order(name, moment, risk_keys(moment), (None,))
    lifted = or_(*(and_(Case.band == band, Case.due_at <= at) for band, at in cutoffs.items()))
    place = Case.band_order - case((lifted, 1), else_=0)
    keys = (place, *risk_keys(moment)[1:3], case((lifted, 1), else_=0), *risk_keys(moment)[3:])
    return Order(name, moment, keys, tuple(_place(at, cutoffs) for at in range(len(BANDS))))


def _expressions(columns: Sequence[Any]) -> tuple[ColumnElement[Any], ...]:
    return tuple(column.expression if hasattr(column, "expression") else column for column in columns)


def risk_keys(moment: Any) -> tuple[ColumnElement[Any], ...]:
    """What the order by risk sorts by, without lifting, at a moment or a parameter for one."""
    return (
        Case.band_order.expression,
        case((Case.unacknowledged.is_(True), 0), else_=1),
        case((Case.due_at < moment, 0), else_=1),
        Case.score_order.expression,
        Case.due_at.expression,
        *_expressions(_OWN),
    )


def lift_cutoffs(session: Session, moment: datetime) -> dict[str, datetime]:
    """Band to the target from which back a case of it is lifted one place; empty where the policy lifts none.

    A case is lifted once N times its band's target have passed since its clock started.
    """
    times = rules(session).data["queue"]["lift_after_targets"]
    if times is None:
        return {}
    hours = rules(session).target_hours
    return {band: moment - timedelta(hours=(times - 1) * hours[band]) for band in BANDS[1:]}


def _place(at: int, cutoffs: dict[str, datetime]) -> ColumnElement[bool]:
    """Cases that stand in the place of one band: its own that are not lifted, and the next band's that are."""
    own, below = BANDS[at], BANDS[at + 1] if at + 1 < len(BANDS) else None
    stays = Case.due_at > cutoffs[own] if own in cutoffs else None
    here = and_(Case.band_order == at, stays) if stays is not None else Case.band_order == at
    return here if below is None else or_(here, and_(Case.band_order == at + 1, Case.due_at <= cutoffs[below]))


def standing(session: Session, found: Any, name: str, moment: datetime) -> str:
    """Why a case (its row, or what of it the order is made of) stands where it stands, in words."""
    overdue = found.due_at < moment
    # no target of one's own lies before one's own clock: it is that of another case of the group
    whose = "its group's" if found.due_at < found.clock_start else "its"
    late = f"past {whose} target by" if overdue else "target in"
    late += f" {britishtime.duration(moment - found.due_at)}"
    if name == "target":
        return late
    words = [found.band.replace("_", " ")]
    if BANDS[found.band_order] != found.band:
        words[0] += f", with its group in {BANDS[found.band_order].replace('_', ' ')}'s place"
    cutoff = lift_cutoffs(session, moment).get(found.band)
    if cutoff is not None and found.due_at <= cutoff:
        words[0] += f", lifted to {BANDS[found.band_order - 1].replace('_', ' ')}'s place"
    if found.unacknowledged:
        words.append("to be brought to somebody now")
    score = f"score {found.score:g}"
    if -found.score_order != found.score:
        score += f", its group's {-found.score_order:g}"
    return ", ".join([*words, late, score])
