"""Crash points of a night: faults at system calls of every stage, and SIGKILL to whole nights (reliability promises P3, P4).

Each fault is followed by a look at what is published and by a second run, whose parts and case store rows must be those of
an undisturbed night. At full size it takes more than an hour, so it is done in parts, each with a seed and a night of its
own: with `--journal FILE` every part that is done is noted there, and a campaign that was interrupted goes on after the last one.
`--points 40 --kills 10 --no-save` for a quick look. It stops at nothing and fails when anything differed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.common import machine, save, versions
from pipeline.settings import ROOT

POINTS, KILLS = 1000, 200
PART = 100
"""Faults of one part: what is lost at most when a campaign is interrupted."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--journal", type=Path, help="note every part here, and go on after those that are noted")
    parser.add_argument("--together", type=int, default=1, metavar="N", help="parts that run side by side (default: 1)")
    parser.add_argument("--no-save", action="store_true", help="do not write bench/results/crashes.json")
    options = parser.parse_args()
    product = source()
    noted = done(options.journal, product)
    asked = parts(options.points, options.kills, options.seed)

    def work(part: tuple[int, int, int]) -> dict[str, Any]:
        found = one(*part)
        if options.journal:
            with options.journal.open("a") as journal:  # one short write a part: no line is cut by another's
                journal.write(json.dumps({"product": product, "asked": part, **found}) + "\n")
        return found

    with ThreadPoolExecutor(options.together) as pool:
        left = {part: pool.submit(work, part) for part in asked if part not in noted}
        noted |= {part: future.result() for part, future in left.items()}
    result = together([noted[part] for part in asked])
    print(json.dumps(result, indent=1))
    if not options.no_save:
        save(
            "crashes", {"machine": machine(), "versions": versions("duckdb", "pyarrow"), "seed": options.seed, **result}
        )
    return 1 if result["wrong"] else 0


def parts(points: int, kills: int, seed: int) -> list[tuple[int, int, int]]:
    """Seed, faults and kills of each part: PART faults and an equal share of the kills; the last ones have what is left."""
    count = max(1, -(-points // PART))
    cuts = [(points * n // count, kills * n // count) for n in range(count + 1)]
    return [(seed + n, b[0] - a[0], b[1] - a[1]) for n, (a, b) in enumerate(pairwise(cuts))]


def source() -> str:
    """SHA-256 of the product's source and of the campaign: parts of two versions are not one campaign."""
    found = hashlib.sha256()
    for path in sorted(
        [*(ROOT / "pipeline").rglob("*.*"), *(ROOT / "hashsets").rglob("*.*"), ROOT / "tests/crashes.py"]
    ):
        if path.is_file() and "__pycache__" not in path.parts:
            found.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def done(journal: Path | None, product: str) -> dict[tuple[int, int, int], dict[str, Any]]:
    """The parts that a journal notes for this product; a line cut short by a kill is left out."""
    if journal is None or not journal.exists():
        return {}
    lines = [x for x in journal.read_bytes().splitlines(keepends=True) if x.endswith(b"\n")]
    rows = [row for row in map(json.loads, lines) if row.pop("product") == product]
    return {tuple(row.pop("asked")): row for row in rows}


def one(seed: int, points: int, kills: int) -> dict[str, Any]:
    """One part, in a process of its own. Raises SystemExit when it ended without a result."""
    began = time.monotonic()
    words = [f"--points={points}", f"--kills={kills}", f"--seed={seed}"]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.crashes", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if not ended.stdout:
        raise SystemExit(ended.returncode or 1)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found | {"minutes": round((time.monotonic() - began) / 60, 1)}


def together(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The results of all parts as one."""
    ends: Counter[str] = Counter()
    for part in found:
        ends.update(part["ends"])
    return {
        "parts": len(found),
        "points": sum(part["points"] for part in found),
        "kills": sum(part["kills"] for part in found),
        "minutes": round(sum(part["minutes"] for part in found), 1),
        "ends": dict(sorted(ends.items())),
        "wrong": [fault for part in found for fault in part["wrong"]],
    }


if __name__ == "__main__":
    sys.exit(main())
