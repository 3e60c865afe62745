"""Exact canaries: values with negative media keys that every release holds and every look-up must find.

They are made from names, so they are the same in each release, and belong to no media. They never leave the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hashsets.algorithms import ALL, StoredHash, to_words
from pipeline.errors import CanaryError
from pipeline.sql import compose

COUNT = 8


@cache
def values(algorithm: StoredHash) -> tuple[bytes, ...]:
    """The canary values of an algorithm, COUNT of them, of its width."""
    return tuple(
        hashlib.shake_256(f"canary {algorithm.name} {i}".encode()).digest(algorithm.width) for i in range(COUNT)
    )


def ids() -> NDArray[np.int64]:
    """Media keys of the canaries, and the query ids they are asked with: -1, -2, ..."""
    return -np.arange(1, COUNT + 1, dtype=np.int64)


def plant(con: duckdb.DuckDBPyConnection, algorithms: Iterable[StoredHash] = ALL) -> None:
    """Put the canaries into the hash tables of an empty store, or into those of some algorithms."""
    for algorithm in algorithms:
        raw = np.frombuffer(b"".join(values(algorithm)), np.uint8).reshape(COUNT, algorithm.width)
        columns = dict(zip(algorithm.columns, to_words(algorithm, raw), strict=True))
        table = pa.table({"media_key": ids(), "release": np.zeros(COUNT, np.int32), **columns})
        if algorithm.opaque:
            table = table.append_column(algorithm.name, pa.array(values(algorithm), pa.binary()))
        con.register("planted", table)
        con.execute(compose("INSERT INTO {table} BY NAME SELECT * FROM planted", table=algorithm.table))
        con.unregister("planted")


def check(algorithm: StoredHash, found: pa.Table) -> None:
    """Every canary was found by its own query and by no other. Raises CanaryError."""
    pairs = sorted(zip(found.column("query_id").to_pylist(), found.column("media_key").to_pylist(), strict=True))
    wanted = sorted((int(i), int(i)) for i in ids())
    if pairs != wanted:
        raise CanaryError(
            f"An exact {algorithm.name} look-up did not find what it must ({len(pairs)} of {len(wanted)} canaries).",
            "Do not use its answers; verify the release: `triage hashset verify`.",
        )
