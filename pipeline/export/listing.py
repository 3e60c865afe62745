"""Rows of the lake for lists and exports, without what the person may not know of."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import jsontext, records, senders
from pipeline.assess.evidence.case_file import group
from pipeline.cases.views import case as views
from pipeline.errors import UsageError
from pipeline.export.sql.sources import HIDING
from pipeline.lake import Lake
from pipeline.matching import levels
from pipeline.settings import Settings


def table(settings: Settings, name: str, hidden: Sequence[str], compartments: Collection[str]) -> pa.Table:
    """One lake table. Raises UsageError for a name that is none."""
    if name not in records.tables():
        raise UsageError(f"There is no table {name!r}.", f"Tables: {', '.join(records.tables())}.")
    return readable(Lake.of(settings), name, hidden, compartments)


def readable(
    lake: Lake,
    name: str,
    hidden: Sequence[str],
    compartments: Collection[str],
    columns: Collection[str] | None = None,
) -> pa.Table:
    """One lake table as somebody with these compartments may see it; of `columns` those that it has.

    Without the rows of `hidden` referrals, and of contents that only these hold; assessments name no link to them, nor
    their inputs; the path of a file whose sender has a covert source is left out, since it is as the sender wrote it.
    """
    rows = _readable(lake, name, hidden, compartments, columns)
    return rows if columns is None else rows.select([c for c in rows.column_names if c in columns])


DECIDING = {*HIDING, "compartment", "sha256", "file_id", "locator"}
"""Columns by which it is decided who may see a row, or what of it."""


def _readable(
    lake: Lake, name: str, hidden: Sequence[str], compartments: Collection[str], columns: Collection[str] | None
) -> pa.Table:
    every = records.arrow_schema(name).names
    if columns is not None and name != "assessments":
        every = [c for c in every if c in columns or c in DECIDING]
    rows = without(lake.read(name, every), hidden, compartments)
    if name == "media_files":
        return _without_paths(rows, lake, compartments)
    if name == "assessments":
        rows = _without_inputs(rows, compartments)
        return _redacted(rows, lake.read("links", ["link_id", "left", "right"]), hidden) if hidden else rows
    if hidden and "referral_id" not in rows.column_names and {"sha256", "file_id"} & set(rows.column_names):
        files = lake.read("media_files", ["file_id", "referral_id", "sha256"])
        shown = without(files, hidden)
        for column in {"sha256", "file_id"} & set(rows.column_names):
            secret = files[column].filter(pc.invert(pc.is_in(files[column], value_set=_column(shown, column))))
            rows = rows.filter(pc.invert(pc.is_in(rows[column], value_set=secret.drop_null().combine_chunks())))
    return rows


def _without_paths(files: pa.Table, lake: Lake, compartments: Collection[str]) -> pa.Table:
    reports = lake.read("originals", ["referral_id", "compartment"])
    open_ = pc.is_in(reports["compartment"], value_set=pa.array([None, *sorted(compartments)], pa.string()))
    covert = pc.is_in(files["referral_id"], value_set=reports["referral_id"].filter(pc.invert(open_)).combine_chunks())
    paths = pc.if_else(covert, pa.scalar(None, pa.string()), files["locator"])
    place = files.column_names.index("locator")
    return files.set_column(place, pa.field("locator", pa.string()), paths)


def _without_inputs(rows: pa.Table, compartments: Collection[str]) -> pa.Table:
    """Assessments without the case files that they were made from, for who lacks a compartment: these count and name links to
    restricted cases. Empty in every row, hidden links or not, so that an empty one says nothing."""
    if set(senders.COMPARTMENTS) <= set(compartments):
        return rows
    place = rows.column_names.index("inputs")
    return rows.set_column(place, rows.schema.field("inputs"), pa.nulls(rows.num_rows, pa.string()))


def _redacted(rows: pa.Table, links: pa.Table, hidden: Sequence[str]) -> pa.Table:
    """Assessments without evidence that names a link to what is hidden, and without the counts that include it."""
    secret = links.filter(pc.invert(pc.is_in(links["link_id"], value_set=_column(without(links, hidden), "link_id"))))
    sides = pa.array({*secret["left"].to_pylist(), *secret["right"].to_pylist()}.difference(hidden), pa.string())
    of_case = rows["referrals"].combine_chunks()
    linked = pc.is_in(pc.list_flatten(of_case), value_set=sides)
    touched = pc.unique(pc.list_parent_indices(of_case).filter(linked))
    mask = pc.is_in(pa.array(range(rows.num_rows), touched.type), value_set=touched)
    found = rows.filter(mask).to_pylist()
    names = {*secret["link_id"].to_pylist(), *hidden}
    for row in found:
        for name in ("reasons", "flags", "notifications"):
            items = orjson.loads(row[name] or b"[]")
            row[name] = jsontext.canonical_json(views.shown(items, names))
        counts = orjson.loads(row["summary"] or b"{}")
        kept = {k: v for k, v in counts.items() if not k.startswith("links") and k != "top_reasons"}
        row["summary"], row["changes"] = jsontext.canonical_json(kept), jsontext.canonical_json({})
    return pa.concat_tables([rows.filter(pc.invert(mask)), pa.Table.from_pylist(found, schema=rows.schema)])


def _column(rows: pa.Table, name: str) -> pa.Array:
    return rows[name].combine_chunks()


def without(rows: pa.Table, hidden: Sequence[str], compartments: Collection[str] | None = None) -> pa.Table:
    """The rows that name none of the hidden referrals and, when `compartments` is given, lie in no other compartment.

    Notes about a covert source, and the original report that names it, are restricted row by row: the rest of their
    referral is open to everybody.
    """
    if compartments is not None and "compartment" in rows.column_names:
        allowed = pc.is_in(rows["compartment"], value_set=pa.array(sorted(compartments), pa.string()))
        rows = rows.filter(pc.or_(pc.is_null(rows["compartment"]), allowed))
    for column in HIDING:
        if hidden and column in rows.column_names:
            named = pc.is_in(rows[column], value_set=pa.array(list(hidden), pa.string()))
            rows = rows.filter(pc.invert(named))
    return rows


def cases_of(lake: Lake) -> dict[str, str]:
    """Referral to the case it belongs to."""
    rows = lake.read("referrals", ["referral_id", "supplements"]).to_pylist()
    return group({row["referral_id"]: row["supplements"] for row in rows})


def matches(
    settings: Settings,
    hidden: Sequence[str],
    *,
    number: str | None = None,
    kinds: Collection[str] = (),
    grades: Collection[str] = (),
    release: int | None = None,
    limit: int = 1000,
) -> pa.Table:
    """One row per case, media file and known media item: by level, grade and distance; `cases`: in how many the known item is.

    Raises UsageError for a case of which nothing is known.
    """
    lake = Lake.of(settings)
    cases = cases_of(lake)
    if number is not None and not any(c == number and r not in set(hidden) for r, c in cases.items()):
        raise UsageError(f"There is no case {number!r}.", "`triage queue list` shows the cases you may see.")
    found = lake.read("matches")
    for column, wanted in (("kind", kinds), ("grade", grades)):
        if wanted:
            found = found.filter(pc.is_in(found[column], value_set=pa.array(sorted(wanted), pa.string())))
    if release is not None:
        found = found.filter(pc.equal(found["release"], release))
    files = without(lake.read("media_files", ["file_id", "referral_id", "sha256"]), hidden)
    owners: dict[object, list[dict[str, object]]] = {}
    for file in files.to_pylist():
        owner = {"case_id": cases.get(file["referral_id"]), "media_file": file["file_id"]}
        owners.setdefault(file["sha256"] or file["file_id"], []).append(owner)
    rows = [
        {**owner, **match}
        for match in found.to_pylist()
        for owner in owners.get(match["file_id"] or match["sha256"], [])
    ]
    held: dict[int, set[object]] = {}
    for row in rows:
        held.setdefault(row["media_key"], set()).add(row["case_id"])
    rows = [{"cases": len(held[row["media_key"]]), **row} for row in rows if number in {None, row["case_id"]}]
    rows.sort(key=lambda r: (levels.place(r), r["distance"], str(r["case_id"]), str(r["media_file"]), r["match_id"]))
    own = [pa.field("case_id", pa.string()), pa.field("media_file", pa.string()), pa.field("cases", pa.int64())]
    schema = pa.schema([*own, *records.arrow_schema("matches")])
    return pa.Table.from_pylist(rows[:limit], schema=schema)
