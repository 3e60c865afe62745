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


LINKED = """
import sys
import numpy as np
from numba.core.registry import cpu_target
from pipeline.kernelcache import compiled
sys.path.insert(0, sys.argv[1])
import kernels
asked = []
context = cpu_target.target_context
refresh = context.refresh
context.refresh = lambda: (asked.append(1), refresh())
print(kernels.double(np.uint64(20)), len(asked), end=" ")
try:
    kernels.double(np.uint64(0))
except ValueError as error:
    print(error, end=" ")
def through(value):
    return kernels.double(value) + np.uint64(1)
through.__module__ = "kernels"
print(compiled(through)(np.uint64(20)), len(asked) > 0)
"""
KERNELS = """
import numpy as np
from pipeline.kernelcache import compiled

def _halved(value):
    if value == 0:
        raise ValueError("nothing")
    return value >> np.uint64(1)

halved = compiled(_halved)

def _double(value):
    return halved(value) * np.uint64(4)

double = compiled(_double)
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_what_is_loaded_needs_no_compiler_and_can_be_taken_into_what_is_compiled(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(KERNELS)
    (tmp_path / "filled").mkdir()
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "filled")}

    def said() -> list[str]:
        command = [sys.executable, "-c", LINKED, str(tmp_path)]
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()

    first, asked, *rest = said()
    assert (first, int(asked) > 0, rest) == ("40", True, ["nothing", "41", "True"])
    assert said() == ["40", "0", *rest]
