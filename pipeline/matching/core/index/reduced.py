"""What an index leaves out and how it comes back: hashes without what their place in a table says, rows in 16 bits, short ids.

A hash is groups of four chunks. Of all groups but the last their difference to the last one is stored, and of the last group the
exclusive or of its chunks: m - 3 chunks. Whoever comes from table i knows chunks i, i+1 and i+2 (the bucket and the word of the
entry), so three chunks of the last group, so the fourth, so all.

Entries of a bucket are in the order of their rows. Of a row the low 16 bits are stored; the rest, `high`, ascends within a bucket b, and
entry e sets bit e + b span + high of the table's `highs`, where span is one more than the highest `high` (Elias, "Efficient storage and
retrieval by content and address of static files", JACM 1974). The place of every 256th entry is noted in `marks`, so that a large bucket
need not be counted from its beginning.

Of ids the least of every 256 rows is stored, and what the others have beyond it, in as few bytes as the farthest of them needs.

Here is what NumPy does for few queries; `compiled/reducing.py` has the same for the kernels, and for building.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GROUP = 4
"""Chunks of a group."""
MARKED = 256
"""Entries from one noted place to the next."""
BLOCK = 256
"""Rows whose ids are stored alike."""
BITS = 56
"""Bits that eight bytes hold from any place on."""


def span(total: int) -> int:
    """Different values of a row's bits from the 16th on, in a segment of `total` rows."""
    return (total - 1 >> 16) + 1


def recipe(table: int, m: int) -> NDArray[np.int64]:
    """How the last group follows from an entry of a table, int64 (7,): the stored chunk from which on is read, by how many bits that
    is shifted, which of the 48 bits then count, and by how many bits each of four chunks is shifted to its place in the group."""
    chunks = [(table + k) % m for k in range(GROUP)]
    stored = [k for k in range(3) if chunks[k] < m - GROUP]
    first = stored[0] if stored else 0
    at = chunks[first] if stored else 0
    mask = sum(0xFFFF << 16 * k for k in stored)
    return np.array([at, 16 * first, mask, *(16 * (c % GROUP) for c in chunks)], np.int64)


def kept_lanes(m: int, held: int) -> NDArray[np.uint16]:
    """All bits of the chunks that are among the `held` stored ones of a hash, none of the others, uint16 (m,)."""
    out = np.full(m, 0xFFFF, np.uint16)
    if held < m:
        out[m - GROUP :] = 0
    return out


def restored(
    stored: NDArray[np.uint16], table: int, m: int, bucket: NDArray[np.int64], word: NDArray[np.uint32]
) -> NDArray[np.uint16]:
    """Hashes, uint16 (n, m), of which uint16 (n, m - 3) is stored, from their buckets and words in a table."""
    known = np.stack([bucket, word & np.uint32(0xFFFF), word >> np.uint32(16)], axis=1).astype(np.uint16)
    for k in range(3):
        chunk = (table + k) % m
        if chunk < m - GROUP:
            known[:, k] ^= stored[:, chunk]
    fourth = stored[:, -1] ^ np.bitwise_xor.reduce(known, axis=1)
    last = np.roll(np.concatenate([known, fourth[:, None]], axis=1), table % GROUP, axis=1)
    return with_last(stored, last)


def with_last(stored: NDArray[np.uint16], last: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Hashes, uint16 (n, m), from what is stored of them and their last groups, uint16 (n, 4)."""
    groups = stored[:, :-1].reshape(len(stored), stored.shape[1] // GROUP, GROUP) ^ last[:, None, :]
    return np.concatenate([groups.reshape(len(stored), stored.shape[1] - 1), last], axis=1)


def places(
    highs: NDArray[np.uint8],
    marks: NDArray[np.uint32],
    entry: NDArray[np.int64],
    first: NDArray[np.int64],
    begin: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Which bit each entry sets, int64 (n,); its bucket has the entries from `first` on, and the bits from `begin` on."""
    mark = entry // MARKED
    noted = mark * MARKED > first
    place = np.where(noted, marks[mark].astype(np.int64), begin)
    left = entry - np.where(noted, mark * MARKED, first)
    word = _bits(highs, place)
    while (short := left >= np.bitwise_count(word)).any():
        left[short] -= np.bitwise_count(word[short])
        place[short] += BITS
        word[short] = _bits(highs, place[short])
    while (more := left > 0).any():
        word[more] &= word[more] - np.uint64(1)
        left[more] -= 1
    place += np.bitwise_count((word & -word) - np.uint64(1))
    return place


def _bits(highs: NDArray[np.uint8], place: NDArray[np.int64]) -> NDArray[np.uint64]:
    eight: NDArray[np.uint64] = highs[(place >> 3)[:, None] + np.arange(8)].view(np.uint64).reshape(-1)
    eight >>= (place & 7).astype(np.uint64)
    eight &= np.uint64(2**BITS - 1)
    return eight


def ids_of(short: NDArray[np.uint8], blocks: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids, int64 (n,), of rows."""
    block = rows // BLOCK
    size = blocks[block, 1] & 15
    at = (blocks[block, 1] >> 4) + rows % BLOCK * size
    beyond = np.zeros((len(rows), 8), np.uint8)
    for k in range(int(size.max(initial=0))):
        some = size > k
        beyond[some, k] = short[at[some] + k]
    ids: NDArray[np.int64] = beyond.view(np.int64).reshape(-1)
    ids += blocks[block, 0]
    return ids
