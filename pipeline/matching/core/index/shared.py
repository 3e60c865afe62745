"""Hashes that very many known media share: such a hash is stored once, with the list of their ids.

One black frame is in thousands of known videos, and a query near it would be compared with each of them. So the
first MOST_ALIKE media of a hash are rows of a plain segment like all others, and what comes after them goes to the list of that hash, in
a segment of shared hashes. Which rows of a plain segment are how many is counted in cells that several hashes may fall into: a
hash may come to a list early, which changes nothing in what is found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.matching.core.compiled.jit import bare
from pipeline.matching.core.compiled.vectors import prefetch

MOST_ALIKE = 16
"""Rows of a plain segment with the same hash. In a full segment four other hashes fall into the cell of one on the average, so that
one different hash in a million is taken for shared."""

MOST_HASHES = 2**20
"""Different shared hashes of one segment: each takes about 150 bytes until it is written."""

CELL_BITS = 22
_FACTOR, _SHIFT, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(64 - CELL_BITS), np.uint64(32)
"""2^64 divided by the golden ratio: multiplying by it spreads values over the high bits (Knuth, The Art of Computer Programming,
volume 3, section 6.4)."""


@bare
def _mark(hashes: Any, cells: Any, cell_of: Any, many: Any, most: int) -> None:
    """Count each hash, uint64 (n, m / 4), in its cell, uint8; `many`, bool (n,), tells those whose cell was full.

    `cell_of`, int64 (64,), is scratch: so many cells are asked for at a time, because they lie anywhere in the memory.
    """
    n, words = hashes.shape
    for begin in range(0, n, 64):
        end = min(begin + 64, n)
        for row in range(begin, end):
            mixed = np.uint64(0)
            for word in range(words):
                mixed = (mixed ^ hashes[row, word]) * _FACTOR
                mixed ^= mixed >> _HALF  # a product says nothing of high bits in its low ones
            cell_of[row - begin] = mixed >> _SHIFT
            prefetch(cells, cell_of[row - begin])
        for row in range(begin, end):
            cell = cell_of[row - begin]
            if cells[cell] < most:
                cells[cell] += 1
            else:
                many[row] = True


class Alike:
    """Takes the shared hashes out of what is written to an index; `count` ids wait for their segment."""

    def __init__(self, chunks: int) -> None:
        self._chunks = chunks
        self._cells, self._cell_of = np.zeros(2**CELL_BITS, np.uint8), np.zeros(64, np.int64)
        self._numbers: dict[bytes, int] = {}
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self.count = 0

    def sift(self, ids: NDArray[np.int64], chunks: NDArray[np.uint16]) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
        """Ids and hashes less those that are shared by many, which are kept for `taken`."""
        many = np.zeros(len(ids), bool)
        with np.errstate(over="ignore"):  # as plain Python the factor overflows with a warning
            _mark(np.ascontiguousarray(chunks).view(np.uint64), self._cells, self._cell_of, many, MOST_ALIKE)
        if not many.any():
            return ids, chunks
        rows = np.ascontiguousarray(chunks[many]).view(f"V{2 * self._chunks}").reshape(-1)
        values, which = np.unique(rows, return_inverse=True)
        numbers = [self._numbers.setdefault(value.tobytes(), len(self._numbers)) for value in values]
        self._parts.append((np.array(numbers, np.int64)[which], ids[many]))
        self.count += int(many.sum())
        return ids[~many], chunks[~many]

    def full(self, most: int) -> bool:
        """Whether what waits must be written: more than `most` ids, or very many hashes."""
        return self.count > 0 and (self.count > most or len(self._numbers) > MOST_HASHES)

    def taken(self) -> tuple[NDArray[np.uint16], NDArray[np.int64], NDArray[np.int64]]:
        """What was kept, once: hashes uint16 (k, m), where the ids of each begin int64 (k + 1,), and these, ascending for each hash."""
        numbers, ids = (np.concatenate([part[k] for part in self._parts]) for k in range(2))
        chunks = np.frombuffer(b"".join(self._numbers), np.uint16).reshape(-1, self._chunks).copy()
        order = np.lexsort((ids, numbers))
        starts = np.concatenate([[0], np.cumsum(np.bincount(numbers, minlength=len(chunks)))])
        self._numbers, self._parts, self.count = {}, [], 0
        return chunks, starts, ids[order]

    def forget(self) -> None:
        """Count anew: a plain segment is full."""
        self._cells[:] = 0
