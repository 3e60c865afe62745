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
from pipeline.matching.core.compiled.laying import lay_out, name
from pipeline.matching.core.compiled.nibbles import lanes_of, split
from pipeline.matching.core.compiled.vectors import (
    any_within,
    lanes_beyond,
    lowest,
    near_queries,
    ones,
    prefetch,
    put64,
)
from pipeline.matching.core.compiled.verification import candidates, emitted, gather, keep_lanes

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
def split_bucket(words: Any, low: Any, high: Any, planes: Any, tail: Any) -> None:
    """Split the words [low, high) into blocks, whose lanes beyond them mean nothing; `tail`, 32 words, is scratch for the array's end."""
    for block in range((high - low + 31) >> 5):
        start = low + (block << 5)
        if start + 32 <= len(words):
            split(words, start, planes, block)
        else:
            for k in range(high - start):
                tail[k] = words[start + k]
            split(tail, 0, planes, block)


@inlined
def next_near(
    words: Any, low: Any, high: Any, planes: Any, look_up: Any, block_words: Any, j: Any, filled: Any, bounds: Any
) -> Any:
    """The first query from `j` on with a word of the bucket within its bound; `filled` where there is none."""
    if NIBBLES:
        return nibbles.next_near(planes, (high - low + 31) >> 5, block_words, bounds, j, filled, look_up)
    first, last = low >> 4, (high + 15) >> 4
    while j < filled and not any_within(words, first, last, block_words[j], bounds[j] - 1):
        j += 1
    return j


@inlined
def lanes(words: Any, first: Any, last: Any, planes: Any, look_up: Any, word: Any, limit: Any, t: Any) -> Any:
    """Lanes of tile `t`, a block, whose word passes; see `verification.candidates`."""
    if NIBBLES:
        return lanes_of(planes, t, word, limit, look_up)
    return candidates(words, first, last, word, limit, t)


@inlined
def next_hits(
    words: Any, low: Any, high: Any, block_words: Any, q_planes: Any, look_up: Any, bounds: Any, hits: Any, at: Any, resume: Any,
    filled: Any,
) -> Any:  # fmt: skip
    """Bit mask of the next of up to 64 queries, from `at` on, that a word of the bucket is near to, and where those after them begin.

    What is left of `hits` comes first; queries before `resume` were done. The mask is 0 where there is none.
    """
    while not hits and at < filled:
        if NIBBLES:
            hits = nibbles.near_queries(words, low, high, q_planes, look_up, bounds, at, filled)
        else:
            hits = near_queries(words, low, high, block_words, bounds, at, filled)
        if at < resume:
            hits &= -1 << (resume - at)
        at += 64
    return hits, at


@inlined
def pick(
    words: Any, planes: Any, look_up: Any, low: Any, high: Any, word: Any, limit: Any, third: Any, query: Any, pending: Any,
    found: Any,
) -> Any:  # fmt: skip
    """Add the entries of [low, high) within `limit` of `word`, and within `third` less in its lower half, to `pending`; returns its
    new length.

    `query` is `bucket << 24 | query`.
    """
    first, last = low >> 4, (high + 15) >> 4
    start = low if NIBBLES else first << 4
    for t in range((high - start + 31) >> 5):
        mask = lanes(words, first, last, planes, look_up, word, np.uint32(limit), t)
        if start < low:
            mask &= -1 << (low - start)
        if start + 32 > high:
            mask &= (1 << (high - start)) - 1
        while mask:
            entry = start + lowest(mask)
            mask &= mask - 1
            put64(pending, found << 3, entry << 40 | query)
            found += int(ones(np.int64(words[entry] ^ word) & 0xFFFF) + third <= limit)
        start += 32
    return found


@inlined
def admitted(columns: Any, column: Any, chunks: Any, query: Any, mask: Any, table: Any, most: Any, least: Any) -> Any:
    """Those lanes of `mask`, of a tile that begins with `column`, that `table` admits: at most `most` bits in the chunk after its
    own, at least `least` in the one before."""
    m = chunks.shape[1]
    after = (table + 1) % m
    mask &= ~lanes_beyond(columns, column + after, chunks[query, after], most + np.uint16(1))
    if mask and least:
        mask &= lanes_beyond(columns, column + table - 1, chunks[query, table - 1], least)
    return mask


@bare
def scan_buckets(  # noqa: PLR0912, PLR0915 - one function: arrays passed on to another cost more than the work, see `verification.keep`
    buckets: Any, position: Any, grouped: Any, asked: Any, probes: Any, block: Any, pending: Any, counters: Any,
    stored: Any, tile: Any, target: Any, sink: Any,
) -> Any:  # fmt: skip
    """Compare the buckets `buckets[position:]` of one table with all queries near them.

    `grouped`: offsets, words and index of `group_queries`, and the values that have queries, a bit each. `block`: scratch for words and numbers of all queries near a bucket and
    their bounds (`laying.py`), planes of the bucket and of the queries and the look-up table of `nibbles.py`, values that queries have,
    and a block of words. `probes`: masks, levels and limits as `laying.py` takes them; `by_queries`, whether a vector holds the queries
    near a bucket, and the entries pass by one after the other, or the entries, and the queries pass by; whether queries are sparse.
    Of the bits of a word at most its limit less the budget of its upper chunk may differ in the lower (see `plan.py`).
    Pairs that pass go to `pending` (int64, `entry of the table << 40 | bucket << 24 | query`). A bucket that gives many of them is
    gathered in tiles, and the queries that follow are compared with it in full at once; those pairs go to `sink`. The
    second half of the canary queries is always compared in tiles, so that a fault of either way shows. Both
    hold at least one full bucket. When the next visit might not fit, the kernel notes it in `counters` and returns, to
    be called again after the pairs were taken out. For `stored` see `reducing.py`, for `asked`, `tile`, `target` and `sink`
    `verification.py`.
    Returns the position reached.
    """
    q_offsets, q_words, q_index, occupied = grouped
    chunks, real_queries = asked
    offsets, words = stored[0], stored[1]
    columns, tile_ids, real, canary, bits = tile
    table, rules, radius = target
    m = chunks.shape[1]
    tiled_queries = (real_queries + len(chunks) + 1) // 2
    third = np.int64(rules[1, table]) - np.int64(rules[3, table])
    masks, levels, limits, by_queries, sparse = probes
    block_words, block_index, bounds, planes, q_planes, look_up, near, tail = block
    room, room_out = len(pending), len(sink[0])
    found, out, resume = counters[PENDING], counters[OUT], counters[RESUME]
    while position < len(buckets):
        b = np.int64(buckets[position])
        low, high = np.int64(offsets[b]), np.int64(offsets[b + 1])
        first, last = low >> 4, (high + 15) >> 4
        origin = low if NIBBLES else first << 4
        tiles = (high - origin + 31) >> 5
        laid = lay_out(b, masks, levels, limits, q_offsets, occupied, q_words, block_words, bounds, near, sparse)
        filled, noted = laid & 0xFFFFFFFF, laid >> 32
        many = found + (high - low) // DENSE + 32
        gathered, is_split, is_named = False, False, False
        j, at, hits = resume, resume >> 6 << 6, np.int64(0)
        if NIBBLES and by_queries:
            for query_block in range((filled + 31) >> 5):
                split(block_words, query_block << 5, q_planes, query_block)
        while True:
            if by_queries:
                hits, at = next_hits(words, low, high, block_words, q_planes, look_up, bounds, hits, at, resume, filled)
                if not hits:
                    break
                j = at - 64 + lowest(hits)
                hits &= hits - 1
            if NIBBLES and not is_split and filled:
                split_bucket(words, low, high, planes, tail)
                is_split = True
            if not by_queries and not gathered:
                j = next_near(words, low, high, planes, look_up, block_words, j, filled, bounds)
            if j >= filled:
                break
            if not is_named:
                name(b, levels[len(limits)], masks, q_offsets, q_index, block_index, near, noted)
                is_named = True
            limit = np.int64(bounds[j]) - 1
            if found + high - low > room or out + high - low > room_out:
                counters[PENDING], counters[OUT], counters[RESUME] = found, out, j
                return position
            query = int(block_index[j])
            tiled = gathered or found > many or query >= tiled_queries
            if tiled and not gathered:
                gathered = found > many
                for t in range(tiles):
                    real[t] = -1
            if tiled:
                prefetch(chunks, int(block_index[j + 8]) * m)
                for t in range(tiles):
                    mask = lanes(words, first, last, planes, look_up, block_words[j], np.uint32(limit), t)
                    if not mask:
                        continue
                    if real[t] < 0:
                        gather(stored, table, b, low, high, origin, t, columns, tile_ids, real, canary)
                    mask &= canary[t] if query >= real_queries else real[t]
                    if mask:
                        most = np.uint16(limit - third)
                        mask = admitted(columns, t * m, chunks, query, mask, table, most, rules[2, table])
                    if not mask:
                        continue
                    counters[TILED] += ones(mask)
                    mask = emitted(columns, t, chunks, query, mask, table, rules, radius, bits)
                    out = keep_lanes(mask, query, tile_ids, t, bits, m, sink, out)
            else:
                found = pick(
                    words, planes, look_up, low, high, block_words[j], limit, third, b << 24 | query, pending, found
                )
            j += 1
        counters[VISITS] += filled
        counters[CANDIDATES] += filled * (high - low)
        resume = 0
        position += 1
    counters[PENDING], counters[OUT], counters[RESUME] = found, out, 0
    return position
