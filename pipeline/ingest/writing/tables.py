"""The tables of a batch. Rows become columns some thousand at a time, while they are still near in memory, and are then
gone: a batch of thousands of packages never holds the rows of all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pyarrow as pa

from pipeline import records
from pipeline.row import Row

NAMES = (
    "packages",
    "referrals",
    "subjects",
    "identifiers",
    "facts",
    "narratives",
    "media_files",
    "defects",
    "originals",
)
_AT_ONCE = 4000
"""Rows, of all tables together, that are turned into columns at once."""


class Tables:
    """Collects rows. `counts` says how many there are, packages and files also by state."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(NAMES[1:], 0))
        self._packages: list[Row] = []
        self._rows: dict[str, list[Row]] = {name: [] for name in NAMES[1:]}
        self._made: dict[str, list[pa.Table]] = {name: [] for name in NAMES[1:]}
        self._waiting = 0

    def add_package(self, row: Row) -> None:
        self._packages.append(row)
        self.counts[f"packages_{row['state']}"] += 1

    def add(self, name: str, rows: Iterable[Row]) -> None:
        """Rows of any other table, in the order in which they are to be published."""
        before = len(self._rows[name])
        self._rows[name].extend(rows)
        self._waiting += len(self._rows[name]) - before
        if self._waiting >= _AT_ONCE:
            self._make()

    def finish(self) -> dict[str, pa.Table]:
        """All tables by name; packages ordered by container."""
        self._make()
        self._packages.sort(key=lambda row: row["container"])
        return {
            "packages": records.build("packages", self._packages),
            # one piece, so that what is published does not depend on how it was made
            **{name: pa.concat_tables(made).combine_chunks() for name, made in self._made.items()},
        }

    def _make(self) -> None:
        for name, rows in self._rows.items():
            self._made[name].append(records.build(name, rows))
            self.counts[name] += len(rows)
        for state, number in Counter(row["state"] for row in self._rows["media_files"]).items():
            self.counts[f"files_{state}"] += number
        self._rows = {name: [] for name in self._rows}
        self._waiting = 0
