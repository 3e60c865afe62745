"""The quick sum of an array (`index/checksum.py`), compiled: about 10 GB a second."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.matching.core.compiled.jit import JIT, bare

__all__ = ["JIT", "add"]


@bare
def add(words: Any, state: Any) -> None:
    """Go on with Fletcher's checksum over 64-bit words, modulo 2^64: any change of up to 64 neighbouring bits is found."""
    first, second = state[0], state[1]
    nothing = first ^ first
    whole = len(words) // 4
    # Four sums at a time: word 4 k + j is added to sum j, and sum j to its own total `whole` - k times.
    a = b = c = d = nothing
    aa = bb = cc = dd = nothing
    for k in range(whole):
        a += words[4 * k]
        b += words[4 * k + 1]
        c += words[4 * k + 2]
        d += words[4 * k + 3]
        aa += a
        bb += b
        cc += c
        dd += d
    second += first * np.uint64(4 * whole) + ((aa + bb + cc + dd) << np.uint64(2))
    second -= b + (c << np.uint64(1)) + d + (d << np.uint64(1))
    first += a + b + c + d
    for k in range(4 * whole, len(words)):
        first += words[k]
        second += first
    state[0] = first
    state[1] = second
