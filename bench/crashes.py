"""Crash points of a night: faults at system calls of every stage, and SIGKILL to whole nights (reliability promises P3, P4).

Each fault is followed by a look at what is published and by a second run, whose parts and case store rows must be those of
an undisturbed night. `--points 40 --kills 10 --no-save` for a quick look; at full size it takes an hour and a half. It stops
at nothing and fails when anything differed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

from bench.common import machine, save, versions
from pipeline.settings import ROOT

POINTS, KILLS = 1000, 200


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--no-save", action="store_true", help="do not write bench/results/crashes.json")
    options = parser.parse_args()
    began = time.monotonic()
    words = [f"--{name}={getattr(options, name)}" for name in ("points", "kills", "seed")]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.crashes", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if not ended.stdout:
        return ended.returncode or 1
    result = json.loads(ended.stdout)
    print(ended.stdout)
    if not options.no_save:
        took = {"seed": options.seed, "minutes": round((time.monotonic() - began) / 60, 1)}
        save("crashes", {"machine": machine(), "versions": versions("duckdb", "pyarrow"), **took, **result})
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
