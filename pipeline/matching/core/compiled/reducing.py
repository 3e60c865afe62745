"""What an index leaves out (said in `index/reduced.py`) and how it comes back, compiled: for the kernels, and for building.

`stored`, everywhere: what a table and its segment hold. `offsets` uint32 and `words` uint32 of the table; `rows` uint8, two bytes per
entry; `highs` uint8, `marks` uint32 and `span`; `recipe` int64 (7,); `hashes` uint16 (rows, held); `kept` uint16 (m,); `dead` bit map;
`ids` uint8 and `blocks` int64 (k, 2); and the row from which on rows are canaries. In a segment of an earlier format span is 0: rows have
three bytes, hashes are whole, ids int64.
"""

# ruff: noqa: PLR0917 - compiled functions take their arrays by position

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.matching.core.compiled.jit import bare, inlined
from pipeline.matching.core.compiled.vectors import lowest, nth, ones, put64, word64

_MASKS = np.array([*((1 << 8 * size) - 1 for size in range(8)), -1], np.int64)
_56 = 2**56 - 1


@inlined
def bits_from(highs: Any, place: Any) -> Any:
    """56 bits from `place` on."""
    return (word64(highs, place >> 3) >> (place & 7)) & _56


@inlined
def place_of(highs: Any, marks: Any, entry: Any, first: Any, begin: Any) -> Any:
    """The bit that an entry sets; its bucket has the entries from `first` on, and the bits from `begin` on."""
    place, left = begin, entry - first
    if entry & ~255 > first:
        place, left = np.int64(marks[entry >> 8]), entry & 255
    word = bits_from(highs, place)
    count = ones(word)
    while left >= count:
        left -= count
        place += 56
        word = bits_from(highs, place)
        count = ones(word)
    return place + nth(word, left)


@inlined
def next_place(highs: Any, place: Any) -> Any:
    """The first bit that is set beyond `place`."""
    place += 1
    word = bits_from(highs, place)
    while word == 0:
        place += 56
        word = bits_from(highs, place)
    return place + lowest(word)


@inlined
def row_number(rows: Any, highs: Any, marks: Any, span: Any, offsets: Any, bucket: Any, entry: Any) -> Any:
    """The row of an entry."""
    if span == 0:
        at = 3 * entry
        return np.int64(rows[at]) | np.int64(rows[at + 1]) << 8 | np.int64(rows[at + 2]) << 16
    first = np.int64(offsets[bucket])
    origin = bucket * span
    high = place_of(highs, marks, entry, first, first + origin) - entry - origin
    return np.int64(rows[2 * entry]) | np.int64(rows[2 * entry + 1]) << 8 | high << 16


@inlined
def last_group(hashes: Any, row: Any, recipe: Any, span: Any, bucket: Any, word: Any) -> Any:
    """The last four chunks of a hash, the first in the lowest bits; 0 where hashes are whole."""
    if span == 0:
        return np.int64(0)
    held = hashes.shape[1]
    known = (word64(hashes, 2 * (row * held + recipe[0])) << recipe[1]) & recipe[2]
    known ^= np.int64(word) << 16 | bucket
    fourth = (np.int64(hashes[row, held - 1]) ^ known ^ known >> 16 ^ known >> 32) & 0xFFFF
    return (
        (known & 0xFFFF) << recipe[3]
        | (known >> 16 & 0xFFFF) << recipe[4]
        | (known >> 32) << recipe[5]
        | fourth << recipe[6]
    )


@inlined
def id_place(blocks: Any, row: Any) -> Any:
    """Where the id of a row is in `ids`."""
    if len(blocks) == 0:
        return 8 * row
    packed = blocks[row >> 8, 1]
    return (packed >> 4) + (row & 255) * (packed & 15)


@inlined
def known_id(ids: Any, blocks: Any, row: Any) -> Any:
    """The id of a row."""
    value = word64(ids, id_place(blocks, row))
    if len(blocks) == 0:
        return value
    return blocks[row >> 8, 0] + (value & _MASKS[blocks[row >> 8, 1] & 15])


@bare
def last_groups(offsets: Any, words: Any, rows: Any, highs: Any, span: Any, recipe: Any, hashes: Any, out: Any) -> None:
    """`last_group` of every row of a segment, int64 (rows,), from one table; not of one of an earlier format."""
    place = np.int64(-1)
    for bucket in range(65536):
        for entry in range(np.int64(offsets[bucket]), np.int64(offsets[bucket + 1])):
            place = next_place(highs, place)
            row = np.int64(rows[2 * entry]) | np.int64(rows[2 * entry + 1]) << 8 | (place - entry - bucket * span) << 16
            out[row] = last_group(hashes, row, recipe, span, bucket, np.int64(words[entry]))


@bare
def reduce(chunks: Any, out: Any, at: Any) -> None:
    """What is stored of hashes, uint16 (n, m), to the n rows of `out`, uint16 (rows, m - 3), from `at` on; what is beyond them is lost."""
    n, m = chunks.shape
    place = 2 * (m - 3) * at
    for row in range(n):
        begin = 2 * m * row
        last = word64(chunks, begin + 2 * m - 8)
        for group in range(m // 4 - 1):
            put64(out, place, word64(chunks, begin + 8 * group) ^ last)
            place += 8
        put64(out, place, last ^ last >> 16 ^ last >> 32 ^ last >> 48)
        place += 2


@bare
def widths(ids: Any, blocks: Any, origin: Any) -> Any:
    """Fill `blocks`, int64 (k, 2), for ids, int64 (n,): the least id of every 256, and `place << 4 | bytes of those beyond it`.

    Places count from `origin` on. Returns how many bytes all take.
    """
    place = np.int64(origin)
    for block in range(len(blocks)):
        begin, end = 256 * block, min(256 * block + 256, len(ids))
        low, high = ids[begin], ids[begin]
        for row in range(begin, end):
            low, high = min(low, ids[row]), max(high, ids[row])
        size = np.int64(0)
        while size < 8 and (high - low) >> (8 * size) != 0:
            size += 1
        blocks[block, 0] = low
        blocks[block, 1] = place << 4 | size
        place += (end - begin) * size
    return place - origin


@bare
def shorten(ids: Any, blocks: Any, out: Any) -> None:
    """Write what ids, int64 (n,), have beyond the least of their block to `out`, uint8."""
    place = np.int64(0)
    for block in range(len(blocks)):
        size = blocks[block, 1] & 15
        for row in range(256 * block, min(256 * block + 256, len(ids))):
            beyond = ids[row] - blocks[block, 0]
            for k in range(size):
                out[place] = beyond >> (8 * k) & 255
                place += 1
