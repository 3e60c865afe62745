"""Files of tables whose rows have gapless numbers (`seq`): the ledger, and what runs leave. The range of its rows and the
digest of its bytes stand in a file's name."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.lake.delta import DataFile
from pipeline.lake.places import LakePlace


def write(place: LakePlace, folder: str, table: pa.Table, begins: str = "") -> DataFile:
    """Write rows, ordered by `seq`, as a file `<folder>/<begins><first>-<last>.<sha256>.parquet`."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", row_group_size=1000, write_page_checksum=True, store_schema=True)
    data = buffer.getbuffer()
    first, last = table["seq"][0].as_py(), table["seq"][-1].as_py()
    name = f"{begins}{first}-{last}.{hashlib.sha256(data).hexdigest()}.parquet"
    place.put(f"{folder}/{name}", data)
    return DataFile(name, table.num_rows, len(data), first, last)


def read(fetch: Callable[[str], Any], folder: str, file: DataFile, columns: list[str]) -> pa.Table:
    """Some columns of a file; `fetch` gives a file of the lake on this machine, checked."""
    return pq.read_table(
        fetch(f"{folder}/{file.name}"), columns=columns, page_checksum_verification=True, partitioning=None
    )
