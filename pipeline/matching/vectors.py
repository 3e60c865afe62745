"""Vector primitives of the kernels, written as LLVM IR through Numba's intrinsics, each with a plain Python twin.

LLVM lowers them to what the processor has: `vpopcntd` on 512-bit registers (AVX-512 VPOPCNTDQ), nibble look-ups by
`vpshufb` on AVX2, NEON `cnt` on ARM. Explicit vector types are used because LLVM's own vectoriser prefers 256-bit
registers on Intel and would halve the rate. The Python twins run when the JIT is switched off.

Everywhere: `words` is uint32 with a multiple of 16 entries, aligned to 64 bytes; `hashes` is uint16 (rows, m), m chunks
of 16 bits a row; thresholds are numbers of differing bits.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from pipeline.matching.jit import JIT

LANES = 16
"""32-bit words compared by one vector instruction."""


def _popcount(values: Any) -> Any:
    return np.bitwise_count(values)


def _any_within(words: Any, first: int, last: int, query: int, limit: int) -> bool:
    """Whether any of the words in vectors [first, last) is within `limit` bits of `query`."""
    block = words[first * LANES : last * LANES]
    return bool((_popcount(block ^ np.uint32(query)) <= limit).any())


def _within(words: Any, vector: int, query: int, limit: int) -> int:
    """Bit mask of the lanes of one vector of words that are within `limit` bits of `query`."""
    block = words[vector * LANES : (vector + 1) * LANES]
    hits = _popcount(block ^ np.uint32(query)) <= limit
    return int(sum(1 << lane for lane in range(LANES) if hits[lane]))


def _lowest(mask: int) -> int:
    """Position of the lowest set bit; `mask` is not 0."""
    return (int(mask) & -int(mask)).bit_length() - 1


def _copy8(target: Any, at: int, source: Any, start: int) -> None:
    """Copy eight entries; both arrays reach at least eight entries beyond the last one used."""
    target[at : at + 8] = source[start : start + 8]


def _prefetch(array: Any, index: int) -> None:
    """Ask for the cache line of `array[index]`; no effect on results."""


def _distance(hashes: Any, row: int, queries: Any, query: int) -> int:
    """Hamming distance of a stored hash and a query hash."""
    return int(_popcount(hashes[row] ^ queries[query]).sum())


def _verdict(hashes: Any, row: int, queries: Any, query: int, rules: Any) -> int:
    """Distance and the tables that would find this pair: `distance << 16 | first admissible table`.

    `rules` is uint16 (3, m): most bits of chunk i; most bits of chunks i, i+1, i+2; least bits of chunk i-1.
    The low part is 16 when no table admits the pair.
    """
    d = _popcount(hashes[row] ^ queries[query]).astype(np.int64)
    three = d + np.roll(d, -1) + np.roll(d, -2)
    admits = (d <= rules[0]) & (three <= rules[1]) & (np.roll(d, 1) >= rules[2])
    table = int(np.argmax(admits)) if admits.any() else 16
    return int(d.sum()) << 16 | table


def _fastest(name: str, twin: Any) -> Any:
    return getattr(importlib.import_module("pipeline.matching.llvm"), name) if JIT else twin


any_within = _fastest("any_within", _any_within)
within = _fastest("within", _within)
lowest = _fastest("lowest", _lowest)
copy8 = _fastest("copy8", _copy8)
prefetch = _fastest("prefetch", _prefetch)
distance4, distance16 = _fastest("distance4", _distance), _fastest("distance16", _distance)
verdict4, verdict16 = _fastest("verdict4", _verdict), _fastest("verdict16", _verdict)

__all__ = [
    "LANES",
    "any_within",
    "copy8",
    "distance4",
    "distance16",
    "lowest",
    "prefetch",
    "verdict4",
    "verdict16",
    "within",
]
