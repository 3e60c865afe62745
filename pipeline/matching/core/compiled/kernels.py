"""The loops over buckets: plain functions on arrays that hold no lock, allocate nothing and return how far they came.

Vocabulary: a hash has m chunks of 16 bits; table i groups the stored hashes by the value of chunk i (its bucket). For
each entry of a bucket `words` holds chunks i+1 and i+2 (modulo m) and `rows` what tells the row. A query
visits the buckets within a few bits of its own chunk i; a visit compares one 32-bit word with the whole bucket.
"""

# ruff: noqa: PLR0917 - compiled functions take their arrays by position

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.matching.core.compiled import nibbles
from pipeline.matching.core.compiled.jit import bare, inlined
from pipeline.matching.core.compiled.nibbles import any_near, lanes_of, split
from pipeline.matching.core.compiled.vectors import (
    TILE,
    any_within,
    any_within4,
    copy8,
    lanes_beyond,
    lowest,
    ones,
    prefetch,
    within,
)
from pipeline.matching.core.compiled.verification import candidates, emitted, gather, keep

NIBBLES = nibbles.USED
"""Whether the words of a bucket are split into planes of nibbles and looked up: a constant of the compiled kernels."""

VISITS, CANDIDATES, PENDING, RESUME, OUT, TILED = range(6)
"""Places in the counters of `scan_buckets`: visits and candidates so far, pairs pending, visit to go on with, results,
full comparisons made in tiles."""

DENSE = 4
"""A bucket is gathered in tiles when this part of it (one in DENSE entries) was already picked for full comparison."""


@bare
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


@inlined
def lay_out(
    bucket: Any, start: Any, stop: Any, masks: Any, q_offsets: Any, q_words: Any, q_index: Any, block_words: Any,
    block_index: Any, near: Any, filled: Any,
) -> Any:  # fmt: skip
    """Put the queries that differ from `bucket` by masks[start:stop] side by side, from `filled` on; returns the end.

    `near`, int64, is scratch for as many values as there are masks: those that a query has are noted first, without a branch, because
    of few queries hardly any has a neighbour's value, and of many most do, and in between no processor guesses it.
    """
    found = 0
    for k in range(start, stop):
        c = bucket ^ masks[k]
        near[found] = c
        found += int(q_offsets[c + 1] > q_offsets[c])
    for k in range(found):
        s, e = int(q_offsets[near[k]]), int(q_offsets[near[k] + 1])
        copy8(block_words, filled, q_words, s)
        copy8(block_index, filled, q_index, s)
        for t in range(s + 8, e):
            block_words[filled + t - s] = q_words[t]
            block_index[filled + t - s] = q_index[t]
        filled += e - s
    return filled


@inlined
def pick(words: Any, low: Any, high: Any, word: Any, limit: Any, query: Any, pending: Any, found: Any) -> Any:
    """Add the entries of [low, high) within `limit` of `word` to `pending`; returns its new length.

    `query` is `bucket << 24 | query`.
    """
    first, last = low >> 4, (high + 15) >> 4
    for vector in range(first, last):
        mask = within(words, vector, word, limit)
        if vector == first:
            mask &= 0xFFFF << (low & 15)
        if vector == last - 1:
            mask &= 0xFFFF >> (-high & 15)
        base = vector << 44 | query
        while mask:
            pending[found] = base + (lowest(mask) << 40)
            mask &= mask - 1
            found += 1
    return found


@inlined
def split_bucket(words: Any, first: Any, last: Any, planes: Any) -> None:
    """Split the vectors [first, last) into blocks of two; the last block repeats its vector when it has only one."""
    for block in range((last - first + 1) >> 1):
        split(words, first + 2 * block, min(first + 2 * block + 1, last - 1), planes, block)


@inlined
def next_near(
    words: Any, first: Any, last: Any, planes: Any, look_up: Any, block_words: Any, j: Any, filled: Any, limit: Any
) -> Any:
    """The first query from `j` on with a word of the bucket within `limit` bits; `filled` or more where there is none."""
    if NIBBLES:
        while j < filled and not any_near(planes, (last - first + 1) >> 1, block_words[j], limit, look_up):
            j += 1
    else:
        while j < filled:
            if j + 1 < filled and not any_within4(words, first, last, block_words, j, limit):
                j += 4
            elif not any_within(words, first, last, block_words[j], limit):
                j += 1
            else:
                break
    return j


@inlined
def lanes(words: Any, first: Any, last: Any, planes: Any, look_up: Any, word: Any, limit: Any, t: Any) -> Any:
    """Lanes of tile `t`, a block, whose word passes; see `verification.candidates`."""
    if NIBBLES:
        return lanes_of(planes, t, word, limit, look_up)
    return candidates(words, first, last, word, limit, t)


@inlined
def pick_lanes(
    planes: Any, look_up: Any, low: Any, high: Any, word: Any, limit: Any, query: Any, pending: Any, found: Any
) -> Any:
    """As `pick`, from the planes of the bucket."""
    origin = low >> 4 << 4
    for block in range((high - origin + 31) >> 5):
        mask = lanes_of(planes, block, word, limit, look_up)
        start = origin + (block << 5)
        if start < low:
            mask &= -1 << (low - start)
        if start + 32 > high:
            mask &= (1 << (high - start)) - 1
        base = start << 40 | query
        while mask:
            pending[found] = base + (lowest(mask) << 40)
            mask &= mask - 1
            found += 1
    return found


@bare
def scan_buckets(  # noqa: PLR0912, PLR0915 - one function: arrays passed on to another cost more than the work, see `keep`
    buckets: Any, position: Any, grouped: Any, asked: Any, probes: Any, block: Any, pending: Any, counters: Any,
    stored: Any, tile: Any, target: Any, sink: Any,
) -> Any:  # fmt: skip
    """Compare the buckets `buckets[position:]` of one table with all queries near them.

    `grouped`: offsets, words and index of `group_queries`. `block`: uint32 scratch for words and index of all queries
    near a bucket, planes and look-up table of `nibbles.py`, and room for the values of a level. `probes`: masks int64: differences of 16-bit values to probe, by rising number of bits;
    masks[levels[t]:levels[t + 1]] have t bits; `limits[t]` is the most bits that the 32-bit word may then differ by.
    Pairs that pass go to `pending` (int64, `entry of the table << 40 | bucket << 24 | query`). A bucket that gives many of them is
    gathered in tiles, and the queries that follow are compared with it in full at once; those pairs go to `sink`. The
    second half of the canary queries is always compared in tiles, so that a fault of either way shows. Both
    hold at least one full bucket. When the next visit might not fit, the kernel notes it in `counters` and returns, to
    be called again after the pairs were taken out. For `stored` see `reducing.py`, for `asked`, `tile`, `target` and `sink`
    `verification.py`.
    Returns the position reached.
    """
    q_offsets, q_words, q_index = grouped
    chunks, real_queries = asked
    offsets, words = stored[0], stored[1]
    columns, tile_ids, real, canary, bits = tile
    table, rules, radius = target
    out_query, out_id, out_distance, totals, seen, counted, farthest, cap = sink
    m = chunks.shape[1]
    tiled_queries = (real_queries + len(chunks) + 1) // 2
    least = rules[2, table]
    masks, levels, limits = probes
    block_words, block_index, planes, look_up, near = block
    room, room_out = len(pending), len(out_query)
    found, out, resume = counters[PENDING], counters[OUT], counters[RESUME]
    while position < len(buckets):
        b = int(buckets[position])
        low, high = int(offsets[b]), int(offsets[b + 1])
        first, last = low >> 4, (high + 15) >> 4
        filled = np.int64(0)  # a plain 0 has `lay_out` compiled twice
        many = found + (high - low) // DENSE + 32
        gathered, is_split = False, False
        for level in range(len(limits)):
            begin = filled
            filled = lay_out(
                b, levels[level], levels[level + 1], masks, q_offsets, q_words, q_index, block_words, block_index, near,
                filled,
            )  # fmt: skip
            limit = limits[level]
            j = max(begin, resume)
            if NIBBLES and j < filled and not is_split:
                split_bucket(words, first, last, planes)
                is_split = True
            while j < filled:
                if not gathered:
                    j = next_near(words, first, last, planes, look_up, block_words, j, filled, limit)
                    if j >= filled:
                        break
                if found + high - low > room or out + high - low > room_out:
                    counters[PENDING], counters[OUT], counters[RESUME] = found, out, j
                    return position
                query = int(block_index[j])
                tiled = gathered or found > many or query >= tiled_queries
                if tiled and not gathered:
                    gathered = found > many
                    for t in range((last - first + 1) >> 1):
                        real[t] = -1
                if tiled:
                    prefetch(chunks, int(block_index[j + 8]) * m)
                    for t in range((last - first + 1) >> 1):
                        mask = lanes(words, first, last, planes, look_up, block_words[j], limit, t)
                        if not mask:
                            continue
                        if real[t] < 0:
                            gather(stored, table, b, low, high, first * 16, t, columns, tile_ids, real, canary)
                        mask &= canary[t] if query >= real_queries else real[t]
                        if mask and least:
                            mask &= lanes_beyond(columns, t * m + table - 1, chunks[query, table - 1], least)
                        if not mask:
                            continue
                        counters[TILED] += ones(mask)
                        mask = emitted(columns, t, chunks, query, mask, table, rules, radius, bits)
                        totals[query] += ones(mask)
                        while mask:
                            lane = lowest(mask)
                            mask &= mask - 1
                            if bits[m * TILE + lane] <= farthest[query]:
                                out = keep(
                                    out_query, out_id, out_distance, seen, counted, farthest, cap, out, np.int64(query),
                                    tile_ids[t * TILE + lane], np.uint64(bits[m * TILE + lane]),
                                )  # fmt: skip
                elif NIBBLES:
                    found = pick_lanes(
                        planes, look_up, low, high, block_words[j], limit, b << 24 | query, pending, found
                    )
                else:
                    found = pick(words, low, high, block_words[j], limit, b << 24 | query, pending, found)
                j += 1
        counters[VISITS] += filled
        counters[CANDIDATES] += filled * (high - low)
        resume = 0
        position += 1
    counters[PENDING], counters[OUT], counters[RESUME] = found, out, 0
    return position
