"""Full comparison of what the words let pass, and what becomes of a pair: the compiled functions behind `kernels.py`.

Arrays come in groups. `stored`: rows of a table (uint8, three bytes per entry), hashes uint16 (rows, m), `dead` bit map,
ids int64, and the row from which on rows are canaries. `sink`: query uint32, id int64 and distance uint16 of the
results; `totals` int64 of each query; `seen` uint16 (n + 1, radius + 1) kept pairs by distance, `counted` int32 their number
within `farthest` uint16, the distance beyond which a query needs no more pairs; the cap. Queries
that `seen` has no row for (canaries; all where nothing is capped) share its last one and the last `farthest`, unread. `asked`: the queries' chunks and the first canary query. `target`: table, rules, radius. `rules` are those of the plan, see `vectors._verdict`.
"""

# ruff: noqa: PLR0917 - compiled functions take their arrays by position

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.matching.core.compiled.jit import bare, inlined
from pipeline.matching.core.compiled.vectors import (
    TILE,
    distance4,
    distance16,
    lanes_admitted4,
    lanes_admitted16,
    lanes_near4,
    lanes_near16,
    prefetch,
    verdict4,
    verdict16,
    within,
)

AHEAD = 64
"""How many pending pairs ahead `verify` asks for memory: enough to cover its latency, few enough to stay in cache."""

MOST = 65535
"""Largest count that `seen` holds. A full cell is counted no further, so that `counted` is never too high."""


@inlined
def row_number(rows: Any, entry: Any) -> Any:
    """The row of an entry: three bytes, least significant first."""
    at = 3 * entry
    return int(rows[at]) | int(rows[at + 1]) << 8 | int(rows[at + 2]) << 16


@inlined
def keep(
    out_query: Any, out_id: Any, out_distance: Any, seen: Any, counted: Any, farthest: Any, cap: Any, out: Any,
    query: Any, known_id: Any, bits: Any,
) -> Any:  # fmt: skip
    """Write a pair that is not beyond the farthest of its query; returns the new number of results.

    When `cap` pairs nearer than the farthest are there, none at that distance is needed: it comes nearer. There are no
    branches, because Numba counts references of arrays in every branch, which takes longer than all the rest.
    """
    out_query[out] = query
    out_id[out] = known_id
    out_distance[out] = bits
    spare = len(seen) - 1
    row = min(query, spare)
    last = int(farthest[query])
    more = int(seen[row, bits] < MOST)
    seen[row, bits] += more
    count = int(counted[row]) + more
    enough = int(count - int(seen[row, last]) >= cap)
    counted[row] = count - enough * int(seen[row, last])
    farthest[query + int(row == spare) * (len(farthest) - 1 - query)] = last - enough
    return out + 1


@inlined
def taken(
    row: Any, query: Any, bits: Any, dead: Any, ids: Any, real_rows: Any, real_queries: Any, sink: Any, out: Any
) -> Any:  # fmt: skip
    """Count a pair within the radius and keep it, unless its row is dead or one of the two is a canary and the other is not;
    returns the new number of results."""
    out_query, out_id, out_distance, totals, seen, counted, farthest, cap = sink
    if (row >= real_rows) == (query >= real_queries) and not (dead[row >> 3] >> (row & 7)) & 1:
        totals[query] += 1
        if bits <= farthest[query]:
            out = keep(out_query, out_id, out_distance, seen, counted, farthest, cap, out, query, ids[row], bits)
    return out


@inlined
def gather(
    rows: Any, hashes: Any, dead: Any, ids: Any, real_rows: Any, low: Any, high: Any, origin: Any, t: Any, columns: Any,
    tile_ids: Any, real: Any, canary: Any,
) -> None:  # fmt: skip
    """Lay out tile `t` of the bucket with the entries [low, high) chunk by chunk; lane 0 of tile 0 is entry `origin`.

    Fills `columns` uint16, chunk c of lane k of tile t at `(t m + c) 32 + k`; `tile_ids` int64; and `real` and
    `canary`, int64 masks of the lanes that hold a known hash in force and a canary.
    """
    m = hashes.shape[1]
    start = origin + t * TILE
    begin, end = max(low, start), min(high, start + TILE)
    for entry in range(begin, end):
        row = row_number(rows, entry)
        prefetch(hashes, row * m)
        prefetch(ids, row)
        prefetch(dead, row >> 3)
    known, own = 0, 0
    for entry in range(begin, end):
        row = row_number(rows, entry)
        lane = entry - start
        for chunk in range(m):
            columns[(t * m + chunk) * TILE + lane] = hashes[row, chunk]
        tile_ids[t * TILE + lane] = ids[row]
        own |= int(row >= real_rows) << lane
        known |= (~int(dead[row >> 3]) >> (row & 7) & 1) << lane
    real[t], canary[t] = known & ~own, own


@inlined
def candidates(words: Any, first: Any, last: Any, word: Any, limit: Any, t: Any) -> Any:
    """Lanes of tile `t` whose word passes; the bucket's words are the vectors [first, last).

    Where the second vector of the tile is beyond them its lanes mean nothing, and hold no hash in force.
    """
    one = first + 2 * t
    return within(words, one, word, limit) | within(words, min(one + 1, last - 1), word, limit) << 16


@inlined
def emitted(
    columns: Any, t: Any, chunks: Any, query: Any, mask: Any, table: Any, rules: Any, radius: Any, bits: Any
) -> Any:  # fmt: skip
    """Those lanes of `mask` that hold a pair within the radius which no table before `table` emits.

    All lanes of `mask` are admitted by `table`; fills `bits` as `vectors._lanes_near` does. Table i - 1 need not be
    asked: what table i admits differs by more in chunk i - 1 than that table allows.
    """
    if chunks.shape[1] == 16:
        mask &= lanes_near16(columns, t, chunks, query, radius, bits)
        for earlier in range(table - 1):
            if not mask:
                break
            mask &= ~lanes_admitted16(bits, earlier, rules)
    else:
        mask &= lanes_near4(columns, t, chunks, query, radius, bits)
        for earlier in range(table - 1):
            mask &= ~lanes_admitted4(bits, earlier, rules)
    return mask


@bare
def verify(waiting: Any, pending: Any, stored: Any, asked: Any, target: Any, row_of: Any, sink: Any, out: Any) -> Any:
    """Full distance of `waiting` pending pairs; each true pair is emitted by exactly one table (see `plan.py`).

    Canary rows meet only canary queries. Returns the new length of the output arrays, which have room for all of them.
    """
    chunks, real_queries = asked
    table, rules, radius = target
    rows, hashes, dead, ids, real_rows = stored
    m = chunks.shape[1]
    for begin in range(0, waiting, AHEAD):
        end = min(begin + AHEAD, waiting)
        for p in range(begin, end):
            if p + AHEAD < waiting:
                prefetch(rows, (pending[p + AHEAD] >> 32) * 3)
            row = row_number(rows, pending[p] >> 32)
            row_of[p - begin] = row
            prefetch(hashes, row * m)
        for p in range(begin, end):
            row, query = int(row_of[p - begin]), pending[p] & 0xFFFFFFFF
            if m == 16:
                found = verdict16(hashes, row, chunks, query, rules)
            else:
                found = verdict4(hashes, row, chunks, query, rules)
            bits = found >> 16
            if (found & 0xFFFF) != table or bits > radius:
                continue
            out = taken(row, query, bits, dead, ids, real_rows, real_queries, sink, out)
    return out


@bare
def scan_rows(
    start: Any, stop: Any, first_query: Any, last_query: Any, stored: Any, asked: Any, radius: Any, sink: Any, out: Any
) -> Any:  # fmt: skip
    """Linear scan: rows [start, stop) against queries [first_query, last_query); the output has room for all pairs."""
    chunks, real_queries = asked
    _, hashes, dead, ids, real_rows = stored
    m = chunks.shape[1]
    for query in range(first_query, last_query):
        for row in range(start, stop):
            # unsigned, as in `verify`: one compiled form of `taken` and of `keep`
            bits = np.uint64(
                distance16(hashes, row, chunks, query) if m == 16 else distance4(hashes, row, chunks, query)
            )
            if bits <= radius:
                out = taken(row, query, bits, dead, ids, real_rows, real_queries, sink, out)
    return out
