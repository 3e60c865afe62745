"""What a run counts anew, and what was counted before: a night's check costs what the night brought.

A run that reconciles publishes its figures with the number of the lake's last commit that it counted. The next run counts the
commits after that one and adds. So that the past cannot vanish behind a kept figure, the rows that every table lists are
held against the rows that were counted, and the cases of the store against those counted before. Everything is counted
anew from the first commit when nothing was kept, when matches wait for a first release, once in `recheck_days`
(policy/lake.yaml) and on demand (`triage night reconcile --whole`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.lake import Lake
from pipeline.lake.lake import Commit

STAGE = "reconcile"
Key = TypeVar("Key", str, bytes)


@dataclass(frozen=True)
class Check:
    """One equation of the night. `parts` shows how the right side is made up."""

    name: str
    into: int
    out: int
    parts: dict[str, int]

    @property
    def holds(self) -> bool:
        return self.into == self.out

    def plus(self, before: Check | None) -> Check:
        """The same equation with what was counted before."""
        if before is None:
            return self
        names = sorted(self.parts.keys() | before.parts.keys(), key=str)
        parts = {name: self.parts.get(name, 0) + before.parts.get(name, 0) for name in names}
        return Check(self.name, self.into + before.into, self.out + before.out, parts)


@dataclass(frozen=True)
class Kept:
    """Figures of an earlier run that reconciled: `through` is the last commit in them, 0 when there are none."""

    through: int = 0
    checks: dict[str, Check] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    """Rows by table."""
    whole: date | None = None
    """The day on which everything was last counted anew."""

    @classmethod
    def before(cls, lake: Lake, run_id: str, as_of: datetime, days: int) -> Kept:
        """The newest figures of another run, unless it is time to count everything anew."""
        kept = [c for c in lake.newest(STAGE, 2) if c.key != run_id]
        if not kept:
            return cls()
        meta = kept[0].meta
        whole = date.fromordinal(int(meta["whole"]))
        if abs((as_of.astimezone(UTC).date() - whole).days) >= days:
            return cls()
        checks = {name: Check(name, int(n), int(out), parts) for name, (n, out, parts) in meta["checks"].items()}
        return cls(int(meta["through"]), checks, {t: int(n) for t, n in meta["rows"].items()}, whole)

    def publish(self, lake: Lake, run_id: str) -> None:
        """Publish them as a commit of a run; of a run that has done so already, its first figures stay."""
        lake.commit(
            STAGE,
            run_id,
            {},
            run_id=run_id,
            meta={
                "through": self.through,
                "whole": self.whole.toordinal() if self.whole else 0,
                "rows": dict(sorted(self.rows.items())),
                "checks": {name: [c.into, c.out, c.parts] for name, c in self.checks.items()},
            },
        )


class Span:
    """The commits that are counted: those after `after`, up to the last one when it was made."""

    def __init__(self, lake: Lake, after: int = 0) -> None:
        self.lake, self.after, self.through = lake, after, lake.last()
        self.commits: list[Commit] = [c for c in lake.commits(after=after) if c.seq <= self.through]

    def of(self, stage: str) -> list[Commit]:
        return [c for c in self.commits if c.stage == stage]

    def read(self, table: str, columns: Sequence[str]) -> pa.Table:
        """Rows of the span."""
        if not self.after:
            return self.lake.read(table, columns)
        return self.lake.read(table, columns, commits=self.commits)

    def earlier(self, table: str, column: str, values: Iterable[Key]) -> set[Key]:
        """Which of some keys the table holds at all, looked up by key; for keys that the span itself does not have."""
        wanted = sorted(values)
        if not wanted or not self.after:
            return set()
        keys = pa.array(wanted, pa.string() if isinstance(wanted[0], str) else pa.binary())
        return set(self.lake.read(table, [column], where=(column, keys))[column].to_pylist())

    def rows(self) -> dict[str, int]:
        """Rows that the span's commits wrote, by table."""
        found: Counter[str] = Counter()
        for commit in self.commits:
            for part in commit.parts:
                found[part.table] += part.rows
        return dict(found)


def stored(span: Span, kept: Kept) -> tuple[Check, dict[str, int]]:
    """Rows counted before and those of the span against what the tables list now: a loss of the past shows, without
    reading it. Returns the check and the rows by table."""
    rows = dict(sorted((Counter(kept.rows) + Counter(span.rows())).items()))
    listed: Counter[str] = Counter()
    for part in span.lake.everything():
        if part.seq <= span.through:
            listed[part.table] += part.rows
    out = sum(rows.values()) + sum(listed[t] - rows.get(t, 0) for t in listed.keys() | rows.keys())
    differing = {t: listed[t] for t in sorted(listed.keys() | rows.keys()) if listed[t] != rows.get(t, 0)}
    if differing and out == sum(rows.values()):
        out -= 1  # one table has too many rows and another too few: that is no balance
    return Check("rows counted = rows that the lake's tables list", sum(rows.values()), out, differing), rows


def counted(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value is there, ordered by value."""
    counts = column.value_counts().to_pylist()
    return {row["values"]: row["counts"] for row in sorted(counts, key=lambda row: str(row["values"]))}


def distinct(column: pa.ChunkedArray) -> int:
    """How many values there are, each counted once."""
    return int(pc.count_distinct(column).as_py())
