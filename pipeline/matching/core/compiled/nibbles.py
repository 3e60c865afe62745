"""The filter of processors with AVX2 and no popcount of whole registers: distances by look-up of nibbles.

There LLVM makes a popcount of a register from a dozen instructions. `vpshufb` looks 32 nibbles up at once in a table
of 16 bytes: with the table "distance of this nibble of the query to each nibble", no exclusive or and no popcount is
left, only a look-up and an addition a nibble. For that the words of a bucket are split into planes: plane n holds
nibble n of 32 words, a byte each. A block is the eight planes of 32 words, which are the lanes of a tile.

Where a vector holds queries, it is their words that are split, and the words of the bucket are looked up with (`near_queries`).
Splitting costs about two visits. The words of a bucket are split where they are compared so, or an entry of it has to be picked out.
"""

# ruff: noqa: PLR0917 - compiled functions take their arrays by position

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.matching.core.compiled.jit import JIT
from pipeline.matching.core.compiled.processor import family

USED = family() == "avx2"
"""Whether the kernels of this process filter so; a constant when they are compiled."""

BLOCK = 256
"""Bytes of a block: eight planes of 32 words."""


def look_up() -> NDArray[np.uint8]:
    """Distance of nibble a to nibble b at 32 a + b and again at 32 a + 16 + b; from a multiple of 64 bytes on."""
    raw = np.zeros(16 * 32 + 64, np.uint8)
    table = raw[-raw.ctypes.data % 64 :][: 16 * 32]
    nibbles = np.arange(16, dtype=np.uint8)
    table.reshape(16, 2, 16)[:] = np.bitwise_count(nibbles[:, None, None] ^ nibbles[None, None, :])
    return table


def _split(words: Any, start: int, planes: Any, block: int) -> None:
    """Split words[start : start + 32] into block `block` of `planes` uint8, which begin at a whole line of 64 bytes."""
    shifts = 4 * np.arange(8, dtype=np.uint32)
    planes[BLOCK * block : BLOCK * (block + 1)] = (words[None, start : start + 32] >> shifts[:, None] & 15).reshape(-1)


def _distances(planes: Any, blocks: slice, word: int) -> Any:
    part = planes.reshape(-1, 8, 32)[blocks]
    nibbles = int(word) >> 4 * np.arange(8) & 15
    return np.bitwise_count(part ^ nibbles.astype(np.uint8)[None, :, None]).sum(axis=1)


def _next_near(planes: Any, blocks: int, asked: Any, bounds: Any, at: int, filled: int, look_up: Any) -> int:
    """The first of the queries asked[at:filled] that a word of the first `blocks` blocks is nearer to than its bound; else `filled`."""
    for query in range(at, filled):
        if (_distances(planes[: BLOCK * blocks], slice(0, blocks), int(asked[query])) < bounds[query]).any():
            return query
    return filled


def _near_queries(
    words: Any, low: int, high: int, planes: Any, look_up: Any, bounds: Any, at: int, filled: int
) -> int:  # fmt: skip
    """As `vectors._near_queries`, of queries whose words are split into `planes`; `at` is a multiple of 32."""
    least = np.full(64, 255)
    blocks = 1 if filled - at <= 32 else 2
    for word in words[low:high]:
        found = _distances(planes[: BLOCK * ((at >> 5) + blocks)], slice(at >> 5, (at >> 5) + blocks), int(word))
        least[: 32 * blocks] = np.minimum(least[: 32 * blocks], found.reshape(-1))
    return int(sum(1 << k for k in range(64) if least[k] < bounds[at + k]))


def _lanes_of(planes: Any, block: int, word: int, limit: int, look_up: Any) -> int:
    """Bit mask of the 32 words of a block that are within `limit` bits of `word`."""
    hits = _distances(planes[: BLOCK * (block + 1)], slice(block, block + 1), word)[0] <= limit
    return int(sum(1 << lane for lane in range(32) if hits[lane]))


def _fastest(name: str, twin: Any) -> Any:
    return getattr(importlib.import_module("pipeline.matching.core.compiled.nibbleir"), name) if JIT else twin


split, lanes_of = _fastest("split", _split), _fastest("lanes_of", _lanes_of)
next_near, near_queries = _fastest("next_near", _next_near), _fastest("near_queries", _near_queries)

__all__ = ["BLOCK", "USED", "lanes_of", "look_up", "near_queries", "next_near", "split"]
