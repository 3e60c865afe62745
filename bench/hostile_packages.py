"""What hostile reports and archives cost the good ones: 500 good packages alone, and among 2,000 mutated ones and 50 bombs.

    python -m bench.hostile --packages [--good 500] [--mutated 2000] [--bombs 50] [--no-save]

The mutated ones are made from the good ones by a generator with a seed (bytes turned, pieces cut out, doubled, blanked, cut
off), half of them reports, half archives as a whole; the bombs are those of bench/bombs.py. Every package must end in one
counted state, each good one with the same rows as alone. The bar: packages per CPU second (this process and those that read
packages) at least 0.8 of the good ones alone, and no process with 1 GiB resident. Media hashing is left out, as in bench.ingest.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

from bench import bombs, common
from bench import ingest as goods
from pipeline import cputime
from pipeline.contract import Night
from pipeline.fingerprint.outcome import Digests
from pipeline.ingest import stage
from pipeline.ingest.reading.supervisor import PackageReading
from pipeline.ingest.writing.context import Answers
from pipeline.lake import Lake
from pipeline.locator import Locator
from pipeline.settings import Settings

BAR, MIB_BAR = 0.8, 1024
LATE = Night("bench", datetime.now(UTC) + timedelta(days=7))
"""When what is not complete is returned, and read for it."""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--good", type=int, default=500)
    parser.add_argument("--mutated", type=int, default=2000)
    parser.add_argument("--bombs", type=int, default=50)
    parser.add_argument("--no-save", action="store_true", help="do not write bench/results/hostile_packages.json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-hostile-") as folder:
        home = Path(folder)
        goods.write(home, options.good, 20)
        alone = apart(home / "landing", home / "alone")
        containers = sorted(alone["packages"])
        added = mutate(home / "landing", options.mutated, containers)
        added += explode(home / "landing" / "other", options.bombs)
        mixed = apart(home / "landing", home / "mixed")
    result = compared(alone, mixed, added)
    for name, value in result.items():
        print(f"{name:36} {value}")
    if not options.no_save:
        common.save("hostile_packages", {**result, "machine": common.machine()})


def apart(landing: Path, home: Path) -> dict[str, Any]:
    """One run in a process of its own, so that its memory is its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(measured, landing, home).result()


def measured(landing: Path, home: Path) -> dict[str, Any]:
    """Take everything in; figures, and what became of every package."""
    settings = Settings(home=home, landing=landing, threads=1)
    hashing, largest = 0.0, 0
    closed = PackageReading.__exit__

    def answers(_settings: Settings, locators: Iterable[Locator], _sha512: object) -> Answers:
        nonlocal hashing
        start = common.cpu_seconds(children=False)
        found = Answers({str(locator): digests(landing, locator) for locator in locators}, {})
        hashing += common.cpu_seconds(children=False) - start
        return found

    def closing(reading: PackageReading, *exception: object) -> None:
        nonlocal largest
        closed(reading, *exception)
        largest = max(largest, reading.resident_kib // 1024)

    with mock.patch("pipeline.ingest.media.answers", answers), mock.patch.object(PackageReading, "__exit__", closing):
        start = cputime.spent()
        report = stage.run(settings, LATE)
        seconds = cputime.since(start) - hashing
    # of this program alone: what getrusage tells began with the process that started it
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024  # type: ignore[index]
    lake = Lake(settings.lake_dir)
    rows: dict[str, Any] = {
        row["container"]: (row["package_id"], row["state"], row["referral_id"], row["files"], row["defects"])
        for row in lake.read("packages").to_pylist()
    }
    files = Counter(lake.read("media_files", ["package_id"])["package_id"].to_pylist())
    return {
        "packages": {container: (*row, files[row[0]]) for container, row in rows.items()},
        "read": report.read,
        "balanced": report.balanced,
        "waiting": report.rejected.get("waiting", 0),
        "seconds": seconds,
        "peak_mib": peak,
        "reader_peak_mib": largest,
        "readers_ended": report.counts["readers_ended"],
        "sandbox": report.counts["reader_sandbox"],
    }


def digests(landing: Path, locator: Locator) -> Digests:
    """What the media worker would say: of a tiny file its name is its content here, a container is read in a stream."""
    path = landing / locator.container
    if locator.member is not None or not path.is_file():
        content = str(locator).rpartition("/")[2].encode("utf-8", "surrogateescape")
        sha256, size = hashlib.sha256(content).digest(), len(content)
    else:
        with path.open("rb") as file:
            sha256, size = hashlib.file_digest(file, "sha256").digest(), path.stat().st_size
    return Digests(sha256, sha256[:16], sha256[:20], size)


def mutate(landing: Path, count: int, containers: list[str]) -> list[str]:
    """Copies of good packages with damage, each with a marker that says it is complete; their containers."""
    rng = random.Random(17)
    made = []
    usable = [c for c in containers if (landing / c).exists()]
    for number in range(count):
        source = landing / rng.choice(usable)
        target = source.with_name(f"zz-{number:05d}-{source.name}")
        if source.is_dir():
            shutil.copytree(source, target)
            texts = sorted(p for p in target.rglob("*") if p.suffix in {".json", ".xml", ".csv", ".txt"})
            chosen = rng.choice(texts or sorted(p for p in target.rglob("*") if p.is_file()))
            chosen.write_bytes(bombs.mutated(chosen.read_bytes(), rng))
        else:
            target.write_bytes(bombs.mutated(source.read_bytes(), rng))
        target.with_name(f"{target.name}.ready").touch()
        made.append(f"{target.parent.name}/{target.name}")
    return made


def explode(folder: Path, count: int) -> list[str]:
    """Bombs of every kind in turn; their containers."""
    made = []
    kinds = list(bombs.BOMBS)
    for number in range(count):
        name = f"zz-bomb-{number:03d}"
        kinds[number % len(kinds)](folder, name)
        [path] = [p for p in folder.iterdir() if p.name.startswith(name) and p.suffix != ".ready"]
        path.with_name(f"{path.name}.ready").touch()
        made.append(f"{folder.name}/{path.name}")
    return made


def compared(alone: dict[str, Any], mixed: dict[str, Any], added: list[str]) -> dict[str, Any]:
    """The figures. Ends the bench when a package has no counted state, or a good one has another than alone."""
    harmed = [c for c, row in alone["packages"].items() if mixed["packages"].get(c) != row]
    lost = mixed["read"] - alone["read"] - len(added)
    if harmed or lost or not mixed["balanced"]:
        raise SystemExit(f"{len(harmed)} good packages harmed ({harmed[:3]}), {lost} packages not counted")
    states = Counter(mixed["packages"][c][1] if c in mixed["packages"] else "waiting" for c in added)
    rate = {name: run["read"] / run["seconds"] for name, run in (("alone", alone), ("mixed", mixed))}
    peak = max(mixed["peak_mib"], mixed["reader_peak_mib"])
    return {
        "good_packages": alone["read"],
        "hostile_packages": len(added),
        "hostile_end_as": dict(sorted(states.items())),
        "good_packages_harmed": 0,
        "processes_ended": mixed["readers_ended"],
        "alone_packages_per_core_second": round(rate["alone"]),
        "mixed_packages_per_core_second": round(rate["mixed"]),
        "ratio": round(rate["mixed"] / rate["alone"], 3),
        "bar_ratio": BAR,
        "bar_ratio_met": rate["mixed"] >= BAR * rate["alone"],
        "peak_mib": mixed["peak_mib"],
        "reader_peak_mib": mixed["reader_peak_mib"],
        "peak_mib_alone": alone["peak_mib"],
        "bar_mib": MIB_BAR,
        "bar_mib_met": peak < MIB_BAR,
        "cpu_seconds_mixed": round(mixed["seconds"], 2),
        "sandbox": mixed["sandbox"],
    }
