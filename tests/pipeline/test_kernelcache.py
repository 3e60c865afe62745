"""A cache of compiled kernels that was filled before and cannot be written: everything is loaded, nothing stored."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.settings import ROOT

PROBE = """
import os, sys
import numpy as np
if sys.argv[1] == "read-only":
    can = os.access
    os.access = lambda path, mode, **more: not mode & os.W_OK and can(path, mode, **more)
from numba import config
from pipeline.fingerprint.hashes import pdq
from pipeline.matching.core.compiled import jit, reordering
pdq.pack(np.arange(256, dtype=np.float32))
values = reordering.reordered(np.arange(64, dtype=np.uint8).reshape(2, 32))
kernels = [pdq.pack, reordering.reorder32]
print(sum(sum(k.stats.cache_hits.values()) for k in kernels), sum(sum(k.stats.cache_misses.values()) for k in kernels))
print(jit.cached(), values.sum())
"""


def probe(cache: Path, how: str) -> list[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", PROBE, how]
    run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.split()


def files(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_a_filled_folder_is_read_and_an_empty_one_is_done_without(tmp_path: Path) -> None:
    filled, empty = tmp_path / "filled", tmp_path / "empty"
    empty.mkdir()
    hits, misses, *said = probe(filled, "writable")
    assert (hits, misses) == ("0", "2")
    before = files(filled)
    assert probe(filled, "read-only") == ["2", "0", *said]
    assert files(filled) == before
    hits, misses, *_ = probe(empty, "read-only")
    assert (hits, misses, files(empty)) == ("0", "2", {})
