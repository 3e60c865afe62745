"""Taking in 5,000 referral packages with 100,000 file records, and doing nothing the second time.

    python bench/ingest.py [--packages 5000] [--files 20]

The packages are those of `triage sample` in every format and wrapping, with tiny files in the place of media. Media
hashing is not part of the figure: the digests are asked for once beforehand and answered from memory. The peer in the
same run is the smallest thing that could be done with such a package: list it, and parse its report with the standard
library, with no checks and no rows. Bar: 400 packages per core-second.
"""

from __future__ import annotations

import argparse
import json
import resource
import tarfile
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock
from xml.etree import ElementTree

from bench import common
from pipeline.fingerprint.outcome import Digests, Failure
from pipeline.ingest import discovery, intake, rules, sample, stage
from pipeline.ingest.media import answers as ask
from pipeline.ingest.rows import Answers
from pipeline.lake import Lake
from pipeline.locator import Locator
from pipeline.night import Night
from pipeline.settings import Settings

BAR = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=5000)
    parser.add_argument("--files", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as folder:
        result = measure(Path(folder), options.packages, options.files)
    for name, value in result.items():
        print(f"{name:36} {value}")
    if options.packages >= 5000:
        common.save("ingest", {**result, "machine": common.machine(), "versions": common.versions("orjson", "pyarrow")})


def measure(home: Path, packages: int, files: int) -> dict[str, Any]:
    """All figures of one run; times are CPU seconds of this process."""
    settings, night = Settings(home=home), Night("bench", datetime(2026, 11, 21, tzinfo=UTC))
    truth = home / "truth.json"
    sample.write(
        settings.landing_dir, truth, seed=1, referrals=packages, day=night.as_of, files=files, known=1, tiny=True
    )
    peer = timed(lambda: smallest(settings.landing_dir))
    known, hashing = digests(settings, night)
    answered = mock.patch("pipeline.ingest.media.answers", lambda _settings, locators: chosen(known, locators))
    with answered:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        first = timed(lambda: stage.run(settings, night))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        second = timed(lambda: stage.run(settings, night))
        (home / "ingest" / "seen.json").unlink()
        relearnt = timed(lambda: stage.run(settings, night))
    lake = Lake(settings.lake_dir)
    rows = {name: lake.read(name, [next(iter(columns))]).num_rows for name, columns in TABLES.items()}
    count = rows["packages"]
    return {
        "packages": count,
        **{f"rows_{name}": number for name, number in rows.items() if name != "packages"},
        "cpu_seconds": round(first, 2),
        "packages_per_core_second": round(count / first),
        "bar_packages_per_core_second": BAR,
        "bar_met": count / first >= BAR,
        "peer_packages_per_core_second": round(count / peer),
        "times_the_peer": round(first / peer, 2),
        "second_run_packages_per_core_second": round(count / second),
        "run_without_stat_keys_packages_per_core_second": round(count / relearnt),
        "media_hashing_cpu_seconds_all_processes": round(hashing, 2),
        "peak_memory_mib": peak // 1024,
        "peak_memory_before_mib": before // 1024,
    }


TABLES = {
    "packages": ("package_id",),
    "referrals": ("referral_id",),
    "media_files": ("file_id",),
    "identifiers": ("identifier_id",),
    "facts": ("fact_id",),
    "defects": ("package_id",),
}


def timed(work: Any) -> float:
    start = common.cpu_seconds(children=False)
    work()
    return common.cpu_seconds(children=False) - start


def digests(settings: Settings, night: Night) -> tuple[dict[str, Digests | Failure], float]:
    """Real answers of the media worker for everything that ingest will ask, and the CPU seconds they took."""
    rule = rules.load(settings)
    entries, _ = discovery.entries(settings.landing_dir, rule.data)
    found = [intake.look(entry, rule, night.as_of) for entry in entries]
    start = common.cpu_seconds()
    answered = ask(settings, intake.locators(found))
    return {**answered.failures, **answered.digests}, common.cpu_seconds() - start


def chosen(known: dict[str, Digests | Failure], locators: Any) -> Answers:
    wanted: list[Locator] = list(locators)
    given = {str(locator): known[str(locator)] for locator in wanted}
    return Answers(
        {name: a for name, a in given.items() if isinstance(a, Digests)},
        {name: a for name, a in given.items() if isinstance(a, Failure)},
    )


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
