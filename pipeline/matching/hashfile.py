"""Reading a file of query hashes: Parquet or CSV with a column `hash` and, if the rows have one, a whole number `id`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import InputError


@dataclass(frozen=True)
class HashFile:
    """Usable rows, `ids` int64 (n,) and `hashes` uint8 (n, width), and (row, reason) of each row that is not."""

    ids: NDArray[np.int64]
    hashes: NDArray[np.uint8]
    rejected: list[tuple[int, str]]


def read(path: Path, width: int) -> HashFile:
    """Read `path`. Hashes are binary of `width` bytes or hex text; ids default to row numbers from 0.

    Raises InputError for a file that is neither Parquet nor CSV, or that has no column `hash`.
    """
    try:
        table = pq.read_table(path) if path.suffix == ".parquet" else _csv(path)
    except FileNotFoundError:
        raise InputError(f"{path.name} does not exist.") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path.name} cannot be read: {type(error).__name__}.", "Give a Parquet or CSV file."
        ) from error
    if "hash" not in table.column_names:
        raise InputError(f"{path.name} has no column `hash`.", f"Its columns are: {', '.join(table.column_names)}.")
    values = table["hash"].to_pylist()
    keys = table["id"].to_pylist() if "id" in table.column_names else list(range(len(values)))
    ids, hashes, rejected = [], [], []
    for row, (key, value) in enumerate(zip(keys, values, strict=True)):
        try:
            hashes.append(_bytes(value, width))
            ids.append(int(key))
        except (TypeError, ValueError) as error:
            del hashes[len(ids) :]
            rejected.append((row, str(error)))
    array = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, width)
    return HashFile(np.array(ids, np.int64), array, rejected)


def _csv(path: Path) -> pa.Table:
    options = pa_csv.ConvertOptions(column_types={"hash": pa.string(), "id": pa.string()})
    return pa_csv.read_csv(path, convert_options=options)


def _bytes(value: object, width: int) -> bytes:
    if value is None or value == "":
        raise ValueError("no hash")
    raw = bytes.fromhex(value) if isinstance(value, str) else value
    if not isinstance(raw, bytes) or len(raw) != width:
        raise ValueError(f"not a hash of {width} bytes")
    return raw
