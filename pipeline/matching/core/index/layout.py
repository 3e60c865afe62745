"""What a perceptual hash algorithm looks like to the core: w bytes become m = w / 2 chunks of 16 bits, in the order of `bitorder.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline import algorithms
from pipeline.errors import UsageError
from pipeline.matching.core.index import bitorder

FEW = 256
"""So many hashes are put into their stored form without loading what is compiled for millions."""


@dataclass(frozen=True)
class IndexForm:
    """A perceptual hash as the core indexes it. `width` in bytes, `chunks` of 16 bits each."""

    name: str
    width: int

    @property
    def bits(self) -> int:
        return self.width * 8

    @property
    def chunks(self) -> int:
        return self.width // 2


FORMS = {name: IndexForm(name, algorithms.ALGORITHMS[name].width) for name in algorithms.INDEXED}


def algorithm(name: str) -> IndexForm:
    """The algorithm of that name; raises UsageError naming those that exist."""
    try:
        return FORMS[name]
    except KeyError:
        raise UsageError(f"{name!r} is no perceptual hash algorithm.", f"Use one of {', '.join(FORMS)}.") from None


def to_chunks(hashes: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Hashes, uint8 (n, width), to their stored form, uint16 (n, width / 2)."""
    if len(hashes) > FEW:
        from pipeline.matching.core.compiled import reordering  # loads Numba

        out = reordering.reordered(hashes)
    else:
        out = bitorder.interpreted(hashes)
    return out.view(np.uint16)


def as_hashes(values: Any, width: int) -> NDArray[np.uint8]:
    """Hashes as uint8 (n, width), from such an array or an Arrow column of binary values of that length.

    Raises UsageError for another width, a null or another type.
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        fixed = values.cast(pa.binary(width)) if values.type != pa.binary(width) else values
        if fixed.null_count:
            raise UsageError("A hash is null.", "Leave out rows without a hash.")
        data = np.frombuffer(memoryview(fixed.buffers()[1] or b""), np.uint8)
        return data[fixed.offset * width : (fixed.offset + len(fixed)) * width].reshape(-1, width)
    array = np.asarray(values)
    if array.size == 0:
        return np.empty((0, width), np.uint8)
    if array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != width:
        raise UsageError(
            f"Hashes have type {array.dtype} and shape {array.shape}.", f"They must be uint8 of shape (n, {width})."
        )
    return array


def as_ids(values: Any, count: int) -> NDArray[np.int64]:
    """Ids as int64 (count,), from an array or Arrow column; raises UsageError when they are not one per hash."""
    array = np.asarray(values, dtype=np.int64) if len(values) else np.empty(0, np.int64)
    if array.shape != (count,):
        raise UsageError(f"{array.size} ids were given for {count} hashes.", "There must be one id per hash.")
    return array
