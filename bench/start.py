"""How long commands take before they work: `python -m bench.start`. CPU seconds of whole processes, the median of several.

`triage --help`, and `triage lookup` of a digest and of a perceptual hash in a small release (the second loads the
matching kernels). Then the kernels of matching and index building: compiled anew, loaded from a folder
that was filled, and loaded from a folder that was filled and is read-only. Writes bench/results/start.json.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import common
from pipeline.settings import ROOT

KERNELS = """
import os, sys, time
if sys.argv[1] == "read-only":  # as on a read-only file system, whoever runs this
    can = os.access
    os.access = lambda path, mode, **more: not mode & os.W_OK and can(path, mode, **more)
from pipeline.matching.core.index.build import warm_build
from pipeline.matching.core.compiled.warm import warm
for chunks, algorithm in ((16, "pdq"), (4, "phash64")):
    warm(chunks)
    warm_build(algorithm)
print(time.process_time())
"""
"""All kernels of the matching core and of index building."""


def cpu(*command: str, **more: str) -> tuple[float, str]:
    """CPU seconds of a process and its children, and what it printed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TRIAGE")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env={**kept, **more}, cwd=ROOT, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def median(rounds: int, *command: str, **more: str) -> float:
    return round(statistics.median(cpu(*command, **more)[0] for _ in range(rounds)), 3)


def run(folder: Path, rounds: int) -> dict[str, Any]:
    triage = [sys.executable, "-m", "pipeline"]
    home = {"TRIAGE_HOME": str(folder / "home"), "TRIAGE_LOG_LEVEL": "ERROR", "TRIAGE_THREADS": "1"}
    (folder / "password").write_text("synthetic password 1\n")
    own = pwd.getpwuid(os.getuid()).pw_name
    people = ["users", "first", own, "--name", "Bench", "--password-file", str(folder / "password")]
    cpu(*triage, *people, **home)
    cpu(*triage, "users", "change", own, "--role", "administrator", "--role", "dmi", **home)
    for words in (["sample", "--referrals", "4", "--seed", "1"], ["hashset", "import"], ["hashset", "build"]):
        cpu(*triage, *words, **home)
    text = "".join(p.read_text(errors="replace") for p in (folder / "home" / "landing" / "hashsets").rglob("*.json"))
    md5 = re.findall(r'"MD5": *"([0-9A-Fa-f]{32})"', text)[0]
    pdq = re.findall(r'"HashValue": *"([0-9a-fA-F]{64})"', text)[0]
    asking = ["--reason", "bench"]
    result: dict[str, Any] = {
        "machine": common.machine(),
        "compiled_for": common.compiled_for(),
        "versions": common.versions("numba", "duckdb", "sqlalchemy", "click"),
        "rounds": rounds,
        "python_cpu_seconds": median(rounds, sys.executable, "-c", "pass"),
        "help_cpu_seconds": median(rounds, *triage, "--help", **home),
        "lookup_digest_cpu_seconds": median(rounds, *triage, "lookup", md5, *asking, **home),
        "lookup_perceptual_cpu_seconds": median(rounds, *triage, "lookup", pdq, *asking, **home),
    }
    cache = {"NUMBA_CACHE_DIR": str(folder / "cache")}
    kernels: dict[str, float] = {}
    for name, how in (("compiled", "writable"), ("filled", "writable"), ("filled_read_only", "read-only")):
        kernels[f"matching_{name}"] = round(cpu(sys.executable, "-c", KERNELS, how, **cache)[0], 2)
    result["kernels_cpu_seconds"] = kernels
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-start-") as place:
        result = run(Path(place), arguments.rounds)
    common.save("start", result)
    print(json.dumps({k: v for k, v in result.items() if "seconds" in k}, indent=1))


if __name__ == "__main__":
    main()
