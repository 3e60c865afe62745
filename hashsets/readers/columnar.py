"""Lists that come as Parquet, as `triage export parquet` writes tables of the lake: values as text, batch by batch.

pyarrow reads them: the lake's own format needs it anyway. Only a source with a declared column mapping is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from hashsets.readers.base import Source, damaged

MAGIC = b"PAR1"
_LARGEST_TEXT = 1 << 16
"""Characters of one value that are kept as text; longer ones are no part of a list of hashes."""


def rows(source: Source, file: BinaryIO, batch: int) -> Iterator[tuple[int, list[str]]]:
    """The names of the columns as row 0, then each row from 1 as text: bytes in hexadecimal, nothing as an empty text.

    Raises InputError with the row for a damaged file.
    """
    number = 0
    try:
        with pq.ParquetFile(file) as parquet:
            names = list(parquet.schema_arrow.names)
            yield 0, names
            for part in parquet.iter_batches(batch_size=batch):
                columns = [[_text(value) for value in column.to_pylist()] for column in part.columns]
                source.done = file.tell()
                for fields in zip(*columns, strict=True):
                    number += 1
                    yield number, list(fields)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(source, f"row {number + 1}", f"it is no sound Parquet file ({type(error).__name__})") from None


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return ",".join(_text(one) for one in value)[:_LARGEST_TEXT]
    return (value.isoformat() if isinstance(value, datetime) else str(value))[:_LARGEST_TEXT]
