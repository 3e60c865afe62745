"""The rows of the reporting tables, computed from lake, runs and case store: all of them, or those of what has changed.

Every row has an owner, the case, referral, link, package or run that it says something about, and is hidden where it is for people
with every compartment only. The rows of an owner depend on what is read here of that owner and on nothing else, so that computing
the rows of some owners gives those that computing everything gives for them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.orm import Session

from pipeline import records, senders
from pipeline.errors import TriageError
from pipeline.export import reporting
from pipeline.export.sql import sources
from pipeline.export.sql.moments import plain
from pipeline.lake import Lake
from pipeline.settings import Settings

Ids = frozenset[str] | None
"""Owners; None for all there are."""
OWN = ("owner", "hidden")
"""Columns that every row has beside those of its table."""
KEPT = ("matched",)
"""What is kept and not shown: the pairs of file and match that report_matches counts."""
BY = {
    "report_cases": "cases", "report_returned": "cases", "report_reviews": "cases", "report_stage_times": "cases",
    "report_files": "referrals", "matched": "referrals", "report_links": "links", "report_packages": "packages",
    "report_runs": "runs", "report_checks": "runs", "report_moment": "",
}  # fmt: skip
"""What the owners of a table's rows are; none of the one row that is always new. report_matches is counted anew."""


@dataclass(frozen=True)
class Concerned:
    """The owners whose rows are to be computed, each kind by its ids."""

    cases: Ids = None
    referrals: Ids = None
    links: Ids = None
    packages: Ids = None
    runs: Ids = None

    @property
    def everything(self) -> bool:
        return all(getattr(self, f.name) is None for f in fields(self))


@dataclass(frozen=True)
class World:
    """What is read. `secret` are referrals that only people with every compartment may know of, `erased` those that
    nobody reads; `hours` are critically_overdue_hours and due_soon_hours of the policy."""

    settings: Settings
    session: Session
    lake: Lake
    as_of: datetime
    hours: Mapping[str, int]
    secret: frozenset[str]
    erased: frozenset[str]
    runs: tuple[pa.Table, pa.Table]
    """Stage reports and checks of the runs concerned."""


@cache
def words() -> frozenset[str]:
    """Every word of the statements: tables and columns that are not among them need not be read."""
    return frozenset(re.findall(r"\w+", " ".join(p.read_text() for p in sorted(reporting.SQL.rglob("*.sql")))))


def compute(world: World, concerned: Concerned) -> dict[str, pa.Table]:
    """Rows of every table but report_matches for the owners concerned.

    Raises TriageError when a statement does not give the columns of its schema.
    """
    connection = connect(world.settings)
    try:
        _register(connection, world, concerned)
        values = {"as_of": world.as_of.astimezone(UTC).replace(tzinfo=None), **world.hours}
        found = {name: statement(connection, name, values) for name in sorted(BY.keys() - set(KEPT))}
        found |= {name: statement(connection, f"kept/{name}", values) for name in KEPT}
    finally:
        connection.close()
    return found


def counted(settings: Settings, matched: pa.Table) -> pa.Table:
    """The rows of report_matches: some for everybody, counted over what is not hidden, and some over all, hidden."""
    connection = connect(settings)
    try:
        found = []
        for hidden, rows in ((False, matched.filter(pc.invert(matched["hidden"]))), (True, matched)):
            connection.register("matched", rows)
            table = (
                connection.sql(_text("report_matches")).to_arrow_table().cast(reporting.arrow_schema("report_matches"))
            )
            for place, (name, column) in enumerate((("owner", pa.nulls(table.num_rows, pa.string()).fill_null("")),
                                                    ("hidden", pa.array([hidden] * table.num_rows, pa.bool_())))):  # fmt: skip
                table = table.add_column(place, name, column)
            found.append(table)
        return pa.concat_tables(found)
    finally:
        connection.close()


def connect(settings: Settings) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB within the limits of the settings."""
    return duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{settings.memory_mb}MiB",
            "temp_directory": str(settings.spill_dir),
            "threads": settings.thread_count,
            "python_enable_replacements": False,
        },
    )


def statement(connection: duckdb.DuckDBPyConnection, name: str, values: Mapping[str, Any]) -> pa.Table:
    """Rows of one SQL file with their owners, in the columns of its schema."""
    sql = _text(name)
    table = connection.sql(sql, params={k: v for k, v in values.items() if f"${k}" in sql}).to_arrow_table()
    if name.startswith("kept/"):
        return table
    schema = pa.schema([("owner", pa.string()), ("hidden", pa.bool_()), *reporting.arrow_schema(name)])
    if table.column_names != schema.names:
        raise TriageError(f"{name}.sql gives columns {table.column_names}, its schema says {schema.names}.")
    return table.cast(schema)


@cache
def _text(name: str) -> str:
    return (reporting.SQL / f"{name}.sql").read_text()


def _register(connection: duckdb.DuckDBPyConnection, world: World, concerned: Concerned) -> None:
    found = {
        f"store_{name}": sources.of_some(world.session, name, ids, words())
        for name, ids in (
            ("cases", concerned.cases),
            ("case_safeguarded", concerned.cases),
            ("case_reviews", concerned.cases),
            ("case_requests", concerned.cases),
            ("case_links", concerned.links),
        )
    }
    found |= _of_lake(world, concerned, found["store_case_links"], found["store_cases"])
    found["run_stages"], found["run_checks"] = world.runs
    found["hidden_referrals"] = pa.table({"referral_id": pa.array(sorted(world.secret), pa.string())})
    found["source_origins"] = pa.table(
        {"source": [s.code for s in senders.SOURCES.values()], "origin": [s.origin for s in senders.SOURCES.values()]}
    )
    for name, table in found.items():
        connection.register(name, plain(table))


def _of_lake(world: World, concerned: Concerned, links: pa.Table, cases: pa.Table) -> dict[str, pa.Table]:
    """Rows of the lake that the statements read for the owners concerned; nothing of erased referrals."""
    media = _rows(world, "media_files", "referral_id", concerned.referrals)
    prints = _rows(world, "fingerprints", "sha256", None if concerned.referrals is None else _values(media["sha256"]))
    named = links.column("left_referral").to_pylist() + links.column("right_referral").to_pylist()
    wanted = (
        None
        if concerned.everything
        else (concerned.referrals or frozenset()).union(named, cases["referral_id"].to_pylist())
    )
    return {
        "media_files": media,
        "fingerprints": prints,
        "matches": _matches(world, concerned, media),
        "referrals": _rows(world, "referrals", "referral_id", wanted),
        "packages": _rows(world, "packages", "package_id", concerned.packages),
    }


def _matches(world: World, concerned: Concerned, media: pa.Table) -> pa.Table:
    """A match names a file, or else a content."""
    if concerned.referrals is None:
        return _rows(world, "matches", "sha256", None)
    of_files = _rows(world, "matches", "file_id", _values(media["file_id"]))
    of_contents = _rows(world, "matches", "sha256", _values(media["sha256"]))
    return pa.concat_tables([of_files, of_contents.filter(pc.is_null(of_contents["file_id"]))])


def _values(column: pa.ChunkedArray) -> set[Any]:
    return set(column.drop_null().to_pylist())


def _rows(world: World, table: str, key: str, ids: Collection[Any] | None) -> pa.Table:
    """The columns of a lake table that the statements name, of the rows in which `key` has one of the ids (None: of all)."""
    columns = [c for c in records.arrow_schema(table).names if c in words() or c == key]
    if ids is None:
        rows = world.lake.read(table, columns)
    elif not ids:
        return world.lake.read(table, columns, parts=[])
    else:
        kind = records.arrow_schema(table).field(key).type
        rows = world.lake.read(table, columns, where=(key, pa.array(sorted(ids), kind)))
    if world.erased and "referral_id" in columns:
        gone = pc.is_in(rows["referral_id"], value_set=pa.array(sorted(world.erased), pa.string()))
        rows = rows.filter(pc.invert(gone))
    return rows
