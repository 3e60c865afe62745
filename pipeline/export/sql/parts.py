"""The files of a lake table as a view of DuckDB, with today's columns whichever version wrote the files."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from pipeline import records, sql
from pipeline.export.sql.moments import plain_schema


def register(
    connection: duckdb.DuckDBPyConnection, table: str, paths: Sequence[str], blank: Collection[str] = ()
) -> None:
    """Make a view named as the table over its verified files. Columns that older files lack read as null; a column that was
    renamed is read under its former name from the files that have it so. `blank` columns (of text) read as null in every row:
    what stands in them is nowhere in the connection."""
    schema = plain_schema(records.arrow_schema(table))
    former = {new: old for new, old in records.former_names(table).items() if new not in blank}
    if not former and not blank:
        connection.register(table, ds.dataset(paths, format="parquet", schema=schema))
        return
    older = pa.schema([pa.field(old, schema.field(new).type) for new, old in former.items()])
    read = pa.schema([field for field in schema if field.name not in blank])
    rows = connection.from_arrow(ds.dataset(paths, format="parquet", schema=pa.unify_schemas([read, older])))
    columns = [
        sql.compose("CAST(NULL AS VARCHAR) AS {name}", name=n)
        if n in blank
        else sql.compose("coalesce({name}, {old}) AS {name}", name=n, old=former[n])
        if n in former
        else n
        for n in schema.names
    ]
    rows.project(str(sql.joined(columns, ", "))).create_view(table)
