"""Hashes and indexes for the tests of the matching core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.matching import core
from pipeline.matching.core import driver
from pipeline.matching.core.compiled.jit import JIT

Hashes = NDArray[np.uint8]

EXAMPLES = 60 if JIT else 4
"""Hypothesis examples: the kernels as plain Python are a thousand times slower."""


def random_hashes(count: int, width: int, seed: int) -> Hashes:
    return np.random.default_rng(seed).integers(0, 256, (count, width), dtype=np.uint8)


def flipped(value: Hashes, bits: Any) -> Hashes:
    """A copy of one hash with these bits changed."""
    out = value.copy()
    for bit in bits:
        out[bit >> 3] ^= 1 << (bit & 7)
    return out


def pairs_of(hashes: Hashes, ids: Any = None) -> list[tuple[int, bytes]]:
    """(id, hash) of each row, for the naive twin."""
    keys = range(len(hashes)) if ids is None else ids
    return [(int(k), h.tobytes()) for k, h in zip(keys, hashes, strict=True)]


def build(folder: Path, hashes: Hashes, ids: Any = None, *, algorithm: str = "pdq") -> core.Index:
    """An index of these hashes, opened. Ids default to 0, 1, 2..."""
    keys = np.arange(len(hashes), dtype=np.int64) if ids is None else np.asarray(ids, np.int64)
    core.build_index([(keys, hashes)], folder, algorithm=algorithm, hasher_version="t1", release="7")
    return core.open_index(folder)


WAYS = [(by_queries, sparse) for by_queries in (False, True) for sparse in (False, True)]
"""The ways in which a bucket is compared: whether vectors hold queries, and whether few values have queries."""


def force_way(monkeypatch: pytest.MonkeyPatch, way: tuple[bool, bool]) -> None:
    """Take one of WAYS, whatever sizes would choose."""
    by_queries, sparse = way
    monkeypatch.setattr(driver.JoinThread, "_by_queries", lambda self, rows, masks: by_queries)
    monkeypatch.setattr(driver, "SPARSE", 2**40 if sparse else 0)
