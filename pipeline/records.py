"""Record types of the lake: one JSON Schema a table in schemas/records/, from which Arrow schemas, checks and documentation come.

Every property has `title`, `description` and `x-arrow` (the column's Arrow type); `x-personal: true` marks
personal data, which must not reach logs, task names or XCom; `x-json: true` marks a column that holds JSON text;
`x-formerly` is the name that the column has in parts written by earlier versions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import pyarrow as pa

from pipeline.errors import TriageError
from pipeline.jsontext import json_text
from pipeline.settings import ROOT

FOLDER = ROOT / "schemas" / "records"

_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "bool": pa.bool_(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "hash8": pa.binary(8),
    "hash16": pa.binary(16),
    "hash20": pa.binary(20),
    "hash32": pa.binary(32),
    "hash144": pa.binary(144),
    "strings": pa.list_(pa.string()),
    "binary": pa.binary(),
}


def tables() -> list[str]:
    """Names of all record types, sorted."""
    return sorted(p.stem for p in FOLDER.glob("*.json"))


@cache
def describe(table: str) -> dict[str, Any]:
    """The JSON Schema of a record type. Raises TriageError for a name that has none."""
    path = FOLDER / f"{table}.json"
    if not path.is_file():
        raise TriageError(f"There is no record type {table!r}.", f"Known: {', '.join(tables())}.")
    schema: dict[str, Any] = json.loads(path.read_text())
    return schema


@cache
def arrow_schema(table: str) -> pa.Schema:
    """Arrow schema of a record type; a column is nullable unless the JSON Schema requires it."""
    schema = describe(table)
    required = set(schema.get("required", []))
    return pa.schema(
        [
            pa.field(name, _TYPES[spec["x-arrow"]], nullable=name not in required)
            for name, spec in schema["properties"].items()
        ]
    )


def build(table: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows (dicts; a missing key is null, an unknown one an error) to an Arrow table of the record's schema.

    Columns marked `x-json` take Python values and are stored as canonical JSON text (sorted keys).
    Raises TriageError when a required column is null or a key is unknown.
    """
    schema = arrow_schema(table)
    required, as_json, plain = _plan(table)
    listed = list(rows)
    extra = set().union(*listed).difference(schema.names)
    if extra:
        raise TriageError(f"Record type {table} has no column {', '.join(sorted(extra))}.")
    # one struct array of all rows is made several times as fast as one list per column; keys that it lacks are left out
    columns: dict[str, pa.Array] = dict(zip(plain.names, pa.array(listed, plain).flatten(), strict=True))
    for name in as_json:
        texts = [None if (value := row.get(name)) is None else json_text(value) for row in listed]
        columns[name] = pa.array(texts, pa.string())
    for name in required:
        if columns[name].null_count:
            raise TriageError(f"Record type {table} needs a value in {name}.")
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


@cache
def _plan(table: str) -> tuple[list[str], list[str], pa.StructType]:
    """Required columns, those stored as JSON text, and the others as one struct in which each may be null."""
    properties = describe(table)["properties"]
    as_json = [name for name, spec in properties.items() if spec.get("x-json")]
    plain = pa.struct([field.with_nullable(True) for field in arrow_schema(table) if field.name not in as_json])
    return describe(table).get("required", []), as_json, plain


def empty(table: str) -> pa.Table:
    """A table of the record type with no rows."""
    return arrow_schema(table).empty_table()


@cache
def former_names(table: str) -> dict[str, str]:
    """Columns that were renamed: today's name to the name that older parts have it under."""
    return {name: spec["x-formerly"] for name, spec in describe(table)["properties"].items() if "x-formerly" in spec}


def personal_columns(table: str) -> set[str]:
    """Columns marked as personal data."""
    return {name for name, spec in describe(table)["properties"].items() if spec.get("x-personal")}
