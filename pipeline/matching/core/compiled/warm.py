"""Compiles (or loads from the cache) every kernel that a join needs, once per process, so that its seconds are told apart."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np

from pipeline.matching.core.compiled import kernels, reducing
from pipeline.matching.core.compiled.jit import Compilation
from pipeline.matching.core.driver import Groups, JoinThread
from pipeline.matching.core.groups import comparing
from pipeline.matching.core.index import layout
from pipeline.matching.core.index.checksum import quick_sum
from pipeline.matching.core.pairs import Queries
from pipeline.matching.core.plan import plan
from pipeline.matching.core.selection import nearest

_warm: set[int] = set()
_lock = threading.Lock()


def warm(chunks: int) -> float:
    """Make all kernels ready for hashes of `chunks` chunks; returns the seconds it took, 0.0 when they are."""
    with _lock:
        if chunks in _warm:
            return 0.0
        with Compilation() as compilation:
            _exercise(chunks)
        _warm.add(chunks)
    return compilation.seconds


class _Tiny:
    """One row of zeros in the shape of a mapped segment: read-only arrays, as mapped ones are."""

    def __init__(self, m: int) -> None:
        def frozen(shape: Any, dtype: Any) -> Any:
            array = np.zeros(shape, dtype)
            array.flags.writeable = False
            return array

        self._stored = (
            *(frozen(65537, np.uint32), frozen(16, np.uint32), frozen(64, np.uint8), frozen(2**14, np.uint8)),
            *(frozen(16, np.uint32), 1, np.zeros(7, np.int64), frozen((9, m - 3), np.uint16), frozen(m, np.uint16)),
            *(frozen(64, np.uint8), frozen(64, np.uint8), frozen((1, 2), np.int64), 1),
        )
        self.last_groups = np.zeros(1, np.int64)
        grouped = (
            *(frozen(8, np.uint32), frozen(1, np.uint16), frozen(2, np.uint32), frozen(512, np.uint16)),
            *(frozen(32, np.int64), frozen(1, np.int64), frozen(1, np.int64)),
        )
        self.groups = SimpleNamespace(stored=grouped, reach=grouped[1])

    def stored(self, _table: int) -> Any:
        return self._stored


def _exercise(m: int) -> None:
    tiny: Any = _Tiny(m)
    chunks = layout.to_chunks(np.zeros((layout.FEW + 1, 2 * m), np.uint8))[:1]
    queries = Queries(chunks, 1, 1)
    worker = JoinThread(queries, 64, 0)
    groups = Groups(np.zeros(65537, np.int32), np.zeros(17, np.uint32), np.zeros(17, np.uint32))
    kernels.group_queries(chunks, 0, groups.offsets, groups.words, groups.index)
    the_plan = plan(0, m)
    worker.buckets(tiny, 0, np.zeros(1, np.int64), groups, the_plan)
    worker.scan(tiny, 0, 1, the_plan)
    if m == comparing.CHUNKS:
        worker.groups(tiny, 0, 1, the_plan)
    offsets, words, rows, highs, _, span, how, hashes, *_ = tiny.stored(0)
    reducing.last_groups(offsets, words, rows, highs, span, how, hashes, np.zeros(1, np.int64))
    nearest(worker.found, 0, 1, 1, 1)
    quick_sum(tiny.stored(0)[1])
