"""Taking in and linking 5,000 referral packages with 100,000 file records, and doing nothing the second time.

    python -m bench.ingest [--packages 5000] [--files 20] [--runs 5] [--identifiers 1000000] [--no-save]

The packages are those of `triage sample` in every format and wrapping, with tiny files in the place of media. Media
hashing is not part of the figure: the worker's answers are made here and their seconds taken off. The peer in the
same run is the smallest thing that could be done with such a package: list it, and parse its report with the standard
library, with no checks and no rows. Bar: 400 packages per core-second, validated, written and linked. The
figures are those of the median of five runs from nothing on the same packages; those of each are kept beside, as other
load on the machine makes the same work cost up to one and a half times as much. One thread, as it is for one core.

Then 10,000 new identifiers are linked among a million that are linked already, in a process of its own (the work is
that of bench/assess.py). Bar: 5 core-seconds; the peer is linking all of them anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import resource
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock
from xml.etree import ElementTree

from bench import assess, common
from pipeline import cputime
from pipeline.assess.links import linking
from pipeline.contract import Night
from pipeline.fingerprint.outcome import Digests
from pipeline.ingest import stage
from pipeline.ingest.writing.context import Answers
from pipeline.lake import Lake
from pipeline.locator import Locator
from pipeline.sample import folder as sample
from pipeline.settings import Settings

BAR = 400
LINK_BAR = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=5000)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--identifiers", type=int, default=1_000_000, help="linked before a hundredth of them comes new"
    )
    parser.add_argument("--no-save", action="store_true", help="do not write bench/results/ingest.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as folder:
        home = Path(folder)
        write(home, options.packages, options.files)
        # the machine's speed changes from minute to minute: the peer runs beside every run
        runs = [measure(home, f"run-{n}", timed(lambda: smallest(home / "landing"))) for n in range(options.runs)]
    runs.sort(key=lambda run: run["packages_per_core_second"])
    result = {
        **runs[len(runs) // 2],
        "packages_per_core_second_of_each_run": [run["packages_per_core_second"] for run in runs],
        "times_the_peer_of_each_run": [run["times_the_peer"] for run in runs],
        "peak_memory_before_mib": min(run["peak_memory_before_mib"] for run in runs),
        "peak_memory_taking_in_mib": max(run["peak_memory_taking_in_mib"] for run in runs),
        "peak_memory_mib": max(run["peak_memory_mib"] for run in runs),
    }
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        linked = process.submit(linked_incrementally, options.identifiers).result()
    result |= {f"linking_{name}": value for name, value in linked.items()}
    for name, value in result.items():
        print(f"{name:36} {value}")
    if not options.no_save:
        load = {"load_average_at_end": round(os.getloadavg()[0], 1)}
        common.save(
            "ingest", {**result, **load, "machine": common.machine(), "versions": common.versions("orjson", "pyarrow")}
        )


def linked_incrementally(identifiers: int) -> dict[str, Any]:
    """New identifiers, a hundredth of those linked before: CPU seconds and the peak memory of this process."""
    with tempfile.TemporaryDirectory(prefix="bench-linking-") as folder:
        found = assess.link_identifiers(Path(folder), identifiers, identifiers // 100)
    # of this program alone: what getrusage tells began with the process that started it
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024  # type: ignore[index]
    return {**found, "bar_cpu_seconds_incremental": LINK_BAR, "peak_memory_mib": peak}


NIGHT = Night("bench", datetime(2026, 11, 21, tzinfo=UTC))


def write(home: Path, packages: int, files: int) -> None:
    print("writing the packages", flush=True)
    sample.write(
        home / "landing",
        home / "truth.json",
        seed=1,
        referrals=packages,
        day=NIGHT.as_of,
        files=files,
        known=1,
        tiny=True,
    )


def measure(home: Path, name: str, peer: float) -> dict[str, Any]:
    """All figures of one run into a home of its own; times are CPU seconds of this process and of those that read packages."""
    # one thread: what is measured is the work of one core
    settings, night = Settings(home=home / name, landing=home / "landing", threads=1), NIGHT
    hashing = 0.0

    def excluded(_settings: Settings, locators: Iterable[Locator], _sha512: object) -> Answers:
        """Answers; the seconds they take are taken off, as media hashing is no part of the figure."""
        nonlocal hashing
        start = common.cpu_seconds(children=False)
        found = answers(settings.landing_dir, locators)
        hashing += common.cpu_seconds(children=False) - start
        return found

    with mock.patch("pipeline.ingest.media.answers", excluded):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        first = timed(lambda: stage.run(settings, night)) - hashing
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        lake = Lake(settings.lake_dir)
        print(f"taken in: {first:.1f} CPU seconds", flush=True)
        linked = linking.link  # imported with its libraries before the clock starts
        link = timed(lambda: linked(settings, night, lake))
        peak_linked = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"linked: {link:.1f} CPU seconds", flush=True)
        second = timed(lambda: (stage.run(settings, night), linked(settings, night, Lake(settings.lake_dir))))
    rows = {name: lake.read(name, [next(iter(columns))]).num_rows for name, columns in TABLES.items()}
    count = rows["packages"]
    return {
        "packages": count,
        **{f"rows_{name}": number for name, number in rows.items() if name != "packages"},
        "cpu_seconds": round(first + link, 2),
        "cpu_seconds_taking_in": round(first, 2),
        "cpu_seconds_linking": round(link, 2),
        "packages_per_core_second": round(count / (first + link)),
        "packages_per_core_second_without_linking": round(count / first),
        "bar_packages_per_core_second": BAR,
        "bar_met": count / (first + link) >= BAR,
        "peer_packages_per_core_second": round(count / peer),
        "times_the_peer": round((first + link) / peer, 2),
        "second_run_packages_per_core_second": round(count / second),
        "media_digests_cpu_seconds_left_out": round(hashing, 2),
        "peak_memory_taking_in_mib": peak // 1024,
        "peak_memory_mib": peak_linked // 1024,
        "peak_memory_before_mib": before // 1024,
    }


TABLES = {
    "packages": ("package_id",),
    "referrals": ("referral_id",),
    "media_files": ("file_id",),
    "identifiers": ("identifier_id",),
    "facts": ("fact_id",),
    "defects": ("package_id",),
    "links": ("link_id",),
}


def timed(work: Any) -> float:
    """CPU seconds of some work, in this process and in those that read packages."""
    start = cputime.spent()
    work()
    return cputime.since(start)


def answers(landing: Path, locators: Iterable[Locator]) -> Answers:
    """What the media worker would say: the content of a tiny file follows from its name; archives are hashed here."""
    known = {}
    for locator in locators:
        key = str(locator)
        numbers = re.search(r"file_(\d+)_(\d+)\.jpg$", key)
        if numbers:
            content = f"synthetic file 1-{int(numbers[1]) * 1009 + int(numbers[2])}\n".encode()
        else:
            content = (landing / locator.container).read_bytes()
        md5 = hashlib.md5(content, usedforsecurity=False).digest()
        sha1 = hashlib.sha1(content, usedforsecurity=False).digest()
        known[key] = Digests(hashlib.sha256(content).digest(), md5, sha1, len(content))
    return Answers(known, {})


def smallest(landing: Path) -> int:
    """The peer: list every package and parse whatever report it has, nothing else."""
    count = 0
    for path in sorted(landing.glob("*/*")):
        if path.is_dir():
            texts = [p for p in path.rglob("*") if p.suffix in {".json", ".xml"}]
            for text in texts:
                parse(text.suffix, text.read_bytes())
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    parse(Path(name).suffix, archive.read(name)) if name.endswith((".json", ".xml")) else None
        elif path.suffix in {".tar", ".gz"}:
            with tarfile.open(path) as archive:
                for info in archive:
                    if info.name.endswith((".json", ".xml")):
                        stream = archive.extractfile(info)
                        parse(Path(info.name).suffix, stream.read() if stream else b"")
        else:
            continue
        count += 1
    return count


def parse(suffix: str, content: bytes) -> None:
    try:
        json.loads(content.decode("utf-8-sig")) if suffix == ".json" else ElementTree.fromstring(content)  # noqa: S314
    except ValueError:
        return


if __name__ == "__main__":
    main()
