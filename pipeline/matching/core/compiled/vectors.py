"""Vector primitives of the kernels, written as LLVM IR through Numba's intrinsics, each with a plain Python twin.

LLVM lowers them to what the processor has: `vpopcntd` on 512-bit registers (AVX-512 VPOPCNTDQ), nibble look-ups by
`vpshufb` on AVX2, NEON `cnt` on ARM. Explicit vector types are used because LLVM's own vectoriser prefers 256-bit
registers on Intel and would halve the rate. The Python twins run when the JIT is switched off.

Everywhere: `words` is uint32 with a multiple of 16 entries, aligned to 64 bytes; `hashes` is uint16 (rows, m), m chunks
of 16 bits per row; thresholds are numbers of differing bits.
"""

# ruff: noqa: PLR0917 - the twins take what compiled functions take: arrays by position

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from pipeline.matching.core.compiled.jit import JIT

LANES = 16
"""32-bit words compared by one vector instruction."""

TILE = 32
"""Hashes compared at a time, chunk by chunk, in a tile."""


def _popcount(values: Any) -> Any:
    return np.bitwise_count(values)


def _any_within(words: Any, first: int, last: int, query: int, limit: int) -> bool:
    """Whether any of the words in vectors [first, last) is within `limit` bits of `query`."""
    block = words[first * LANES : last * LANES]
    return bool((_popcount(block ^ np.uint32(query)) <= limit).any())


def _near_queries(words: Any, low: int, high: int, asked: Any, bounds: Any, at: int, filled: int) -> int:
    """Bit mask of those of the queries asked[at : min(at + 64, filled)] that any of words[low:high] is nearer to, in bits, than their
    bound, uint8. `asked`, uint32, and `bounds` reach 64 entries beyond `filled`; a bound there is 0, which nothing is nearer than."""
    least = _popcount(words[low:high, None] ^ asked[None, at : at + 64]).min(axis=0, initial=255)
    return int(sum(1 << k for k in range(64) if at + k < filled and least[k] < bounds[at + k]))


def _within(words: Any, vector: int, query: int, limit: int) -> int:
    """Bit mask of the lanes of one vector of words that are within `limit` bits of `query`."""
    block = words[vector * LANES : (vector + 1) * LANES]
    hits = _popcount(block ^ np.uint32(query)) <= limit
    return int(sum(1 << lane for lane in range(LANES) if hits[lane]))


def _lowest(mask: int) -> int:
    """Position of the lowest set bit; `mask` is not 0."""
    return (int(mask) & -int(mask)).bit_length() - 1


def _nth(mask: int, k: int) -> int:
    """Position of the set bit of `mask`, 64 bits, that has `k` set bits below it."""
    return [bit for bit in range(64) if mask >> bit & 1][k]


def _ones(mask: int) -> int:
    """How many bits of `mask`, which is not negative, are set."""
    return int(mask).bit_count()


def _prefetch(array: Any, index: int) -> None:
    """Ask for the cache line of `array[index]`; no effect on results."""


def _word64(array: Any, byte: int) -> int:
    """The eight bytes of an array from `byte` on, as a number, int64; the array holds them."""
    size = array.itemsize
    part = array.reshape(-1)[byte // size : (byte + 7) // size + 1].tobytes()
    return int.from_bytes(part[byte % size : byte % size + 8], "little", signed=True)


def _put64(array: Any, byte: int, value: int) -> None:
    """Write a number, int64, to the eight bytes of an array from `byte` on."""
    array.reshape(-1).view(np.uint8)[byte : byte + 8] = np.frombuffer(
        (int(value) & 2**64 - 1).to_bytes(8, "little"), np.uint8
    )


def _whole(hashes: Any, row: int, kept: Any, last: int) -> Any:
    """A hash, uint16 (m,), of which row `row` of `hashes` is stored; see `index/reduced.py`."""
    m = len(kept)
    stored = np.zeros(m, np.uint16)
    held = min(m, hashes.shape[1])
    stored[:held] = hashes[row, :held]
    group = np.array([last >> 16 * k & 0xFFFF for k in range(4)], np.uint16)
    return stored & kept ^ np.tile(group, m // 4)


def _distance(hashes: Any, row: int, kept: Any, last: int, queries: Any, query: int) -> int:
    """Hamming distance of a stored hash and a query hash; `last` is the hash's last group."""
    return int(_popcount(_whole(hashes, row, kept, last) ^ queries[query]).sum())


def _verdict(hashes: Any, row: int, kept: Any, last: int, queries: Any, query: int, rules: Any) -> int:
    """Distance and the tables that would find this pair: `distance << 16 | first admissible table`.

    `last` is the last group of the stored hash. `rules` is uint16 (4, m): most bits of chunk i; most bits of chunks i, i+1, i+2; least bits of chunk
    i-1; most bits of chunks i, i+1.
    The low part is 16 when no table admits the pair.
    """
    d = _popcount(_whole(hashes, row, kept, last) ^ queries[query]).astype(np.int64)
    two = d + np.roll(d, -1)
    three = two + np.roll(d, -2)
    admits = (d <= rules[0]) & (three <= rules[1]) & (np.roll(d, 1) >= rules[2]) & (two <= rules[3])
    table = int(np.argmax(admits)) if admits.any() else 16
    return int(d.sum()) << 16 | table


def _mask(hits: Any) -> int:
    return int(sum(1 << lane for lane in range(TILE) if hits[lane]))


def _lanes_beyond(columns: Any, column: int, value: int, least: int) -> int:
    """Bit mask of the lanes of a column, uint16 (32,), that differ from `value` in at least `least` bits."""
    return _mask(_popcount(columns[column * TILE : (column + 1) * TILE] ^ np.uint16(value)) >= least)


def _xor_column(columns: Any, to: int, column: int) -> None:
    """Column `to`, uint16 (32,), becomes its exclusive or with another."""
    columns[to * TILE : (to + 1) * TILE] ^= columns[column * TILE : (column + 1) * TILE]


def _lanes_near(columns: Any, tile: int, queries: Any, query: int, radius: int, bits: Any) -> int:
    """Bit mask of the 32 hashes of a tile, m columns, that are within `radius` of a query.

    Fills `bits` uint16 (m + 1, 32), flat: differing bits of each chunk, and in all.
    """
    m = queries.shape[1]
    values = columns[tile * m * TILE : (tile + 1) * m * TILE].reshape(m, TILE) ^ queries[query][:, None]
    out = bits.reshape(m + 1, TILE)
    out[:m] = _popcount(values)
    out[m] = out[:m].sum(axis=0)
    return _mask(out[m] <= radius)


def _lanes_admitted(bits: Any, table: int, rules: Any) -> int:
    """Bit mask of the lanes of `bits`, as `_lanes_near` fills it, that `table` admits; `rules` as in `_verdict`."""
    m = rules.shape[1]
    d = bits.reshape(m + 1, TILE)[:m].astype(np.int64)
    two = d[table] + d[(table + 1) % m]
    three = two + d[(table + 2) % m]
    runs = (d[table] <= rules[0, table]) & (two <= rules[3, table]) & (three <= rules[1, table])
    return _mask(runs & (d[table - 1] >= rules[2, table]))


def _fastest(name: str, twin: Any) -> Any:
    return getattr(importlib.import_module("pipeline.matching.core.compiled.llvm"), name) if JIT else twin


any_within = _fastest("any_within", _any_within)
near_queries = _fastest("near_queries", _near_queries)
within = _fastest("within", _within)
lowest, ones, nth = _fastest("lowest", _lowest), _fastest("ones", _ones), _fastest("nth", _nth)
prefetch = _fastest("prefetch", _prefetch)
word64, put64 = _fastest("word64", _word64), _fastest("put64", _put64)
distance4, distance16 = _fastest("distance4", _distance), _fastest("distance16", _distance)
verdict4, verdict16 = _fastest("verdict4", _verdict), _fastest("verdict16", _verdict)
lanes_beyond = _fastest("lanes_beyond", _lanes_beyond)
xor_column = _fastest("xor_column", _xor_column)
lanes_near4, lanes_near16 = _fastest("lanes_near4", _lanes_near), _fastest("lanes_near16", _lanes_near)
lanes_admitted4 = _fastest("lanes_admitted4", _lanes_admitted)
lanes_admitted16 = _fastest("lanes_admitted16", _lanes_admitted)

__all__ = [
    "LANES",
    "TILE",
    "any_within",
    "distance4",
    "distance16",
    "lanes_admitted4",
    "lanes_admitted16",
    "lanes_beyond",
    "lanes_near4",
    "lanes_near16",
    "lowest",
    "near_queries",
    "nth",
    "ones",
    "prefetch",
    "put64",
    "verdict4",
    "verdict16",
    "within",
    "word64",
    "xor_column",
]
