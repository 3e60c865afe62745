"""What statements and reports can read: lake tables, the release's database, and views of the case store.

Rows of a restricted compartment do not exist for an actor without it: neither cases, nor the lake rows of their
referrals (as in `pipeline/people/permissions.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, Text, select, type_coerce
from sqlalchemy.orm import InstrumentedAttribute, Session

from pipeline import records
from pipeline.lake import Lake
from pipeline.settings import Settings
from pipeline.store.actors import Actor
from pipeline.store.tables import Case, Decision, InformationRequest, Link, Lowering, Review
from pipeline.store.types import Moment
from pipeline.store.work_tables import Safeguarded

HIDING = ("referral_id", "left", "right")
"""Lake columns that name a referral: rows that name a hidden one are left out."""

_CASE_COLUMNS: tuple[InstrumentedAttribute[Any], ...] = (
    Case.case_id, Case.referral_id, Case.source, Case.provider, Case.force_code, Case.compartment, Case.state,
    Case.is_open, Case.outcome, Case.band, Case.model_band, Case.score, Case.clock_start, Case.due_at, Case.oldest_at,
    Case.flagged, Case.text_only, Case.unknown_files, Case.matched_exact, Case.matched_near, Case.opened_at,
    Case.first_action_at, Case.closed_at, Case.lowering_pending, Case.second_look, Case.kirat_level,
)  # fmt: skip

VIEWS: dict[str, tuple[InstrumentedAttribute[Any], ...]] = {
    "cases": _CASE_COLUMNS,
    "case_links": (Link.link_id, Link.left_referral, Link.right_referral, Link.kind, Link.strength, Link.compartment,
                   Link.explanation, Link.run_id, Link.found_at),
    "case_decisions": (Decision.decision_id, Decision.case_id, Decision.at, Decision.kind, Decision.reason_code,
                       Decision.outcome, Decision.state_before, Decision.state_after, Decision.band_before,
                       Decision.band_after),
    "case_lowerings": (Lowering.lowering_id, Lowering.case_id, Lowering.from_band, Lowering.to_band,
                       Lowering.proposed_at, Lowering.reason_code, Lowering.status),
    "case_reviews": (Review.review_id, Review.case_id, Review.rank, Review.due_at, Review.done_at,
                     Review.reason_code),
    "case_safeguarded": (Safeguarded.safeguarded_id, Safeguarded.case_id, Safeguarded.children, Safeguarded.at),
    "case_requests": (InformationRequest.request_id, InformationRequest.case_id, InformationRequest.asked_at,
                      InformationRequest.asked_of, InformationRequest.reason_code, InformationRequest.answered_at),
}  # fmt: skip
"""Views of the case store: no names of people, no free text."""

MEANINGS = {
    "cases": "One row per case: state, band, score, target and what was found.",
    "case_links": "Links between referrals, or with a list of the force, and why.",
    "case_decisions": "Decisions on cases with reason codes, states and bands before and after.",
    "case_lowerings": "Proposals to lower a band and what became of them.",
    "case_reviews": "Supervisor reviews, due and done.",
    "case_safeguarded": "Children safeguarded, as people entered them; the newest entry of a case counts.",
    "case_requests": "Requests for information, with when they were answered.",
}
"""What each view holds, for the list of `triage query`."""


def case_tables(session: Session, actor: Actor) -> dict[str, pa.Table]:
    """Every view of the case store as an Arrow table, without what the actor may not know of."""
    return visible(stored(session), actor)


def stored(session: Session) -> dict[str, pa.Table]:
    """Every view of the case store as an Arrow table, for nobody to see before `visible`."""
    return {name: _view(session, columns) for name, columns in VIEWS.items()}


def of_some(session: Session, name: str, ids: Collection[str] | None, words: Collection[str]) -> pa.Table:
    """Rows of one view that belong to some cases (of `case_links`: the links with these ids), None for all rows; only the
    columns that `words` name. For nobody to see before it is decided who may."""
    columns = [c for c in VIEWS[name] if c.key in words or c.key in _DECIDING]
    if ids is None:
        return _view(session, columns)
    key = Link.link_id if name == "case_links" else next(c for c in columns if c.key == "case_id")
    listed = sorted(ids)
    parts = [_view(session, columns, key.in_(listed[n : n + _CHUNK])) for n in range(0, len(listed), _CHUNK)]
    return pa.concat_tables(parts) if parts else pa.schema([pa.field(c.key, _arrow(c)) for c in columns]).empty_table()


_CHUNK = 500
"""Ids in one IN list."""
_DECIDING = ("case_id", "compartment")
"""Columns by which it is decided who may see a row."""


def visible(tables: Mapping[str, pa.Table], actor: Actor) -> dict[str, pa.Table]:
    """The views without what the actor may not know of: rows of another compartment, and of cases in one."""
    own = pa.array(sorted(actor.compartments), pa.string())

    def allowed(table: pa.Table) -> pa.ChunkedArray:
        return pc.or_(pc.is_null(table["compartment"]), pc.is_in(table["compartment"], value_set=own))

    cases = tables["cases"]
    hidden = cases["case_id"].filter(pc.invert(allowed(cases))).combine_chunks()
    found = dict(tables)
    for name in tables:
        if "compartment" in found[name].column_names:
            found[name] = found[name].filter(allowed(found[name]))
        if "case_id" in found[name].column_names and len(hidden):
            found[name] = found[name].filter(pc.invert(pc.is_in(found[name]["case_id"], value_set=hidden)))
    return found


def hidden_referrals(lake: Lake, actor: Actor) -> list[str]:
    """Referrals of compartments that the actor does not have, sorted."""
    table = lake.read("referrals", ["referral_id", "compartment"])
    rows = table.filter(pc.is_valid(table["compartment"])).to_pylist()  # few are restricted, of however many
    return sorted({r["referral_id"] for r in rows if r["compartment"] and r["compartment"] not in actor.compartments})


def lake_parts(settings: Settings, tables: Iterable[str] | None = None) -> dict[str, list[str]]:
    """Verified Parquet parts of every lake table that has rows, or of some of them: record name -> paths."""
    lake = Lake.of(settings)
    found = {table: lake.paths(table) for table in (records.tables() if tables is None else tables)}
    return {table: paths for table, paths in found.items() if paths}


def empty_lake_tables(parts: dict[str, list[str]]) -> dict[str, pa.Table]:
    """Lake tables without rows yet, so that a statement finds them empty rather than missing."""
    return {table: records.empty(table) for table in records.tables() if table not in parts}


def _view(session: Session, columns: Sequence[InstrumentedAttribute[Any]], *where: ColumnElement[bool]) -> pa.Table:
    rows: Sequence[Any] = session.execute(select(*(_read(session, c) for c in columns)).where(*where)).all()
    schema = pa.schema([pa.field(c.key, _arrow(c)) for c in columns])
    values: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    return pa.Table.from_arrays([_array(v, f.type) for v, f in zip(values, schema, strict=True)], schema=schema)


def _read(session: Session, column: InstrumentedAttribute[Any]) -> Any:
    """A column as it is asked for: SQLite keeps moments as text, which Arrow reads faster than a value at a time."""
    if session.get_bind().dialect.name == "sqlite" and isinstance(column.property.columns[0].type, Moment):
        return type_coerce(column, Text).label(column.key)
    return column


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind) and any(isinstance(value, str) for value in values):
        return pa.array(values, pa.string()).cast(pa.timestamp("us")).cast(kind)
    return pa.array(values, type=kind)


def _arrow(column: InstrumentedAttribute[Any]) -> pa.DataType:
    kind = column.property.columns[0].type
    if isinstance(kind, Moment):
        return pa.timestamp("us", tz="UTC")
    python = kind.python_type
    return {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}[python]
