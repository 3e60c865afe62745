"""The loops over buckets: plain functions on arrays that hold no lock, allocate nothing and return how far they came.

Vocabulary: a hash has m chunks of 16 bits; table i groups the stored hashes by the value of chunk i (its bucket). For
each entry of a bucket `words` holds chunks i+1 and i+2 (modulo m) and `rows` the row number in three bytes. A query
visits the buckets within a few bits of its own chunk i; a visit compares one 32-bit word with the whole bucket.
"""

# ruff: noqa: PLR0917 - compiled functions take their arrays by position

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.matching.jit import inlined, kernel
from pipeline.matching.vectors import (
    any_within,
    copy8,
    distance4,
    distance16,
    lowest,
    prefetch,
    verdict4,
    verdict16,
    within,
)

VISITS, CANDIDATES, PENDING, RESUME = 0, 1, 2, 3
"""Places in the counters of `scan_buckets`: visits and candidates so far, pairs pending, visit to go on with."""

AHEAD = 64
"""How many pending pairs ahead `verify` asks for memory: enough to cover its latency, few enough to stay in cache."""


@kernel
def group_queries(chunks: Any, table: Any, offsets: Any, words: Any, index: Any) -> None:
    """Counting sort of queries by chunk `table`.

    `chunks` uint16 (n, m). Fills `offsets` int32 (65,537), and in bucket order `words` uint32 (n + 16) and `index`
    uint32 (n + 16), the query's row in `chunks`.
    """
    n, m = chunks.shape
    second, third = (table + 1) % m, (table + 2) % m
    offsets[:] = 0
    for q in range(n):
        offsets[int(chunks[q, table]) + 1] += 1
    offsets[:] = np.cumsum(offsets)
    for q in range(n):
        b = int(chunks[q, table])
        at = offsets[b]
        offsets[b] = at + 1
        words[at] = int(chunks[q, second]) | int(chunks[q, third]) << 16
        index[at] = q
    offsets[1:] = offsets[:-1].copy()
    offsets[0] = 0


@inlined
def row_number(rows: Any, entry: Any) -> Any:
    """The row of an entry: three bytes, least significant first."""
    at = 3 * entry
    return int(rows[at]) | int(rows[at + 1]) << 8 | int(rows[at + 2]) << 16


@inlined
def gather_chunk(rows: Any, hashes: Any, chunk: Any, low: Any, high: Any, origin: Any, out: Any) -> None:
    """One chunk of the hash of each of the entries [low, high), to `out[entry - origin]`."""
    for entry in range(low, high):
        out[entry - origin] = hashes[row_number(rows, entry), chunk]


@inlined
def lay_out(
    bucket: Any,
    start: Any,
    stop: Any,
    masks: Any,
    q_offsets: Any,
    q_words: Any,
    q_index: Any,
    block_words: Any,
    block_index: Any,
    filled: Any,
) -> Any:
    """Put the queries that differ from `bucket` by masks[start:stop] side by side, from `filled` on; returns the end."""
    for k in range(start, stop):
        c = bucket ^ masks[k]
        s, e = int(q_offsets[c]), int(q_offsets[c + 1])
        if e > s:
            copy8(block_words, filled, q_words, s)
            copy8(block_index, filled, q_index, s)
            for t in range(s + 8, e):
                block_words[filled + t - s] = q_words[t]
                block_index[filled + t - s] = q_index[t]
            filled += e - s
    return filled


@inlined
def pick(
    words: Any,
    low: Any,
    high: Any,
    word: Any,
    limit: Any,
    known_before: Any,
    before: Any,
    asked: Any,
    least: Any,
    query: Any,
    pending: Any,
    found: Any,
) -> Any:
    """Add the entries of [low, high) within `limit` of `word` to `pending`; returns its new length."""
    first, last = low >> 4, (high + 15) >> 4
    for vector in range(first, last):
        mask = within(words, vector, word, limit)
        if vector == first:
            mask &= 0xFFFF << (low & 15)
        if vector == last - 1:
            mask &= 0xFFFF >> (-high & 15)
        if known_before and mask:
            mask &= ~within(before, vector - first, asked, least - 1)
        base = vector << 36 | query
        while mask:
            pending[found] = base + (lowest(mask) << 32)
            mask &= mask - 1
            found += 1
    return found


@kernel
def scan_buckets(
    words: Any, offsets: Any, buckets: Any, position: Any, asked: Any, probes: Any, block: Any, pending: Any,
    counters: Any, stored: Any, before: Any,
) -> Any:  # fmt: skip
    """Compare the buckets `buckets[position:]` of one table with all queries near them.

    `asked`: offsets, words and index of `group_queries`, and the queries' chunks. `block`: uint32 scratch for words and
    index of all queries near a bucket. `stored`: rows of the table, hashes, chunk i-1 and its budget c_(i-1) or 0.
    `probes`: masks int64: differences of 16-bit values to probe, by rising number of bits; masks[levels[t]:levels[t + 1]] have
    t bits; `limits[t]` is the most bits that the 32-bit word may then differ by. Pairs that pass go to `pending`
    (int64, `entry of the table << 32 | query`), which holds at least one full bucket. When the next visit might not
    fit, the kernel notes it in `counters` and returns, to be called again after the pairs were taken out.
    In a bucket that gives many pairs, those that an earlier table emits (their chunk i-1 differs by less than its
    budget, see `plan.py`) are dropped at once; `before` uint32 is scratch, aligned, for the largest bucket.
    Returns the position reached.
    """
    q_offsets, q_words, q_index, chunks = asked
    masks, levels, limits = probes
    block_words, block_index = block
    rows, hashes, before_table, least = stored
    room = len(pending)
    found = counters[PENDING]
    resume = counters[RESUME]
    while position < len(buckets):
        b = int(buckets[position])
        low, high = int(offsets[b]), int(offsets[b + 1])
        first, last = low >> 4, (high + 15) >> 4
        filled = 0
        dense = -1 if least == 0 else 2 * (high - low) + 64 + found
        known_before = False
        for level in range(len(limits)):
            begin = filled
            filled = lay_out(
                b,
                levels[level],
                levels[level + 1],
                masks,
                q_offsets,
                q_words,
                q_index,
                block_words,
                block_index,
                filled,
            )
            limit = limits[level]
            for j in range(max(begin, resume), filled):
                word = block_words[j]
                if any_within(words, first, last, word, limit):
                    if found + high - low > room:
                        counters[PENDING] = found
                        counters[RESUME] = j
                        return position
                    if 0 <= dense < found:
                        gather_chunk(rows, hashes, before_table, low, high, first * 16, before)
                        known_before, dense = True, -1
                    query = int(block_index[j])
                    other = chunks[query, before_table]
                    found = pick(
                        words, low, high, word, limit, known_before, before, other, least, query, pending, found
                    )
        counters[VISITS] += filled
        counters[CANDIDATES] += filled * (high - low)
        resume = 0
        position += 1
    counters[PENDING] = found
    counters[RESUME] = 0
    return position


@kernel
def verify(
    table: Any,
    waiting: Any,
    pending: Any,
    rows: Any,
    hashes: Any,
    dead: Any,
    ids: Any,
    real_rows: Any,
    chunks: Any,
    real_queries: Any,
    rules: Any,
    radius: Any,
    row_of: Any,
    out_query: Any,
    out_id: Any,
    out_distance: Any,
    out: Any,
    totals: Any,
) -> Any:
    """Full distance of `waiting` pending pairs; each true pair is emitted by exactly one table (see `vectors._verdict`).

    Canary rows (from `real_rows` on) meet only canary queries (from `real_queries` on). Returns the new length of the
    output arrays, which have room for all of them.
    """
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
            if (row >= real_rows) != (query >= real_queries) or (dead[row >> 3] >> (row & 7)) & 1:
                continue
            out_query[out] = query
            out_id[out] = ids[row]
            out_distance[out] = bits
            totals[query] += 1
            out += 1
    return out


@kernel
def scan_rows(
    start: Any,
    stop: Any,
    first_query: Any,
    last_query: Any,
    hashes: Any,
    dead: Any,
    ids: Any,
    real_rows: Any,
    chunks: Any,
    real_queries: Any,
    radius: Any,
    out_query: Any,
    out_id: Any,
    out_distance: Any,
    out: Any,
    totals: Any,
) -> Any:
    """Linear scan: rows [start, stop) against queries [first_query, last_query); the output has room for all pairs."""
    m = chunks.shape[1]
    for query in range(first_query, last_query):
        for row in range(start, stop):
            bits = distance16(hashes, row, chunks, query) if m == 16 else distance4(hashes, row, chunks, query)
            if bits > radius:
                continue
            if (row >= real_rows) != (query >= real_queries) or (dead[row >> 3] >> (row & 7)) & 1:
                continue
            out_query[out] = query
            out_id[out] = ids[row]
            out_distance[out] = bits
            totals[query] += 1
            out += 1
    return out
