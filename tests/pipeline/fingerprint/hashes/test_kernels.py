"""The kernel cache: found again by a later process, and not needed where nothing can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROBE = """
import numpy as np
from pipeline.fingerprint.hashes import pdq
pdq.pack(np.arange(256, dtype=np.float32))
stats = pdq.pack.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def probe(cache: Path) -> list[int]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    run = subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=True)
    return [int(word) for word in run.stdout.split()]


def test_a_later_process_loads_what_an_earlier_one_compiled(tmp_path: Path) -> None:
    assert probe(tmp_path / "kernels") == [0, 1]
    assert probe(tmp_path / "kernels") == [1, 0]
