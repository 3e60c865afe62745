"""Exact canaries: values with negative media keys that every release holds and every look-up must find.

They are made from names, so they are the same in each release, and belong to no media. They never leave the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from hashsets.algorithms import ALL, StoredHash
from pipeline.errors import CanaryError
from pipeline.sql import compose

if TYPE_CHECKING:
    import duckdb

COUNT = 8
KEYS = tuple(range(-1, -COUNT - 1, -1))
"""Media keys of the canaries, and the query ids they are asked with: -1, -2, ..."""


@cache
def values(algorithm: StoredHash) -> tuple[bytes, ...]:
    """The canary values of an algorithm, COUNT of them, of its width."""
    return tuple(
        hashlib.shake_256(f"canary {algorithm.name} {i}".encode()).digest(algorithm.width) for i in range(COUNT)
    )


def plant(con: duckdb.DuckDBPyConnection, algorithms: Iterable[StoredHash] = ALL) -> None:
    """Put the canaries into the hash tables of an empty store, or into those of some algorithms."""
    # loaded where a store is made: a look-up of one digest does without
    import numpy as np
    import pyarrow as pa

    from hashsets.words import to_words

    for algorithm in algorithms:
        raw = np.frombuffer(b"".join(values(algorithm)), np.uint8).reshape(COUNT, algorithm.width)
        columns = dict(zip(algorithm.columns, to_words(algorithm, raw), strict=True))
        table = pa.table({"media_key": pa.array(KEYS, pa.int64()), "release": np.zeros(COUNT, np.int32), **columns})
        if algorithm.opaque:
            table = table.append_column(algorithm.name, pa.array(values(algorithm), pa.binary()))
        con.register("planted", table)
        con.execute(compose("INSERT INTO {table} BY NAME SELECT * FROM planted", table=algorithm.table))
        con.unregister("planted")


def check(algorithm: StoredHash, found: Iterable[tuple[int, int]]) -> None:
    """Every canary was found by its own query and by no other: `found` has query id and media key. Raises CanaryError."""
    pairs = sorted(found)
    if pairs != sorted((key, key) for key in KEYS):
        raise CanaryError(
            f"An exact {algorithm.name} look-up did not find what it must ({len(pairs)} of {COUNT} canaries).",
            "Do not use its answers; verify the release: `triage hashset verify`.",
        )
