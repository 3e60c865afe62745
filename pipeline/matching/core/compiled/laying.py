"""Lays the words of all queries that are near a bucket side by side, so that they can be compared with its entries.

A query is near a bucket whose value differs from its own chunk by one of some masks. No processor guesses whether a value has queries,
so that nothing branches on it. Of many queries most values have some: eight words are copied in any case, and what is too many is
written over by the next. Of few hardly any has: the values that do are noted first.
"""

# ruff: noqa: PLR0917 - compiled functions take their arrays by position

from __future__ import annotations

import importlib
from typing import Any

from pipeline.matching.core.compiled.jit import JIT, inlined
from pipeline.matching.core.compiled.vectors import copy8, word64

ENDS = 0xFFFFFFFF


def _lay_out(
    bucket: int, masks: Any, levels: Any, limits: Any, q_offsets: Any, q_words: Any, block_words: Any, bounds: Any, near: Any,
    sparse: bool,
) -> int:  # fmt: skip
    """Fill `block_words` uint32 with the words of the queries near `bucket`, and `bounds` uint8 with what each must be nearer than.

    `masks` int64, of which masks[levels[t]:levels[t + 1]] are asked about within `limits[t]` bits, uint32, by one `bound` more;
    `q_offsets` int32 and `q_words` uint32 as `kernels.group_queries` fills them. 64 bounds of 0 follow the last. Where queries are
    `sparse` the values that have some are left in `near`, int64, `first | after the last << 32`.
    Returns how many words there are, and the values noted << 32.
    """
    filled = noted = 0
    for level, limit in enumerate(limits):
        begin = filled
        for mask in masks[levels[level] : levels[level + 1]]:
            first, last = (int(end) for end in q_offsets[bucket ^ mask : (bucket ^ mask) + 2])
            if sparse and last > first:
                near[noted] = first | last << 32
                noted += 1
            block_words[filled : filled + last - first] = q_words[first:last]
            filled += last - first
        bounds[begin:filled] = limit + 1
    bounds[filled : filled + 64] = 0
    return filled | noted << 32


@inlined
def _copied(both: Any, source: Any, target: Any, filled: Any) -> Any:
    """Copy the entries of a value, `first | after the last << 32`, to `target` from `filled` on; returns the end."""
    first, count = both & ENDS, (both >> 32) - (both & ENDS)
    copy8(target, filled, source, first)
    for more in range(8, count, 8):
        copy8(target, filled + more, source, first + more)
    return filled + count


@inlined
def name(
    bucket: Any, stop: Any, masks: Any, q_offsets: Any, q_index: Any, block_index: Any, near: Any, noted: Any
) -> None:
    """The numbers of the queries that `lay_out` put side by side, uint32; asked for where one of them is near."""
    filled = bucket - bucket  # int64, as what is added to it
    if noted:
        for k in range(noted):
            filled = _copied(word64(near, k << 3), q_index, block_index, filled)
    else:
        for k in range(stop):
            both = word64(q_offsets, (bucket ^ word64(masks, k << 3)) << 2)
            filled = _copied(both, q_index, block_index, filled)


lay_out: Any = (
    importlib.import_module("pipeline.matching.core.compiled.layingir").lay_out if JIT else _lay_out
)  # a function of its own, as those of `vectors.py`

__all__ = ["lay_out", "name"]
