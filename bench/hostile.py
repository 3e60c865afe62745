"""What hostile files cost the good ones: photographs alone, among hostile files, and among files that kill the worker.

    TRIAGE_CORPORA=... python -m bench.hostile
    python -m bench.hostile --packages          reports and archives: bench/hostile_packages.py

Every run uses two isolated workers with all layers that the machine has. The bar: with hostile files mixed in, files a
second stay within 20 % of the photographs alone; every photograph keeps its fingerprint. CPU seconds are those of the
workers and of the parent; the ratio of elapsed times is given because a hanging file costs time and no CPU.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench import common, hostile_packages
from pipeline.fingerprint.outcome import Failure, Fingerprint, Item
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.locator import Locator
from pipeline.settings import Settings

ROUNDS = 3
TEXTS = (".json", ".txt", ".xml", ".md", ".rs", ".toml", ".sh", ".icc")
"""Hostile files that are no media cost almost nothing and would flatter the mixture: they are left out."""


def main() -> None:
    if "--packages" in sys.argv[1:]:
        hostile_packages.main([word for word in sys.argv[1:] if word != "--packages"])
        return
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    folder = os.environ.get("TRIAGE_CORPORA")
    if not folder:
        sys.exit("TRIAGE_CORPORA is not set: the photographs and hostile files are not here.")
    with tempfile.TemporaryDirectory() as temporary:
        landing = Path(temporary)
        good = [i for i in _copied(Path(folder) / "photos", landing) if i.locator.container.endswith((".jpg", ".png"))]
        bad = [i for i in _copied(Path(folder) / "hostile", landing) if not i.locator.container.endswith(TEXTS)]
        settings = Settings(home=landing / "home", landing=landing, threads=2)
        os.environ.pop("TRIAGE_CORPORA")
        result = measure(settings, good, bad)
    result["machine"] = common.machine()
    result["versions"] = common.versions("pillow", "pillow-heif", "av", "numpy", "numba")
    common.save("hostile", result)
    show(result)


def _copied(source: Path, landing: Path) -> list[Item]:
    """The files below a folder, copied so that a run touches nothing but its own landing folder."""
    shutil.copytree(source, landing / source.name)
    found = sorted(p for p in (landing / source.name).rglob("*") if p.is_file())
    return [Item(Locator(str(p.relative_to(landing)))) for p in found]


def spread(good: list[Item], bad: list[Item]) -> list[Item]:
    """The bad files evenly among the good ones."""
    places = [(n / len(good), 0, item) for n, item in enumerate(good)]
    places += [(n / len(bad), 1, item) for n, item in enumerate(bad)]
    return [item for *_, item in sorted(places, key=lambda p: p[:2])]


def measure(settings: Settings, good: list[Item], bad: list[Item]) -> dict[str, Any]:
    """Medians over rounds, the two runs of a round one after the other."""
    alone: list[dict[str, float]] = []
    mixed: list[dict[str, float]] = []
    both = spread(good, bad)
    states: Counter[str] = Counter()
    for _ in range(ROUNDS):
        first, reference = one_run(settings, good)
        second, outcomes = one_run(settings, both)
        alone.append(first)
        mixed.append(second)
        harmed = sum(outcomes[loc] != reference[loc] for loc in reference)
        if harmed:
            raise SystemExit(f"{harmed} photographs have another fingerprint among hostile files")
        states = Counter(_state(outcomes[item.locator]) for item in bad)
    return {
        "files": {"photographs": len(good), "hostile": len(bad)},
        "hostile_end_as": dict(sorted(states.items())),
        "photographs_harmed": 0,
        "alone": _medians(alone),
        "mixed": _medians(mixed),
        "ratio_files_per_cpu_second": _ratio(alone, mixed, "files_per_cpu_second"),
        "ratio_files_per_elapsed_second": _ratio(alone, mixed, "files_per_elapsed_second"),
        "bar": 0.8,
    }


def one_run(settings: Settings, items: list[Item]) -> tuple[dict[str, float], dict[Locator, Fingerprint | Failure]]:
    """Figures and outcomes of one run; starting the workers is not counted."""
    pool = Pool(settings, workers=2)
    with pool:
        pool.start()
        began, cpu = time.monotonic(), time.process_time()
        outcomes = {item.locator: outcome for item, outcome in pool.fingerprints(items)}
        elapsed, parent = time.monotonic() - began, time.process_time() - cpu
    used = parent + pool.report.cpu_seconds
    return {
        "files": len(items),
        "cpu_seconds": used,
        "files_per_cpu_second": len(items) / used,
        "files_per_elapsed_second": len(items) / elapsed,
        "workers": pool.report.workers,
        "workers_died": sum(pool.report.deaths.values()),
        "largest_worker_mib": pool.report.resident_kib / 1024,
        "slowest_file_seconds": pool.report.slowest_seconds,
        "parent_ms_per_file": 1000 * parent / len(items),
    }, outcomes


def _state(outcome: Fingerprint | Failure) -> str:
    if isinstance(outcome, Failure):
        return f"rejected: {outcome.reason.value}"
    return outcome.state.value + (f": {outcome.reason.value}" if outcome.state.value == "digests_only" else "")


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}


def _ratio(alone: list[dict[str, float]], mixed: list[dict[str, float]], name: str) -> float:
    return round(statistics.median(m[name] / a[name] for a, m in zip(alone, mixed, strict=True)), 3)


def show(result: dict[str, Any]) -> None:
    for name in ("alone", "mixed"):
        print(f"{name:6}", "  ".join(f"{key} {value:g}" for key, value in result[name].items()))
    print("files per CPU second, mixed / alone:", result["ratio_files_per_cpu_second"])
    print("files per elapsed second, mixed / alone:", result["ratio_files_per_elapsed_second"], "(bar 0.8)")
    print("hostile files end as", result["hostile_end_as"])


if __name__ == "__main__":
    main()
