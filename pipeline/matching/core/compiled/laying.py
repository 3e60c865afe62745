"""Lays the words of all queries that are near a bucket side by side, so that they can be compared with its entries.

A query is near a bucket whose value differs from its own chunk by one of some masks. No processor guesses whether a value has queries,
so that nothing branches on it. Of many queries most values have some: eight words are copied in any case, and what is too many is
written over by the next. Of few hardly any has: the values that do are noted first.
"""

# ruff: noqa: PLR0917 - the twins take what compiled functions take: arrays by position

from __future__ import annotations

import importlib
from typing import Any

from pipeline.matching.core.compiled.jit import JIT

ENDS = 0xFFFFFFFF


def _lay_out(
    bucket: int, masks: Any, levels: Any, limits: Any, q_offsets: Any, occupied: Any, q_words: Any, block_words: Any, bounds: Any,
    near: Any, sparse: bool,
) -> int:  # fmt: skip
    """Fill `block_words` uint32 with the words of the queries near `bucket`, and `bounds` uint8 with what each must be nearer than.

    `masks` int64, of which masks[levels[t]:levels[t + 1]] are asked about within `limits[t]` bits, uint32, by one `bound` more;
    `q_offsets` int32 and `q_words` uint32 as `kernels.group_queries` fills them. 64 bounds of 0 follow the last. Where queries are
    `sparse` the values that have some, of which there is a bit in `occupied` uint8 (8192,), are left in `near`, int64, `first | after
    the last << 32`. (Of the offsets themselves, those of neighbours lie where a processor's nearest cache has room for few of them.)
    Returns how many words there are, and the values noted << 32.
    """
    filled = noted = 0
    for level, limit in enumerate(limits):
        begin = filled
        for mask in masks[levels[level] : levels[level + 1]]:
            first, last = (int(end) for end in q_offsets[bucket ^ mask : (bucket ^ mask) + 2])
            if sparse and occupied[(bucket ^ mask) >> 3] >> ((bucket ^ mask) & 7) & 1:
                near[noted] = first | last << 32
                noted += 1
            block_words[filled : filled + last - first] = q_words[first:last]
            filled += last - first
        bounds[begin:filled] = limit + 1
    bounds[filled : filled + 64] = 0
    return filled | noted << 32


def _name(
    bucket: int, stop: int, masks: Any, q_offsets: Any, q_index: Any, block_index: Any, near: Any, noted: int
) -> None:  # fmt: skip
    """Fill `block_index` uint32 with the numbers of the queries that `lay_out` put side by side; asked for where one of them is near."""
    filled = 0
    values = [int(both) for both in near[:noted]]
    for mask in () if noted else masks[:stop]:
        first, last = (int(end) for end in q_offsets[bucket ^ mask : (bucket ^ mask) + 2])
        values.append(first | last << 32)
    for both in values:
        first, last = both & ENDS, both >> 32
        block_index[filled : filled + last - first] = q_index[first:last]
        filled += last - first


def _fastest(name: str, twin: Any) -> Any:
    return getattr(importlib.import_module("pipeline.matching.core.compiled.layingir"), name) if JIT else twin


lay_out, name = _fastest("lay_out", _lay_out), _fastest("name", _name)

__all__ = ["lay_out", "name"]
