"""Values and media keys that are asked of a release as Arrow tables, and what it answers as one: thousands to millions at a time.

`finding.py` has the statements, and does the same for a few without loading Arrow.
"""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashsets.algorithms import StoredHash
from hashsets.release import canaries, finding
from hashsets.release.finding import algorithm_named
from hashsets.words import from_words, to_words
from pipeline.errors import UsageError

EXACT = pa.schema([("query_id", pa.int64()), ("media_key", pa.int64()), ("algorithm", pa.string())])


def exact(con: duckdb.DuckDBPyConnection, queries: pa.Table, among: Any, *, withdrawn: bool) -> pa.Table:
    """See `Release.exact`."""
    parts = [_exact_one(con, algorithm_named(name), chosen, withdrawn) for name, chosen in _by_algorithm(queries)]
    found = pa.concat_tables([EXACT.empty_table(), *parts])
    if among is not None:
        found = found.filter(pc.is_in(found.column("media_key"), value_set=_keys(among)))
    return found.sort_by([("query_id", "ascending"), ("algorithm", "ascending"), ("media_key", "ascending")])


def describe(con: duckdb.DuckDBPyConnection, media_keys: Any, trusted_votes: int) -> pa.Table:
    """See `Release.describe`."""
    con.register("asked", pa.table({"media_key": _keys(media_keys).unique()}))
    return finding.standing(con, trusted_votes).to_arrow_table()


def hashes(con: duckdb.DuckDBPyConnection, algorithm: str, media_keys: Any) -> pa.Table:
    """See `Release.hashes`."""
    kind = algorithm_named(algorithm)
    con.register("asked", pa.table({"media_key": _keys(media_keys).unique()}))
    rows = finding.stored(con, kind).to_arrow_table()
    return pa.table({"media_key": rows.column("media_key"), "value": values_of(kind, rows)})


def _keys(media_keys: Any) -> pa.Array:
    """Media keys given as a list, an array or a chunked array."""
    if isinstance(media_keys, pa.ChunkedArray):
        return pa.concat_arrays([pa.array([], pa.int64()), *(c.cast(pa.int64()) for c in media_keys.chunks)])
    return media_keys.cast(pa.int64()) if isinstance(media_keys, pa.Array) else pa.array(media_keys, pa.int64())


def values_of(algorithm: StoredHash, rows: pa.Table) -> pa.Array:
    """Values as binary from a table that has the algorithm's store columns."""
    if algorithm.opaque:
        return rows.column(algorithm.name).combine_chunks()
    n = rows.num_rows
    words = [rows.column(c).to_numpy().astype(np.uint64) for c in algorithm.columns]
    raw = from_words(algorithm, words) if n else np.zeros((0, algorithm.width), np.uint8)
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(algorithm.width), n, [None, pa.py_buffer(raw)])
    return fixed.cast(pa.binary())


def query_table(algorithm: StoredHash, query_ids: Any, values: pa.Array) -> pa.Table:
    """query_id and word columns (and bytes, if opaque) of values to be joined. Raises UsageError for a wrong width."""
    lengths = pc.unique(pc.binary_length(values)).to_pylist() if len(values) else [algorithm.width]
    if lengths != [algorithm.width]:
        raise UsageError(f"A {algorithm.name} value has {algorithm.width} bytes, not {lengths}.")
    raw = np.frombuffer(b"".join(values.to_pylist()), np.uint8).reshape(len(values), algorithm.width)
    columns: dict[str, Any] = {"query_id": pa.array(query_ids, pa.int64())}
    for name, words in zip(algorithm.columns, to_words(algorithm, raw), strict=True):
        columns[name] = words
    if algorithm.opaque:
        columns[algorithm.name] = values.cast(pa.binary())
    return pa.table(columns)


def _by_algorithm(queries: pa.Table) -> list[tuple[str, pa.Table]]:
    names = pc.unique(queries.column("algorithm")).to_pylist()
    return [
        (algorithm_named(name).name, queries.filter(pc.equal(queries.column("algorithm"), name)))
        for name in sorted(map(str, names))
    ]


def _exact_one(con: duckdb.DuckDBPyConnection, algorithm: StoredHash, queries: pa.Table, withdrawn: bool) -> pa.Table:
    values = pa.concat_arrays([pa.array([], pa.binary()), *queries.column("value").cast(pa.binary()).chunks])
    ids = queries.column("query_id").to_numpy()
    if len(ids) and int(ids.min()) < 0:
        raise UsageError("Query ids are zero or more.")
    known = canaries.values(algorithm)
    asked = query_table(
        algorithm,
        np.concatenate([ids, np.array(canaries.KEYS)]),
        pa.concat_arrays([values, pa.array(known, pa.binary())]),
    )
    con.register("asked", asked)
    found = finding.equal_values(con, algorithm, withdrawn=withdrawn).to_arrow_table()
    con.unregister("asked")
    negative = pc.less(found.column("media_key"), 0)
    own = found.filter(negative)
    canaries.check(algorithm, zip(own.column("query_id").to_pylist(), own.column("media_key").to_pylist(), strict=True))
    return found.filter(pc.and_(pc.invert(negative), pc.greater_equal(found.column("query_id"), 0))).cast(EXACT)
