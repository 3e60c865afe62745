"""Files of tables whose rows have gapless numbers (`seq`): the ledger, and what runs leave. The range of its rows and the
digest of its bytes stand in a file's name."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Collection
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.lake.delta import DataFile, Log
from pipeline.lake.parts import MERGED
from pipeline.lake.places import LakePlace

SHORT = 8
"""Rows up to which a file is not compressed: making ready for it takes longer than all else, and it would hardly be smaller."""
LARGE = 4000
"""Rows from which a file is left as it is when newer ones are merged."""
FEW = 4
"""Small files of a table that are left as they are."""


def write(place: LakePlace, folder: str, table: pa.Table, begins: str = "") -> DataFile:
    """Write rows, ordered by `seq`, as a file `<folder>/<begins><first>-<last>.<sha256>.parquet`."""
    buffer = io.BytesIO()
    compression = "none" if table.num_rows <= SHORT else "zstd"
    pq.write_table(
        table, buffer, compression=compression, row_group_size=1000, write_page_checksum=True, store_schema=True
    )
    data = buffer.getbuffer()
    first, last = table["seq"][0].as_py(), table["seq"][-1].as_py()
    name = f"{begins}{first}-{last}.{hashlib.sha256(data).hexdigest()}.parquet"
    place.put(f"{folder}/{name}", data)
    return DataFile(name, table.num_rows, len(data), first, last)


def read(
    fetch: Callable[[str], Any], folder: str, file: DataFile, columns: list[str], runs: Collection[str] | None = None
) -> pa.Table:
    """Some columns of a file; `fetch` gives a file of the lake on this machine, checked. With `runs` only the row groups that
    may have a row of one of these: a run's rows lie together, since they are ordered by time."""
    with pq.ParquetFile(fetch(f"{folder}/{file.name}"), page_checksum_verification=True) as opened:
        if runs is None:
            return opened.read(columns, use_threads=False)
        groups = [n for n in range(opened.num_row_groups) if _holds(opened.metadata.row_group(n), runs)]
        return opened.read_row_groups(groups, columns=columns)


def _holds(group: pq.RowGroupMetaData, runs: Collection[str]) -> bool:
    """Whether a row group may have rows of some runs, by the first and the last of their names in it."""
    for place in range(group.num_columns):
        column = group.column(place)
        if column.path_in_schema == "run_id" and column.statistics is not None and column.statistics.has_min_max:
            least, most = column.statistics.min, column.statistics.max
            return any(least <= run <= most for run in runs)
    return True


def merge(log: Log, fetch: Callable[[str], Any], schema: pa.Schema) -> int:
    """Make one file of a log's small ones; returns how many went. Blocks no reader and no writer. Raises CommitConflictError
    when another writer was first: nothing is changed then."""
    version = log.version()
    small = [f for f in log.files() if f.rows < LARGE]
    if len(small) <= FEW:
        return 0
    table = pa.concat_tables([read(fetch, log.folder, f, schema.names) for f in small]).sort_by("seq")
    merged = write(log.place, log.folder, table, MERGED)
    log.put(schema, [merged], small, after=version, transactions={log.folder: version + 1}, change=False)
    return len(small)
