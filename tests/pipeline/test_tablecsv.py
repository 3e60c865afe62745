"""CSV made column by column against CSV made row by row, on cells that are easy to get wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from pipeline import csvtext, tablecsv

START = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)
COLUMNS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "text": (pa.string(), ["plain", "", None, "a,b", 'say "x"', "two\r\nlines", "=1+1", '-2,"x"', "\tx", "\0x", "'", "ä"]),
    "yes": (pa.bool_(), [True, False, None]),
    "whole": (pa.int64(), [0, -5, 2**62, None]),
    "part": (pa.float64(), [0.1, -1.0, 1e-7, 1e22, 1 / 3, None]),
    "at": (
        pa.timestamp("us", tz="UTC"),
        [START, None, START + timedelta(microseconds=1), START + timedelta(milliseconds=70), datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)],
    ),
    "raw": (pa.binary(), [b"\x00\xff", None]),
    "several": (pa.list_(pa.string()), [["a", "b,c"], [], None]),
    "=active": (pa.string(), ["@x", "-"]),
}  # fmt: skip


@pytest.mark.parametrize("batch", [1, 5, 1000])
def test_columns_give_the_bytes_that_rows_give(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tablecsv, "BATCH", batch)
    rows = 12
    arrays = [pa.array([values[n % len(values)] for n in range(rows)], kind) for kind, values in COLUMNS.values()]
    table = pa.Table.from_arrays(arrays, names=list(COLUMNS))
    for chosen in (table, table.slice(3, 0), table.select(["text"]), table.select(["at", "text"]).slice(2)):
        assert tablecsv.table_csv(chosen) == csvtext.as_csv(chosen.column_names, chosen.to_pylist())
