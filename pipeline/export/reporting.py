"""The reporting tables: what the dashboard and Power BI read, written each night as Parquet and CSV with a data dictionary.

    HOME/reporting/<table>.parquet, <table>.csv, data-dictionary.csv, manifest.json

Each table is one SQL file in `pipeline/export/reporting/` over lake, run and case tables, and one schema in
`schemas/reporting/` that says what every column means. No names of people, no free text. Cases of a restricted compartment,
their referrals and links to them are not in it at all, since a count that differs tells as much as a row; a second set with them is
for those who have every compartment:

    HOME/reporting-restricted/...
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy.orm import Session

from pipeline import files, output, records, senders
from pipeline.cases.views import case as views
from pipeline.errors import IntegrityError, TriageError
from pipeline.export import listing
from pipeline.export.sql import parts as lake_views
from pipeline.export.sql import sources
from pipeline.export.sql.moments import plain
from pipeline.lake import Lake
from pipeline.settings import ROOT, Settings
from pipeline.store.actors import SYSTEM, Actor

SQL = ROOT / "pipeline" / "export" / "reporting"
SCHEMAS = ROOT / "schemas" / "reporting"


@dataclass(frozen=True)
class Reporting:
    """The reporting tables and the moment they describe."""

    as_of: datetime
    run_id: str
    tables: dict[str, pa.Table]


def tables() -> list[str]:
    """Names of all reporting tables, sorted."""
    return sorted(path.stem for path in SQL.glob("*.sql"))


@cache
def describe(table: str) -> dict[str, Any]:
    """The JSON Schema of a reporting table."""
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{table}.json").read_text())
    return schema


def arrow_schema(table: str) -> pa.Schema:
    """Arrow schema of a reporting table, in the order of its JSON Schema."""
    schema = describe(table)
    kinds = {**_KINDS}
    return pa.schema([pa.field(name, kinds[spec["x-arrow"]]) for name, spec in schema["properties"].items()])


_KINDS = {
    "string": pa.string(),
    "bool": pa.bool_(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def dictionary() -> list[dict[str, Any]]:
    """The data dictionary: one row per column of every reporting table."""
    return [
        {
            "table": table,
            "column": name,
            "type": spec["x-arrow"],
            "always_filled": name in describe(table)["required"],
            "meaning": spec["description"],
            "table_meaning": describe(table)["description"],
        }
        for table in tables()
        for name, spec in describe(table)["properties"].items()
    ]


OPEN = Actor("reporting", "Reporting", SYSTEM.roles, frozenset())
"""As whom the tables are built that everybody may read: somebody without any compartment."""


def build(
    settings: Settings,
    session: Session,
    as_of: datetime,
    run_id: str,
    hours: dict[str, int],
    *,
    reader: Actor = OPEN,
    stored: Mapping[str, pa.Table] | None = None,
) -> Reporting:
    """Compute every reporting table as of a moment, as `reader` may see them. `hours`: critically_overdue_hours and
    due_soon_hours of the policy; `stored` what `stored_tables` gave, where two sets are made of one reading.

    Raises TriageError when a statement does not give the columns of its schema.
    """
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{settings.memory_mb}MiB",
            "threads": settings.thread_count,
            "python_enable_replacements": False,
        },
    )
    try:
        tables_of_store = sources.visible(stored_tables(session) if stored is None else stored, reader)
        _register(connection, settings, session, reader, tables_of_store)
        values = {"as_of": as_of.astimezone(UTC).replace(tzinfo=None), **hours}
        return Reporting(as_of, run_id, {name: _table(connection, name, values) for name in tables()})
    finally:
        connection.close()


def stored_tables(session: Session) -> dict[str, pa.Table]:
    """What the statements read of the case store, restricted cases included."""
    return sources.stored(session, _words())


@cache
def _words() -> frozenset[str]:
    """Every word of the statements: tables and columns that are not among them need not be read."""
    return frozenset(re.findall(r"\w+", " ".join((SQL / f"{name}.sql").read_text() for name in tables())))


def write(settings: Settings, reporting: Reporting, *, restricted: Sequence[bool] = (False,)) -> list[str]:
    """Write the tables as Parquet and CSV, the dictionary, and the manifest last; returns the names written.

    `restricted`: into the folder that everybody may read (False), that with restricted cases (True), or both.
    """
    folders = [reporting_dir(settings, restricted=which) for which in restricted]
    listed = {}
    for name, data in _contents(reporting):
        for folder in folders:
            files.write_bytes(folder / name, data)
        listed[name] = hashlib.sha256(data).hexdigest()
    for folder in folders:
        files.write_json(
            folder / "manifest.json",
            {"as_of": reporting.as_of.isoformat(), "run_id": reporting.run_id, "sha256": listed},
        )
    return sorted(listed)


def _contents(reporting: Reporting) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every file but the manifest."""
    for name, table in reporting.tables.items():
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        yield f"{name}.parquet", sink.getvalue().to_pybytes()
        yield f"{name}.csv", output.render(table, "csv")
    yield "data-dictionary.csv", output.as_csv(list(dictionary()[0]), dictionary())


def load(settings: Settings, compartments: Collection[str] = ()) -> Reporting | None:
    """The reporting tables as last written, or None when there are none yet; with restricted cases for somebody who has
    every compartment.

    Raises IntegrityError when a file is not what the manifest says.
    """
    folder = reporting_dir(settings, restricted=set(senders.COMPARTMENTS) <= set(compartments))
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
    except FileNotFoundError:
        return None
    loaded = {}
    for name in tables():
        path = folder / f"{name}.parquet"
        if not path.is_file() or files.sha256(path) != manifest["sha256"].get(path.name):
            raise IntegrityError(
                f"Reporting table {name} is not what was written.", "Write the tables again: `triage export reporting`."
            )
        loaded[name] = pq.read_table(path, page_checksum_verification=True)
        if loaded[name].column_names != arrow_schema(name).names:
            raise IntegrityError(
                f"Reporting table {name} was written by another version.",
                "Write the tables again: `triage export reporting`.",
            )
    return Reporting(datetime.fromisoformat(manifest["as_of"]), manifest["run_id"], loaded)


def reporting_dir(settings: Settings, *, restricted: bool = False) -> Path:
    """Folder that Power BI is pointed at; the restricted one only for those who have every compartment."""
    return settings.home / ("reporting-restricted" if restricted else "reporting")


def _register(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    session: Session,
    reader: Actor,
    of_store: Mapping[str, pa.Table],
) -> None:
    lake = Lake.of(settings)
    hidden = sorted(views.hidden_referrals(session, reader).union(sources.hidden_referrals(lake, reader)))
    words = _words()
    parts = sources.lake_parts(settings, [n for n in records.tables() if n in words])
    empty = sources.empty_lake_tables(parts)  # before tables that are filtered leave `parts`: those are not empty
    for name in list(parts) if hidden else ():
        connection.register(name, plain(listing.readable(lake, name, hidden, reader.compartments, words)))
        del parts[name]
    for name, paths in parts.items():
        lake_views.register(connection, name, paths)
    for name, table in empty.items():
        connection.register(name, plain(table))
    for name, table in of_store.items():
        connection.register(f"store_{name}", plain(table))
    origins = [{"source": s.code, "origin": s.origin} for s in senders.SOURCES.values()]
    connection.register("source_origins", pa.Table.from_pylist(origins))
    stages, checks = _runs(settings)
    connection.register("run_stages", plain(stages))
    connection.register("run_checks", plain(checks))


def _table(connection: duckdb.DuckDBPyConnection, name: str, values: dict[str, Any]) -> pa.Table:
    sql = (SQL / f"{name}.sql").read_text()
    used = {k: v for k, v in values.items() if f"${k}" in sql}
    table = connection.sql(sql, params=used).to_arrow_table()
    schema = arrow_schema(name)
    if table.column_names != schema.names:
        raise TriageError(f"{name}.sql gives columns {table.column_names}, its schema says {schema.names}.")
    return table.cast(schema)


def _runs(settings: Settings) -> tuple[pa.Table, pa.Table]:
    """Stage reports and reconciliation checks of every run, as two tables."""
    stages: list[dict[str, Any]] = []
    checks: list[dict[str, Any]] = []
    for path in sorted(settings.runs_dir.glob("*/run.json")):
        run = json.loads(path.read_text())
        head = {"run_id": run["run_id"], "as_of": datetime.fromisoformat(run["as_of"])}
        for line, stage in enumerate(_lines(path.parent / "stages.jsonl")):
            stages.append(
                {**head, "line": line, "stage": stage["stage"], "read": stage["read"], "kept": stage["kept"],
                 "rejected": sum(stage["rejected"].values()), "seconds": stage["seconds"],
                 "cpu_seconds": stage["cpu_seconds"]}
            )  # fmt: skip
        report = path.parent / "report.json"
        if report.is_file():
            data = json.loads(report.read_text())
            for line, check in enumerate(data["checks"]):
                checks.append(
                    {**head, "line": line, "check": check["name"], "into": check["into"], "out": check["out"],
                     "holds": check["holds"], "canary_indexes": data["indexes_with_canaries_checked"],
                     "parts_verified": data["parts_verified"]}
                )  # fmt: skip
    return pa.Table.from_pylist(stages, schema=_RUN_STAGES), pa.Table.from_pylist(checks, schema=_RUN_CHECKS)


_RUN_STAGES = pa.schema(
    [("run_id", pa.string()), ("as_of", pa.timestamp("us", tz="UTC")), ("line", pa.int32()), ("stage", pa.string()),
     ("read", pa.int64()), ("kept", pa.int64()), ("rejected", pa.int64()), ("seconds", pa.float64()),
     ("cpu_seconds", pa.float64())]
)  # fmt: skip
_RUN_CHECKS = pa.schema(
    [("run_id", pa.string()), ("as_of", pa.timestamp("us", tz="UTC")), ("line", pa.int32()), ("check", pa.string()),
     ("into", pa.int64()), ("out", pa.int64()), ("holds", pa.bool_()), ("canary_indexes", pa.int64()),
     ("parts_verified", pa.int64())]
)  # fmt: skip


def _lines(path: Path) -> list[dict[str, Any]]:
    """Whole JSON lines of a file; a line cut short by a kill is left out, a missing file is empty."""
    if not path.is_file():
        return []
    return [json.loads(x) for x in path.read_bytes().splitlines(keepends=True) if x.endswith(b"\n")]
