"""What could not be taken in: one notice per package, with every reason at once and a text that can be sent back.

The evidence itself stays where it arrived. Notices are written from what the packages table says (`returned.py`), so that a run
which was killed after publishing writes them the next time.

    quarantine/<package id>.json    for programs
    quarantine/<package id>.txt     "returned for information", for the sender
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import files
from pipeline.ingest.held import shared_names
from pipeline.ingest.returned import COLUMNS, QUARANTINED, ReturnedIndex
from pipeline.lake import Lake
from pipeline.settings import Settings

_TEXT = """RETURNED FOR INFORMATION

Package:       {container}
Reference:     {package_id}
First seen:    {first_seen}
Clock running: since {clock_from}

The package named above could not be taken in, for {count}:

{reasons}

Please send it again with this put right, as a new package of the same name with "-corrected" added, or give the reference
above in it as an earlier report. Nothing of what you sent was changed or removed.
The time by which the case must be looked at runs from the first arrival, not from the corrected package.
If a child may be at risk now, do not wait for the correction: telephone the receiving team.
"""


def notice_text(
    container: str, package_id: str, first_seen: datetime, reasons: list[str], clock_from: datetime | None = None
) -> str:
    """The text for the sender: every reason on its own line. The clock runs from `first_seen` unless told otherwise."""
    count = "this reason" if len(reasons) == 1 else f"these {len(reasons)} reasons"
    lines = "\n".join(f"  {n}. {reason[:1].upper()}{reason[1:].rstrip('.')}." for n, reason in enumerate(reasons, 1))
    return _TEXT.format(
        container=_printable(container),
        package_id=package_id,
        first_seen=f"{first_seen:%d %B %Y %H:%M} UTC",
        clock_from=f"{clock_from or first_seen:%d %B %Y %H:%M} UTC",
        count=count,
        reasons=lines,
    )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:300]


def write_notices(settings: Settings, index: ReturnedIndex) -> None:
    """Write the notices that are not there yet: names are compared, rows are read of those that miss."""
    folder = settings.quarantine_dir
    present = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    ids = index.packages()
    missing = [p for p in ids if f"{p}.json" not in present or f"{p}.txt" not in present]
    for row in index.first_rows(missing):
        _write(folder, row["package_id"], row)


@dataclass(frozen=True)
class Outstanding:
    """A package that was returned for information and that nothing has put right: its clock runs on."""

    package_id: str
    container: str
    landing_folder: str
    clock_from: datetime
    returned: int
    """How often it was returned: corrections that could not be read either count."""
    reasons: list[str]

    def hours(self, as_of: datetime) -> float:
        """Hours on the clock; 0 where it starts later than `as_of`, as after a night with a clock of its own."""
        return hours(self.clock_from, as_of)


def hours(clock: datetime, as_of: datetime) -> float:
    """Hours since a clock began; 0 where it starts later than `as_of`."""
    return max(0.0, round((as_of - clock).total_seconds() / 3600, 1))


def outstanding(lake: Lake) -> list[Outstanding]:
    """Everything that is returned for information, the longest clock first. A package and its unreadable corrections are
    one entry, with the reasons of the last; it is settled once a package that was taken in puts any of them right."""
    table = lake.read("packages", COLUMNS)
    concerned = pc.or_(pc.equal(table["state"], QUARANTINED), pc.is_valid(table["corrects"]))
    return _chained(table.filter(concerned).to_pylist())


def longest(index: ReturnedIndex, most: int) -> list[Outstanding]:
    """The first `most` of them, without looking at the others."""
    return _chained(index.longest(most))


def _chained(rows: list[dict[str, Any]]) -> list[Outstanding]:
    settled = {r["corrects"] for r in rows if r["state"] != QUARANTINED and r["corrects"]}
    chains: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["state"] == QUARANTINED and (first := row["corrects"] or row["package_id"]) not in settled:
            chains.setdefault(first, []).append(row)
    found = []
    for listed in chains.values():
        last = max(listed, key=lambda r: (r["first_seen"], r["package_id"]))
        clock = min(r["clock_from"] or r["first_seen"] for r in listed)
        names = len({r["package_id"] for r in listed})
        folder = last["landing_folder"]
        found.append(Outstanding(last["package_id"], last["container"], folder, clock, names, last["reasons"]))
    return sorted(found, key=lambda o: (o.clock_from, o.container))


def belonging(packages: pa.Table, referrals: Collection[str]) -> pa.Table:
    """The rows of `packages` (all columns) that brought these referrals, or that were returned and share a name, a report or
    a correction with one that did."""
    own = pc.is_in(packages["referral_id"], value_set=pa.array(sorted(referrals), pa.string()))
    keys = {key for row in packages.filter(own).to_pylist() for key in (*shared_names(row), row["package_id"])}
    waiting = packages.filter(pc.and_(pc.equal(packages["state"], "quarantined"), pc.invert(own.fill_null(False))))
    near = {row["package_id"] for row in waiting.to_pylist() if keys & {*shared_names(row), row["package_id"]}}
    also = pc.is_in(packages["package_id"], value_set=pa.array(sorted(near), pa.string()))
    return packages.filter(pc.or_(own, also))


def rewrite_notices(settings: Settings, lake: Lake, package_ids: Iterable[str]) -> int:
    """Write the notices of some packages anew, from what the lake now says of them; returns how many there were."""
    paths = [settings.quarantine_dir / f"{name}{suffix}" for name in package_ids for suffix in (".json", ".txt")]
    there = [path for path in paths if path.is_file()]
    for path in there:
        path.unlink()
    if there:
        write_notices(settings, ReturnedIndex(settings, lake))
    return len(there)


def _write(folder: Path, package_id: str, row: dict[str, Any]) -> None:
    columns = ("package_id", "container", "landing_folder", "state", "reasons", "first_seen", "clock_from", "run_id")
    clock = row["clock_from"] or row["first_seen"]
    text = notice_text(row["container"], package_id, row["first_seen"], row["reasons"], clock)
    files.write_bytes(folder / f"{package_id}.txt", text.encode())
    record = {
        **{c: row[c] for c in columns},
        "first_seen": row["first_seen"].isoformat(),
        "clock_from": clock.isoformat(),
    }
    files.write_json(folder / f"{package_id}.json", record)
