"""The reporting tables: what the dashboard and Power BI read, with a data dictionary. The night keeps them up to date.

    HOME/reporting/<table>/            a Delta table, read by Power BI, Fabric, Spark, DuckDB and polars as it is
    HOME/reporting/<table>.csv         the same rows; only on demand where there are more than `reporting_csv_rows` (policy/lake.yaml)
    HOME/reporting/data-dictionary.csv, manifest.json

Each table is one SQL file in `pipeline/export/reporting/` over lake, run and case tables, and one schema in
`schemas/reporting/` that says what every column means. No names of people, no free text. Cases of a restricted compartment,
their referrals and links to them are not in it at all, since a count that differs tells as much as a row; a second set with them is
for those who have every compartment:

    HOME/reporting-restricted/...

`manifest.json` names the files of all tables that belong together, each with its SHA-256 in its name, and the file of CSV, or null.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import files, senders
from pipeline.errors import IntegrityError
from pipeline.lake.places import digest_of
from pipeline.settings import ROOT, Settings
from pipeline.store.actors import SYSTEM, Actor

SQL = ROOT / "pipeline" / "export" / "reporting"
SCHEMAS = ROOT / "schemas" / "reporting"
MANIFEST = "manifest.json"
DICTIONARY = "data-dictionary.csv"
OPEN = Actor("reporting", "Reporting", SYSTEM.roles, frozenset())
"""For whom the tables are that everybody may read: somebody without any compartment."""


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
    return pa.schema([pa.field(name, _KINDS[spec["x-arrow"]]) for name, spec in describe(table)["properties"].items()])


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


@dataclass(frozen=True)
class ReportingFiles:
    """The files of every reporting table, each checked, and the moment that they describe."""

    as_of: datetime
    run_id: str
    files: dict[str, list[Path]]


def load(settings: Settings, compartments: Collection[str] = ()) -> Reporting | None:
    """The reporting tables as last written, or None when there are none yet; with restricted cases for somebody who has
    every compartment.

    Raises IntegrityError when a file is not what the manifest says.
    """
    found = checked(settings, compartments)
    if found is None:
        return None
    return Reporting(found.as_of, found.run_id, {name: _table(name, parts) for name, parts in found.files.items()})


def checked(settings: Settings, compartments: Collection[str] = ()) -> ReportingFiles | None:
    """The same without reading them: for who asks a few figures of tables that may be large."""
    folder = reporting_dir(settings, restricted=set(senders.COMPARTMENTS) <= set(compartments))
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        return None
    listed = manifest.get("tables")
    if not isinstance(listed, dict) or sorted(listed) != tables():
        raise _of_another_version("The reporting tables were")
    parts = {name: [folder / name / part for part in listed[name]["parts"]] for name in tables()}
    for name, path in ((name, path) for name, paths in parts.items() for path in paths):
        if not sound(path):
            raise IntegrityError(
                f"Reporting table {name} is not what was written.", "Write the tables again: `triage export reporting`."
            )
        if pq.read_schema(path) != arrow_schema(name):
            raise _of_another_version(f"Reporting table {name} was")
    return ReportingFiles(datetime.fromisoformat(manifest["as_of"]), manifest["run_id"], parts)


def _table(name: str, parts: list[Path]) -> pa.Table:
    pieces = [pq.ParquetFile(path, page_checksum_verification=True).read() for path in parts]
    return pa.concat_tables([arrow_schema(name).empty_table(), *pieces])


def sound(path: Path) -> bool:
    """Whether a file has the SHA-256 of its bytes in its name; no file has not."""
    try:
        return files.sha256(path) == digest_of(path.name)
    except FileNotFoundError:
        return False


def read_part(path: Path) -> pa.Table | None:
    """The rows of a file that has the SHA-256 of its bytes in its name; None when it is gone or has other bytes."""
    return pq.ParquetFile(path, page_checksum_verification=True).read() if sound(path) else None


def _of_another_version(what: str) -> IntegrityError:
    return IntegrityError(f"{what} written by another version.", "Write the tables again: `triage export reporting`.")


def reporting_dir(settings: Settings, *, restricted: bool = False) -> Path:
    """Folder that Power BI is pointed at; the restricted one only for those who have every compartment."""
    return settings.home / ("reporting-restricted" if restricted else "reporting")
