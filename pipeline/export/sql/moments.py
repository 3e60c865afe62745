"""Moments inside DuckDB: UTC without a zone, because its functions on zoned moments need an extension that is not there."""

from __future__ import annotations

import pyarrow as pa


def plain(table: pa.Table) -> pa.Table:
    """The table with moments as UTC without a zone."""
    return table.cast(plain_schema(table.schema))


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with moments as UTC without a zone."""
    return pa.schema(
        [f.with_type(pa.timestamp("us")) if pa.types.is_timestamp(f.type) else f for f in schema.remove_metadata()]
    )


def zoned(table: pa.Table) -> pa.Table:
    """The way back: moments without a zone are UTC."""
    fields = [f.with_type(pa.timestamp("us", tz="UTC")) if pa.types.is_timestamp(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))
