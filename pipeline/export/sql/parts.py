"""The files of a lake table as a view of DuckDB, with today's columns whichever version wrote the files."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from pipeline import records, sql
from pipeline.export.sql.moments import plain_schema


def register(connection: duckdb.DuckDBPyConnection, table: str, paths: Sequence[str]) -> None:
    """Make a view named as the table over its verified files. Columns that older files lack read as null; a column that was
    renamed is read under its former name from the files that have it so."""
    schema = plain_schema(records.arrow_schema(table))
    former = records.former_names(table)
    if not former:
        connection.register(table, ds.dataset(paths, format="parquet", schema=schema))
        return
    older = pa.schema([pa.field(old, schema.field(new).type) for new, old in former.items()])
    rows = connection.from_arrow(ds.dataset(paths, format="parquet", schema=pa.unify_schemas([schema, older])))
    columns = [
        sql.compose("coalesce({name}, {old}) AS {name}", name=n, old=former[n]) if n in former else n
        for n in schema.names
    ]
    rows.project(str(sql.joined(columns, ", "))).create_view(table)
