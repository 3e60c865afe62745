"""Full comparison of what the words let pass, and what becomes of a pair: the compiled functions behind `kernels.py`.

Arrays come in groups. `stored`: a table and its segment, see `reducing.py`. `sink`: query uint32, id int64 and distance uint16 of the
results; `totals` int64 of each query; `seen` uint16 (n + 1, radius + 1) kept pairs by distance, `counted` int32 their number
within `farthest` uint16, the distance beyond which a query needs no more pairs; the cap. Queries
that `seen` has no row for (canaries; all where nothing is capped) share its last one and the last `farthest`, unread. `asked`: the queries' chunks and the first canary query. `target`: table, rules, radius. `rules` are those of the plan, see `vectors._verdict`.
"""

# ruff: noqa: PLR0917 - compiled functions take their arrays by position

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.matching.core.compiled.jit import bare, inlined
from pipeline.matching.core.compiled.reducing import bits_from, id_place, known_id, last_group, place_of, row_number
from pipeline.matching.core.compiled.vectors import (
    TILE,
    distance4,
    distance16,
    lanes_admitted4,
    lanes_admitted16,
    lanes_near4,
    lanes_near16,
    lowest,
    ones,
    prefetch,
    put64,
    verdict4,
    verdict16,
    within,
    word64,
    xor_column,
)

AHEAD, NEXT = 64, 24
"""How many pending pairs ahead memory is asked for: enough to cover its latency, few enough to stay in cache."""

BIN = 12
"""Pairs are put in the order of their rows >> BIN: of neighbours in memory the processor finds the addresses faster."""

MOST = 65535
"""Largest count that `seen` holds. A full cell is counted no further, so that `counted` is never too high."""


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
    row: Any, query: Any, bits: Any, dead: Any, ids: Any, blocks: Any, real_rows: Any, real_queries: Any, sink: Any,
    out: Any,
) -> Any:  # fmt: skip
    """Count a pair within the radius and keep it, unless its row is dead or one of the two is a canary and the other is not;
    returns the new number of results."""
    out_query, out_id, out_distance, totals, seen, counted, farthest, cap = sink
    if (row >= real_rows) == (query >= real_queries) and not (dead[row >> 3] >> (row & 7)) & 1:
        totals[query] += 1
        if bits <= farthest[query]:
            known = known_id(ids, blocks, row)
            out = keep(out_query, out_id, out_distance, seen, counted, farthest, cap, out, query, known, bits)
    return out


@inlined
def complete(columns: Any, first: Any, m: Any, table: Any, recipe: Any) -> None:
    """The hashes of a tile, whose columns begin with `first`, from what is stored of them: as `reducing.last_group`, 32 at a time.

    The last four columns hold what is known of three of their chunks, and what is stored of the last group.
    """
    last = first + m - 4
    fourth = last + (recipe[6] >> 4)
    for k in range(3):
        own = last + (recipe[3 + k] >> 4)
        chunk = (table + k) & (m - 1)
        if chunk < m - 4:
            xor_column(columns, own, first + chunk)
        xor_column(columns, fourth, own)
    for chunk in range(m - 4):
        xor_column(columns, first + chunk, last + (chunk & 3))


@inlined
def gather(
    stored: Any, table: Any, bucket: Any, low: Any, high: Any, origin: Any, t: Any, columns: Any, tile_ids: Any, real: Any,
    canary: Any,
) -> None:  # fmt: skip
    """Lay out tile `t` of the bucket with the entries [low, high) chunk by chunk; lane 0 of tile 0 is entry `origin`.

    Fills `columns` uint16, chunk c of lane k of tile t at `(t m + c) 32 + k`; `tile_ids` int64; and `real` and
    `canary`, int64 masks of the lanes that hold a known hash in force and a canary.
    """
    offsets, words, rows, highs, marks, span, recipe, hashes, kept, dead, ids, blocks, real_rows = stored
    m, held = len(kept), hashes.shape[1]
    start = origin + t * TILE
    begin, end = max(low, start), min(high, start + TILE)
    before = bucket * span
    place, word = np.int64(0), np.int64(0)
    if span:
        place = place_of(highs, marks, begin, np.int64(low), np.int64(low) + before)
        word = bits_from(highs, place)
    for entry in range(begin, end):
        if span:
            while word == 0:
                place += 56
                word = bits_from(highs, place)
            high_bits = place + lowest(word) - entry - before
            word &= word - 1
            row = np.int64(rows[2 * entry]) | np.int64(rows[2 * entry + 1]) << 8 | high_bits << 16
        else:
            row = row_number(rows, highs, marks, span, offsets, bucket, entry)
        tile_ids[t * TILE + entry - start] = row
        prefetch(hashes, row * held)
        prefetch(hashes, row * held + held - 1)
        prefetch(ids, id_place(blocks, row))
        prefetch(dead, row >> 3)
    known, own = 0, 0
    group = (t * m + m - 4) * TILE
    for entry in range(begin, end):
        lane = entry - start
        row = tile_ids[t * TILE + lane]
        at = t * m * TILE + lane
        for part in range(held >> 2):
            four = word64(hashes, 2 * (row * held + 4 * part))
            for _ in range(4):
                columns[at] = four & 0xFFFF
                four >>= 16
                at += TILE
        if span:
            columns[group + 2 * recipe[3] + lane] = bucket
            columns[group + 2 * recipe[4] + lane] = words[entry] & 0xFFFF
            columns[group + 2 * recipe[5] + lane] = words[entry] >> 16
            columns[group + 2 * recipe[6] + lane] = hashes[row, held - 1]
        tile_ids[t * TILE + lane] = known_id(ids, blocks, row)
        own |= int(row >= real_rows) << lane
        known |= (~int(dead[row >> 3]) >> (row & 7) & 1) << lane
    if span:
        complete(columns, t * m, m, table, recipe)
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


@inlined
def keep_lanes(mask: Any, query: Any, tile_ids: Any, t: Any, bits: Any, m: Any, sink: Any, out: Any) -> Any:
    """Count the pairs of a query with the lanes of `mask` of tile `t`, and keep those that are not beyond its farthest; returns the
    new number of results. `bits` as `emitted` fills it."""
    out_query, out_id, out_distance, totals, seen, counted, farthest, cap = sink
    totals[query] += ones(mask)
    while mask:
        lane = lowest(mask)
        mask &= mask - 1
        if bits[m * TILE + lane] <= farthest[query]:
            out = keep(
                out_query, out_id, out_distance, seen, counted, farthest, cap, out, np.int64(query),
                tile_ids[t * TILE + lane], np.uint64(bits[m * TILE + lane]),
            )  # fmt: skip
    return out


@inlined
def in_row_order(waiting: Any, pending: Any, stored: Any, order: Any) -> None:
    """Find the rows of `waiting` pending pairs and the order in which they are compared: row by row, as the hashes lie in memory.

    `order`: int64 arrays for each pair `row | word << 24`, for each place the pair, and for each `BIN` rows scratch.
    """
    offsets, words, rows, highs, marks, span = stored[:6]
    found, places, counts = order
    counts[:] = 0
    for p in range(waiting):
        if p + AHEAD < waiting:
            later = word64(pending, (p + AHEAD) << 3)
            entry, bucket = later >> 40 & 0xFFFFFF, later >> 24 & 0xFFFF
            prefetch(rows, entry * (2 + int(span == 0)))
            prefetch(words, entry)
            prefetch(highs, entry + bucket * span >> 3)
        pair = word64(pending, p << 3)
        entry = pair >> 40 & 0xFFFFFF
        row = row_number(rows, highs, marks, span, offsets, pair >> 24 & 0xFFFF, entry)
        put64(found, p << 3, row | np.int64(words[entry]) << 24)
        counts[row >> BIN] += 1
    total = np.int64(0)
    for k in range(len(counts)):
        more = counts[k]
        counts[k] = total
        total += more
    for p in range(waiting):
        k = (word64(found, p << 3) & 0xFFFFFF) >> BIN
        places[counts[k]] = p
        counts[k] += 1


@bare
def verify(waiting: Any, pending: Any, stored: Any, asked: Any, target: Any, order: Any, sink: Any, out: Any) -> Any:
    """Full distance of `waiting` pending pairs; each true pair is emitted by exactly one table (see `plan.py`).

    Canary rows meet only canary queries. Returns the new length of the output arrays, which have room for all of them.
    """
    chunks, real_queries = asked
    table, rules, radius = target
    _, _, _, _, _, span, recipe, hashes, kept, dead, ids, blocks, real_rows = stored
    m, held = len(kept), hashes.shape[1]
    found, places = order[0], order[1]
    in_row_order(waiting, pending, stored, order)
    for place in range(waiting):
        if place + NEXT < waiting:
            later = word64(found, word64(places, (place + NEXT) << 3) << 3) & 0xFFFFFF
            prefetch(hashes, later * held)
            prefetch(hashes, later * held + held - 1)
        p = word64(places, place << 3)
        both, pair = word64(found, p << 3), word64(pending, p << 3)
        row, query, word = both & 0xFFFFFF, pair & 0xFFFFFF, both >> 24
        last = last_group(hashes, row, recipe, span, pair >> 24 & 0xFFFF, word)
        if m == 16:
            judged = verdict16(hashes, row, kept, last, chunks, query, rules)
        else:
            judged = verdict4(hashes, row, kept, last, chunks, query, rules)
        bits = judged >> 16
        if (judged & 0xFFFF) != table or bits > radius:
            continue
        out = taken(row, query, bits, dead, ids, blocks, real_rows, real_queries, sink, out)
    return out


@bare
def scan_rows(
    start: Any, stop: Any, first_query: Any, last_query: Any, stored: Any, last_of: Any, asked: Any, radius: Any,
    sink: Any, out: Any,
) -> Any:  # fmt: skip
    """Linear scan: rows [start, stop) against queries [first_query, last_query); the output has room for all pairs.

    `last_of`, int64: the last group of each row.
    """
    chunks, real_queries = asked
    _, _, _, _, _, _, _, hashes, kept, dead, ids, blocks, real_rows = stored
    m = chunks.shape[1]
    for query in range(first_query, last_query):
        for row in range(start, stop):
            # unsigned, as in `verify`: one compiled form of `taken` and of `keep`
            bits = np.uint64(
                distance16(hashes, row, kept, last_of[row], chunks, query)
                if m == 16
                else distance4(hashes, row, kept, last_of[row], chunks, query)
            )
            if bits <= radius:
                out = taken(row, query, bits, dead, ids, blocks, real_rows, real_queries, sink, out)
    return out
