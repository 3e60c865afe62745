"""Hashes put into their stored form, by millions: see `index/bitorder.py`, which has the same by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.matching.core.compiled import buildir
from pipeline.matching.core.compiled.jit import JIT, bare
from pipeline.matching.core.index import bitorder

_swap32: Any = buildir.reorder32
_swap8: Any = buildir.reorder8


@bare
def reorder32(hashes: Any, out: Any) -> None:
    for row in range(len(hashes)):
        _swap32(hashes, out, row)


@bare
def reorder8(hashes: Any, out: Any) -> None:
    for row in range(len(hashes)):
        _swap8(hashes, out, row)


def reordered(hashes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The stored form as bytes, uint8 (n, width)."""
    if not JIT:
        return bitorder.interpreted(hashes)
    out = np.empty(hashes.shape, np.uint8)
    given = np.ascontiguousarray(hashes).view()
    given.flags.writeable = False  # one compiled form, for mapped arrays and others
    (reorder32 if hashes.shape[1] == 32 else reorder8)(given, out)
    return out
