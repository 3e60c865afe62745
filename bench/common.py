"""What every bench shares: which machine and versions a result belongs to, CPU time, and where results go."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


VECTORS = ("avx", "sse4", "ssse3", "popcnt", "asimd")
"""Beginnings of the names of processor features that decide how fast bits are counted."""


def compiled_for() -> dict[str, Any]:
    """What LLVM was told to compile the kernels of this process for, and the family of kernels that follows from it."""
    from pipeline.matching.core.compiled import processor

    _, name, features = processor.target()
    return {
        "family": processor.family(),
        "llvm_processor": name,
        "llvm_features": sorted(f for f in features if f.startswith(VECTORS)),
    }


def machine() -> dict[str, Any]:
    """Processor model, cores, memory and Python: what a figure must be read with. No host name, no path."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    flags = next(
        (
            line.split(":", 1)[1].split()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("flags")
        ),
        [],
    )
    return {
        "processor": model,
        "vector_extensions": sorted(f for f in flags if f.startswith(VECTORS)),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
    }


def versions(*names: str) -> dict[str, str]:
    """Versions of the distributions that a bench depends on."""
    return {name: importlib.metadata.version(name) for name in names}


def cpu_seconds(children: bool = True) -> float:
    """CPU seconds of this process so far (all threads), and of its ended children."""
    own = time.process_time()
    if not children:
        return own
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own + usage.ru_utime + usage.ru_stime


def median_cpu(work: Callable[[], Any], rounds: int = 3) -> float:
    """Median CPU seconds of `work` over `rounds` runs."""
    seconds = []
    for _ in range(rounds):
        start = cpu_seconds()
        work()
        seconds.append(cpu_seconds() - start)
    return statistics.median(seconds)


def committed(name: str) -> dict[str, Any]:
    """The result that stands in bench/results; empty where there is none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def save(name: str, result: dict[str, Any]) -> Path:
    """Write bench/results/<name>.json."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    return path
