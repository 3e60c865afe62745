"""What could not be taken in: a notice a package, with every reason at once and a text that can be sent back.

The evidence itself stays where it arrived. Notices are written from the packages table, so that a run which was
killed after publishing writes them the next time.

    quarantine/<package id>.json    for programs
    quarantine/<package id>.txt     "returned for information", for the sender
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline import files
from pipeline.lake import Lake
from pipeline.settings import Settings

_TEXT = """RETURNED FOR INFORMATION

Package:    {container}
Reference:  {package_id}
First seen: {first_seen}

The package named above could not be taken in, for {count}:

{reasons}

Please send it again with this put right, as a new package. Nothing of what you sent was changed or removed.
The time by which the case must be looked at runs from the first arrival, not from the corrected package.
If a child may be at risk now, do not wait for the correction: telephone the receiving team.
"""


def notice_text(container: str, package_id: str, first_seen: datetime, reasons: list[str]) -> str:
    """The text for the sender: every reason on its own line."""
    count = "this reason" if len(reasons) == 1 else f"these {len(reasons)} reasons"
    lines = "\n".join(f"  {n}. {reason[:1].upper()}{reason[1:].rstrip('.')}." for n, reason in enumerate(reasons, 1))
    return _TEXT.format(
        container=_printable(container),
        package_id=package_id,
        first_seen=f"{first_seen:%d %B %Y %H:%M} UTC",
        count=count,
        reasons=lines,
    )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:300]


def write_notices(settings: Settings, lake: Lake) -> int:
    """Write the notices that are not there yet; returns how many packages are in quarantine in all."""
    folder = settings.quarantine_dir
    columns = ["package_id", "container", "source", "state", "reasons", "first_seen", "run_id"]
    table = lake.read("packages", columns)
    listed = [row for row in table.to_pylist() if row["state"] == "quarantined"] if table.num_rows else []
    first: dict[str, dict[str, Any]] = {}
    for row in listed:
        first.setdefault(row["package_id"], row)
    present = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
    for package_id, row in first.items():
        if {f"{package_id}.json", f"{package_id}.txt"} <= present:
            continue
        _write(folder, package_id, row)
    return len(listed)


def _write(folder: Path, package_id: str, row: dict[str, Any]) -> None:
    text = notice_text(row["container"], package_id, row["first_seen"], row["reasons"])
    files.write_bytes(folder / f"{package_id}.txt", text.encode())
    record = {**row, "first_seen": row["first_seen"].isoformat()}
    files.write_json(folder / f"{package_id}.json", record)
