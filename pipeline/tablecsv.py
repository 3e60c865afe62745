"""CSV of Arrow tables: the bytes that `csvtext.as_csv` gives for their rows, made column by column."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import csvtext

BATCH = 100_000
"""Rows of a table that are made into lines of text at once."""


def table_csv(table: pa.Table) -> bytes:
    """The same bytes as `as_csv` of the table's rows, made column by column: large tables are written every night."""
    pieces = [csvtext.as_csv(table.column_names, ())]
    for start in range(0, table.num_rows, BATCH):
        pieces.append("\r\n".join([*csv_lines(table.slice(start, BATCH)).to_pylist(), ""]).encode())
    return b"".join(pieces)


def csv_lines(table: pa.Table) -> pa.Array:
    """The line of each row as `as_csv` writes it, without its end."""
    cells = [_cells(c.combine_chunks()) for c in table.columns]
    if len(cells) == 1:  # one empty cell alone is written in quotation marks
        return pc.if_else(pc.equal(cells[0], ""), '""', cells[0])
    return pc.binary_join_element_wise(*cells, ",")


def _cells(column: pa.Array) -> pa.Array:
    """The texts of one column as `as_csv` writes them; none is null. A value that comes often is written once."""
    if pa.types.is_nested(column.type) or len(column) < 100:
        return _texts(column)
    coded = column.dictionary_encode()
    if len(coded.dictionary) * 2 > len(column):
        return _texts(column)
    return pc.fill_null(pc.take(_texts(coded.dictionary), coded.indices), "")


def _texts(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_boolean(kind):
        return pc.fill_null(pc.if_else(column, "yes", "no"), "")
    if pa.types.is_integer(kind):
        return pc.fill_null(column.cast(pa.string()), "")
    if pa.types.is_floating(kind):
        return pa.array(["" if value is None else repr(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_timestamp(kind):
        return pc.fill_null(_sheet_times(column), "")
    texts = column if pa.types.is_string(kind) else pa.array([csvtext.cell(v) for v in column.to_pylist()], pa.string())
    texts = pc.fill_null(texts, "")
    if not pc.any(pc.match_substring_regex(texts, r"\A[=+\-@\t\r\x00]|[,\"\r\n]")).as_py():
        return texts
    active = pc.match_substring_regex(texts, r"\A[=+\-@\t\r\x00]")
    texts = pc.if_else(active, pc.binary_join_element_wise("'", texts, ""), texts)
    special = pc.match_substring_regex(texts, r"[,\"\r\n]")
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(texts, '"', '""'), '"', "")
    return pc.if_else(special, quoted, texts)


def _sheet_times(column: pa.Array) -> pa.Array:
    """Moments as `csvtext` writes them."""
    moments = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.timestamp("us"))
    texts = pc.floor_temporal(moments, unit="second").cast(pa.timestamp("s")).cast(pa.string())
    thousandths = pc.millisecond(moments)
    fraction = pc.binary_join_element_wise(".", pc.utf8_lpad(thousandths.cast(pa.string()), 3, "0"), "")
    whole = pc.and_(pc.equal(thousandths, 0), pc.equal(pc.microsecond(moments), 0))
    return pc.if_else(whole, texts, pc.binary_join_element_wise(texts, fraction, ""))
