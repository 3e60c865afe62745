"""Sample landing folder: packages in every format with everything that goes wrong in real life, and the truth about it.

    landing/<folder>/...                packages: folders, zip and tar, BagIt, checksum lists, .ready markers
    landing/hashsets/demo/demo.json     VICS 2.0 hash set in which some of the pictures are known
    ground_truth.json                   which file of which package is what, and how each package must end

The same seed, number and day give the same files.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline import files as published
from pipeline.sample import hashset as sample_hashset
from pipeline.sample import lists
from pipeline.sample.cases import Person, SampleCase, case
from pipeline.sample.forms import FORMS
from pipeline.sample.media import Gallery
from pipeline.sample.packages import WRAPPINGS, wrap

WEIGHTS = {
    "ncmec-json": 8,
    "ncmec-xml": 3,
    "nca-direct": 4,
    "ucol": 3,
    "ocag": 2,
    "generic-json": 2,
    "generic-csv": 2,
}
"""How often each format occurs."""


@dataclass
class Sample:
    """What is being written. `truth` becomes ground_truth.json."""

    landing: Path
    seed: int
    day: datetime
    gallery: Gallery
    rng: random.Random
    files: int | None
    people: list[Person] = field(default_factory=list)
    homes: dict[int, str | None] = field(default_factory=dict)
    truth: list[dict[str, Any]] = field(default_factory=list)
    written: int = 0


def write(
    landing: Path,
    truth_file: Path,
    *,
    seed: int,
    referrals: int,
    day: datetime,
    known: int = 60,
    unknown: int = 400,
    files: int | None = None,
    tiny: bool = False,
    step: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Write `referrals` referrals (and their duplicates, supplements and broken packages) below `landing`.

    `day` is a date in UTC that everything happened before; `known` the size of the hash set; `files` fixes the number
    of files of each referral; `tiny` writes short bytes instead of pictures, for benches.
    `step` is called after every referral. Returns counts of packages by how they must end, and of files by truth.
    """
    day = day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    sample = Sample(landing, seed, day, Gallery(seed, known, tiny, unknown), random.Random(seed), files)  # noqa: S311
    names = list(WEIGHTS)
    for number in range(1, referrals + 1):
        name = names[number - 1] if number <= len(names) else sample.rng.choices(names, list(WEIGHTS.values()))[0]
        made = case(sample.rng, sample.gallery, number, day, people=sample.people, files=files)
        _referral(sample, made, name)
        step()
    _broken(sample)
    listed: dict[str, int] = {}
    if not tiny:
        sample_hashset.write(landing / "hashsets" / "demo" / "demo.json", sample.gallery, day)
        listed = lists.write(landing / "lists", sample.people, sample.homes, day)
    counts: dict[str, int] = {}
    for package in sample.truth:
        counts[package["state"]] = counts.get(package["state"], 0) + 1
        for file in package["files"] if package["state"] in {"accepted", "supplement"} else []:
            counts[f"files_{file['truth']}"] = counts.get(f"files_{file['truth']}", 0) + 1
    record = {
        "note": "Synthetic sample data. No person, account or message in it is real.",
        "seed": seed,
        "day": day.date().isoformat(),
        "lists": listed,
        "packages": sample.truth,
        "counts": counts,
    }
    published.write_json(truth_file, record)
    return counts


def _referral(sample: Sample, made: SampleCase, name: str) -> None:
    """One referral, and sometimes the same package again or a supplement to it."""
    rng = sample.rng
    made.flawed = made.filled == 1.0 and rng.random() < 0.2
    source, report, writer = FORMS[name]
    content = {report: writer(rng, made), **_media(made)}
    # a report may leave the address out or come back: only one that is stated and taken in can be found by the lists
    stated = not made.flawed and f"{made.suspect.number} Sample Street".encode() in content[report]
    if sample.homes.get(made.suspect.number) is None:
        sample.homes[made.suspect.number] = made.postcode if stated else None
    base, number = f"{source}/sample-{sample.seed}-{made.number:05d}", sample.written
    wrapping = WRAPPINGS[number % len(WRAPPINGS)] if number < 2 * len(WRAPPINGS) else rng.choice(WRAPPINGS)
    _write(sample, base, wrapping, content, made=made, name=name, state="accepted")
    chance = rng.random()
    if chance < 0.06:
        other = rng.choice([w for w in WRAPPINGS if w != wrapping])
        _write(sample, f"{base}_again", other, content, made=made, name=name, state="duplicate")
    elif chance < 0.12 and name not in {"generic-csv", "generic-json"}:
        more = case(rng, sample.gallery, 500_000 + made.number, sample.day, people=sample.people, files=sample.files)
        more.prior, more.suspect = made.reference, made.suspect
        content = {report: writer(rng, more), **_media(more)}
        # named so that it is met after the referral that it supplements
        _write(
            sample,
            f"{base}_more",
            "zip-list",
            content,
            made=more,
            name=name,
            state="supplement",
        )


def _media(made: SampleCase) -> dict[str, bytes]:
    return {f"media/{f.name}": f.picture.content for f in made.files if f.sent}


def _write(
    sample: Sample, container: str, wrapping: str, content: dict[str, bytes], *, made: SampleCase, name: str, state: str
) -> None:
    suffix = wrap(sample.landing / container, wrapping, content)
    sample.written += 1
    sample.truth.append(
        {
            "container": container + suffix,
            "format": name,
            "wrapping": wrapping,
            "reference": made.reference,
            "state": state,
            "flawed": made.flawed,
            "files": [
                {
                    "name": f.name,
                    "sha256": f.picture.sha256,
                    "sent": f.sent,
                    "truth": f.picture.truth,
                    "edit": f.picture.edit,
                    "known": f.picture.known,
                }
                for f in made.files
            ],
        }
    )


def _broken(sample: Sample) -> None:
    """Packages that must not be taken in: unreadable, of no known form, hostile, half copied."""
    landing = sample.landing
    broken = {
        "nca/sample-broken-json": {"report.json": b'{"reportId": 1, "reportedInformation": {'},
        "ocag/sample-no-form": {"referral.json": b'{"note": "[synthetic] no known form"}'},
        "other/sample-two-reports": {
            "a/referral.json": b'{"form": "referral/1", "reference": "A"}',
            "b/referral.json": b'{"form": "referral/1", "reference": "B"}',
        },
        "ucol/sample-no-report": {"media/picture.jpg": b"synthetic"},
    }
    for container, content in broken.items():
        wrap(landing / container, "folder-ready", content)
        sample.truth.append({"container": container, "state": "quarantined", "files": []})
    suffix = wrap(landing / "nca/sample-hostile", "zip-ready", {"../../outside.json": b"{}", "report.json": b"{}"})
    sample.truth.append({"container": f"nca/sample-hostile{suffix}", "state": "quarantined", "files": []})
    half = json.dumps({"form": "referral/1", "reference": "half"}).encode()
    folder = landing / "other" / "sample-half-copied"
    wrap(folder, "folder-list", {"referral.json": half, "media/later.jpg": b"synthetic"})
    (folder / "media/later.jpg").unlink()
    sample.truth.append({"container": "other/sample-half-copied", "state": "waiting", "files": []})
