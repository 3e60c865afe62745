"""In which order imports are applied: by the sender's own date of a file, then by arrival, never by chance.

The date of a file is, the first that is there: the one that it states as a whole (`released` in its notes), one in its
name (`list-2026-11-27.csv`, `vic_202611.json`), the newest time of its entries. The number of arrival is drawn from a
file that every import locks, so that two of them never have the same.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hashsets.importing.rows import Cleaned, Reject

_NAMED = re.compile(r"(?<!\d)(20\d\d)([-_.]?)(0[1-9]|1[0-2])(?:\2(0[1-9]|[12]\d|3[01]))?(?!\d)")


def stated(name: str, notes: Mapping[str, Any], newest: datetime | None) -> str:
    """The sender's date of a file called `name` whose newest entry is of `newest`: ISO 8601 with zone, empty if unknown."""
    for text in (str(notes.get("released") or ""), _in_name(name)):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            continue
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
    return newest.isoformat() if newest else ""


def _in_name(name: str) -> str:
    """The date in a file's name, the last if there are several; of a month without a day its first day."""
    found = list(_NAMED.finditer(name))
    if not found:
        return ""
    year, _, month, day = found[-1].groups()
    try:
        return date(int(year), int(month), int(day or 1)).isoformat()
    except ValueError:
        return ""


def latest(newest: datetime | None, times: pa.ChunkedArray | pa.Array) -> datetime | None:
    """The later of `newest` and all of `times` (timestamps in UTC, some null)."""
    here = pc.max(times).as_py()
    return here if newest is None or (here is not None and here > newest) else newest


AHEAD = timedelta(days=1)
"""How far behind its arrival a file may say that something of it was changed: clocks and zones differ."""


def not_ahead(done: Cleaned, arrived: datetime) -> Cleaned:
    """Rows whose time of change lies ahead of the file's arrival without it, each a defect: a slip in one year would put the
    entry, and by it the whole file, before all that is still to come."""
    times = done.table["updated_at"]
    ahead = pc.fill_null(pc.greater(times, pa.scalar(arrived + AHEAD, times.type)), False)
    if not pc.any(ahead).as_py():
        return done
    named = done.table.filter(ahead).select(["position", "updated"]).to_pylist()
    place = done.table.column_names.index("updated_at")
    kept = pc.if_else(ahead, pa.scalar(None, times.type), times)
    table = done.table.set_column(place, done.table.schema.field(place), kept)
    late = [Reject(row["position"], "updated", "ahead_of_arrival", str(row["updated"])[:200]) for row in named]
    return Cleaned(table, done.rejected, [*done.defects, *late])


def next_number(path: Path, used: Callable[[], int]) -> int:
    """Draw the next number of arrival from the file at `path`; `used` is asked for the highest one in use when the file is
    new, or was lost."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        written = os.pread(descriptor, 32, 0).decode()
        number = (int(written) if written.isdigit() else used()) + 1
        os.pwrite(descriptor, f"{number:020d}".encode(), 0)
        os.fsync(descriptor)
        return number
    finally:
        os.close(descriptor)
