"""Peers of the matching core, each asked for all pairs within a radius on one thread; rates in queries per CPU second."""

# ruff: noqa: S608 - the statements are made of this module's own text

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import duckdb
import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Hashes = NDArray[np.uint8]

BLOCK = 1_000_000
"""Rows of a faiss index block: range_search streams the store once for each query, which suits the caches in blocks."""


def rate(work: Callable[[], Any], queries: int, rounds: int = 3) -> tuple[float, Any]:
    """Median queries per CPU second of this process, and the last result."""
    seconds = []
    result = None
    for _ in range(rounds):
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
    return queries / float(np.median(seconds)), result


def flat(known: Hashes, queries: Hashes, radius: int, rounds: int = 3) -> dict[str, Any]:
    """faiss IndexBinaryFlat: range_search on one index, the same in blocks, and search for one nearest.

    `best` is the fastest of them; search does not give all pairs, so counting it favours the peer. `pairs` counts the
    pairs of each query, for comparison with ours.
    """
    faiss.omp_set_num_threads(1)
    bits = known.shape[1] * 8
    whole = faiss.IndexBinaryFlat(bits)
    whole.add(known)
    rates = {}
    rates["range_search"], found = rate(lambda: whole.range_search(queries, radius + 1), len(queries), rounds)
    rates["search_nearest"], _ = rate(lambda: whole.search(queries, 1), len(queries), rounds)
    counts = np.diff(found[0].astype(np.int64))
    if len(known) > BLOCK:
        whole.reset()
        blocks = []
        for start in range(0, len(known), BLOCK):
            block = faiss.IndexBinaryFlat(bits)
            block.add(known[start : start + BLOCK])
            blocks.append(block)
        work = lambda: [b.range_search(queries, radius + 1) for b in blocks]  # noqa: E731
        rates["range_search_in_blocks"], _ = rate(work, len(queries), rounds)
    return {"rates": rates, "best": max(rates.values()), "pairs": counts.tolist()}


TUNED = (11, 23, 2)
"""Hashes, bits of each and flipped bits of a faiss MultiHash: of 11 parts one has at most 31 // 11 = 2 wrong bits."""


def multihash(  # noqa: PLR0917 - the numbers are faiss's own
    known: Hashes, queries: Hashes, radius: int, hashes: int = 16, bits: int = 16, flips: int = 1, rounds: int = 3
) -> dict[str, Any]:
    """faiss IndexBinaryMultiHash, exact where radius // hashes <= flips; by default as exchanges use it."""
    assert radius // hashes <= flips, "not exact"
    faiss.omp_set_num_threads(1)
    index = faiss.IndexBinaryMultiHash(256, hashes, bits)
    index.nflip = flips
    start = time.process_time()
    index.add(known)
    built = time.process_time() - start
    speed, found = rate(lambda: index.range_search(queries, radius + 1), len(queries), rounds)
    return {"best": speed, "build_cpu_seconds": built, "pairs": np.diff(found[0].astype(np.int64)).tolist()}


def binary_hash(known: Hashes, queries: Hashes, radius: int, rounds: int = 3) -> dict[str, Any]:
    """faiss IndexBinaryHash on 8 bits. It is exact only when all of them may be flipped: then it visits every bucket."""
    faiss.omp_set_num_threads(1)
    index = faiss.IndexBinaryHash(256, 8)
    index.nflip = 8
    index.add(known)
    speed, found = rate(lambda: index.range_search(queries, radius + 1), len(queries), rounds)
    return {"best": speed, "pairs": np.diff(found[0].astype(np.int64)).tolist()}


def usearch_exact(known: Hashes, queries: Hashes, rounds: int = 3) -> dict[str, Any]:
    """usearch, brute force, the one nearest of each query: less than all pairs, which favours it."""
    from usearch.index import MetricKind, search

    def work() -> Any:
        return search(known, queries, 1, MetricKind.Hamming, exact=True, threads=1)

    speed, _ = rate(work, len(queries), rounds)
    return {"best": speed}


_TOTAL = " + ".join(f"bit_count(xor(k.w{i}, q.w{i}))::int" for i in range(4))


def _tables(known: Hashes, queries: Hashes) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1, "memory_limit": "6GB"})
    for name, hashes in (("k", known), ("q", queries)):
        words = np.ascontiguousarray(hashes).view(np.uint64)
        columns = {"id": np.arange(len(hashes))} | {f"w{i}": words[:, i].copy() for i in range(4)}
        connection.register("columns_", pa.table(columns))
        connection.execute(f"create table {name} as select * from columns_")
        connection.unregister("columns_")
    return connection


def duckdb_brute(known: Hashes, queries: Hashes, radius: int, rounds: int = 3) -> dict[str, Any]:
    """DuckDB: bit_count of the exclusive or of every pair."""
    connection = _tables(known, queries)
    sql = f"select count(*) from k, q where {_TOTAL} <= {radius}"
    speed, found = rate(lambda: connection.execute(sql).fetchone(), len(queries), rounds)
    return {"best": speed, "pairs": int(found[0])}


def duckdb_pigeonhole(known: Hashes, queries: Hashes, radius: int, rounds: int = 3) -> dict[str, Any]:
    """DuckDB: equi-join on 16-bit chunks and their one-bit neighbours (exact up to radius 31), then the full distance."""
    connection = _tables(known, queries)
    chunk = "(case c // 4 when 0 then w0 when 1 then w1 when 2 then w2 else w3 end >> (16 * (c % 4))) & 65535"
    connection.execute(
        f"create table kc as select id, c, ({chunk})::usmallint as v from k, range(16) t(c) order by c, v"
    )
    sql = f"""
        with probe as (
            select id, c, xor(({chunk})::usmallint, m)::usmallint as v
            from q, range(16) t(c), (select 0::usmallint as m union all select (1 << b)::usmallint from range(16) s(b)))
        select count(*) from (
            select distinct p.id as query, kc.id as known from probe p join kc on kc.c = p.c and kc.v = p.v) found
        join q on q.id = found.query join k on k.id = found.known where {_TOTAL} <= {radius}"""
    speed, found = rate(lambda: connection.execute(sql).fetchone(), len(queries), rounds)
    return {"best": speed, "pairs": int(found[0])}
