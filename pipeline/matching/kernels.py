"""The loops over buckets: plain functions on arrays that hold no lock, allocate nothing and return how far they came.

Vocabulary: a hash has m chunks of 16 bits; table i groups the stored hashes by the value of chunk i (its bucket). For
each entry of a bucket `words` holds chunks i+1 and i+2 (modulo m) and `rows` the row number in three bytes. A query
visits the buckets within a few bits of its own chunk i; a visit compares one 32-bit word with the whole bucket.
"""

from __future__ import annotations

from typing import Any

from pipeline.matching.jit import kernel
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

AHEAD = 32
"""How many pending pairs ahead `verify` asks for memory: enough to cover its latency."""


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
    for b in range(65536):
        offsets[b + 1] += offsets[b]
    for q in range(n):
        b = int(chunks[q, table])
        at = offsets[b]
        offsets[b] = at + 1
        words[at] = int(chunks[q, second]) | int(chunks[q, third]) << 16
        index[at] = q
    for b in range(65536, 0, -1):
        offsets[b] = offsets[b - 1]
    offsets[0] = 0


@kernel
def scan_buckets(
    words: Any,
    offsets: Any,
    buckets: Any,
    position: Any,
    q_offsets: Any,
    q_words: Any,
    q_index: Any,
    masks: Any,
    levels: Any,
    limits: Any,
    block_words: Any,
    block_index: Any,
    pending_entry: Any,
    pending_query: Any,
    counters: Any,
) -> Any:
    """Compare the buckets `buckets[position:]` of one table with all queries near them.

    `masks` int64: differences of 16-bit values to probe, by rising number of bits; masks[levels[t]:levels[t + 1]] have
    t bits; `limits[t]` is the most bits that the 32-bit word may then differ by. Pairs that pass go to `pending_entry`
    (int64, entry of the table) and `pending_query` (uint32), which hold at least one full bucket. When the next visit
    might not fit, the kernel notes it in `counters` and returns, to be called again after the pairs were taken out.
    Returns the position reached.
    """
    room = len(pending_entry)
    found = counters[PENDING]
    resume = counters[RESUME]
    while position < len(buckets):
        b = int(buckets[position])
        low, high = int(offsets[b]), int(offsets[b + 1])
        first, last = low >> 4, (high + 15) >> 4
        filled = 0
        for level in range(len(limits)):
            begin = filled
            for k in range(levels[level], levels[level + 1]):
                c = b ^ masks[k]
                s, e = int(q_offsets[c]), int(q_offsets[c + 1])
                if e > s:
                    copy8(block_words, filled, q_words, s)
                    copy8(block_index, filled, q_index, s)
                    for t in range(s + 8, e):
                        block_words[filled + t - s] = q_words[t]
                        block_index[filled + t - s] = q_index[t]
                    filled += e - s
            limit = limits[level]
            for j in range(max(begin, resume), filled):
                word = block_words[j]
                if any_within(words, first, last, word, limit):
                    if found + high - low > room:
                        counters[PENDING] = found
                        counters[RESUME] = j
                        return position
                    for vector in range(first, last):
                        mask = within(words, vector, word, limit)
                        while mask:
                            entry = vector * 16 + lowest(mask)
                            mask &= mask - 1
                            if low <= entry < high:
                                pending_entry[found] = entry
                                pending_query[found] = block_index[j]
                                found += 1
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
    pending: Any,
    pending_entry: Any,
    pending_query: Any,
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
    """Full distance of pending pairs; each true pair is emitted by exactly one table (see `vectors._verdict`).

    Canary rows (from `real_rows` on) meet only canary queries (from `real_queries` on). Returns the new length of the
    output arrays, which have room for `pending` more.
    """
    m = chunks.shape[1]
    for p in range(pending):
        if p + AHEAD < pending:
            prefetch(rows, pending_entry[p + AHEAD] * 3)
        at = pending_entry[p] * 3
        row_of[p] = int(rows[at]) | int(rows[at + 1]) << 8 | int(rows[at + 2]) << 16
        prefetch(hashes, row_of[p] * m)
    for p in range(pending):
        row, query = int(row_of[p]), int(pending_query[p])
        found = verdict16(hashes, row, chunks, query, rules) if m == 16 else verdict4(hashes, row, chunks, query, rules)
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
