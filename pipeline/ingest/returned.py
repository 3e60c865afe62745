"""The kept index of packages in quarantine and of those that put them right: a night asks for a few of them by name, and how many
wait since when, without reading what was returned over years.

    HOME/cache/quarantine/returned.sqlite

It is derived and can be thrown away: it is then made anew from the lake, with the same rows. The SHA-256 of the database stands at the
beginning of the file and is checked whenever it is opened. It is made anew too when another version wrote it, when the lake does not
have the commit that it was last brought up to, and after an erasure, since names of packages stand in it. It takes its name when it
is whole: of processes that bring it up at once one wins, and what it says is true of its own commit.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from pipeline import __version__, files
from pipeline.lake import Commit, Lake, erasing
from pipeline.settings import Settings

_ENDING = re.compile(
    r"(?:[-_ ]corrected(?:[-_ ]?\d+)?)?(?:\.zip|\.tar|\.tgz|\.tbz2|\.txz|\.tar\.\w+|\.json|\.xml|\.csv)?\Z",
    re.IGNORECASE,
)
ENDING_RE2 = "(?i)" + _ENDING.pattern.replace(r"\Z", r"\z")
"""The same as Arrow's regular expressions write it, for names in ASCII."""
COLUMNS = [
    "package_id", "container", "landing_folder", "state", "reasons", "first_seen", "clock_from", "corrects", "report_sha256",
    "run_id",
]  # fmt: skip
"""Columns of the packages record that are kept."""
QUARANTINED = "quarantined"
_TABLES = """
CREATE TABLE state (made_by TEXT, through INTEGER, of TEXT);
CREATE TABLE packages (
    package_id TEXT, container TEXT, first TEXT, waits INTEGER, first_seen INTEGER, clock INTEGER, row BLOB,
    PRIMARY KEY (package_id, container)
) WITHOUT ROWID;
CREATE INDEX firsts ON packages (first, package_id);
CREATE TABLE names (name TEXT, clock INTEGER, first TEXT, PRIMARY KEY (name, clock, first)) WITHOUT ROWID;
CREATE TABLE chains (first TEXT PRIMARY KEY, clock INTEGER, settled INTEGER) WITHOUT ROWID;
CREATE INDEX waiting ON chains (clock, first) WHERE NOT settled AND clock IS NOT NULL;
"""
_AT_ONCE = 500
"""Names that one statement asks for."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Returned:
    """A package in quarantine, the first one where it was sent again and again, and the start of its clock."""

    package_id: str
    clock_from: datetime


def plain_name(container: str) -> str:
    """A container's name by which its correction is known: without the ending and without `-corrected`."""
    return _ENDING.sub("", container, count=1).casefold()


class ReturnedIndex:
    """The index of one installation, in memory; `follow` brings it up to the lake and keeps it."""

    def __init__(self, settings: Settings, lake: Lake) -> None:
        self.path = path_of(settings)
        self.lake = lake
        self._con = self._opened()
        self.follow()

    def follow(self) -> None:
        """Bring it up to the last commit of the lake."""
        fresh = self._fresh()
        if fresh is None:
            self._con = _empty()
            fresh = self.lake.commits()
        if not fresh:
            return
        with self._con:
            for row in self.lake.read("packages", COLUMNS, commits=fresh).to_pylist():
                if row["state"] == QUARANTINED or row["corrects"]:
                    self._add(row)
            last = max(fresh, key=lambda c: c.seq)
            self._con.execute("DELETE FROM state")
            self._con.execute("INSERT INTO state VALUES (?, ?, ?)", (__version__, last.seq, _name(last)))
        if any(part.table == "packages" for commit in fresh for part in commit.parts) or not self.path.is_file():
            self._save()

    # -- questions -----------------------------------------------------------------------------------------------

    def named(self, names: Sequence[str]) -> list[tuple[str, Returned]]:
        """Packages in quarantine that have one of some ids, plain names and SHA-256 of reports, each with that name, the
        earliest clock first."""
        found: list[tuple[int, str, str]] = []
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            asked = ", ".join("?" * len(some))
            found += self._con.execute(f"SELECT clock, first, name FROM names WHERE name IN ({asked})", some)  # noqa: S608
        return [(name, Returned(first, _moment(clock))) for clock, first, name in sorted(found)]

    def rows(self) -> int:
        """How many packages are or were in quarantine."""
        return int(self._con.execute("SELECT count(*) FROM packages WHERE waits").fetchone()[0])

    def waiting(self) -> tuple[int, datetime | None]:
        """How many that nothing has put right wait, corrections that could not be read aside, and the first clock."""
        number, clock = self._con.execute(
            "SELECT count(*), min(clock) FROM chains WHERE NOT settled AND clock IS NOT NULL"
        ).fetchone()
        return number, None if clock is None else _moment(clock)

    def longest(self, most: int) -> list[dict[str, Any]]:
        """The rows of the packages that wait longest, of so many chains, with their columns as in the lake."""
        return self._rows(
            "SELECT row FROM (SELECT first FROM chains WHERE NOT settled AND clock IS NOT NULL ORDER BY clock, first LIMIT ?)"
            " JOIN packages USING (first) WHERE waits",
            (most,),
        )

    def packages(self) -> list[str]:
        """Ids of all packages that are or were in quarantine, sorted."""
        return [row[0] for row in self._con.execute("SELECT DISTINCT package_id FROM packages WHERE waits ORDER BY 1")]

    def first_rows(self, packages: Iterable[str]) -> list[dict[str, Any]]:
        """Of each of some packages in quarantine the row of its first arrival."""
        statement = "SELECT row FROM packages WHERE package_id = ? AND waits ORDER BY first_seen, container LIMIT 1"
        return [row for package in packages for row in self._rows(statement, (package,))]

    def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything in it, by table."""
        tables = ("packages", "names", "chains")
        return {table: self._con.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}  # noqa: S608

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        found = [orjson.loads(row) for (row,) in self._con.execute(statement, values)]
        for row in found:
            for column in ("first_seen", "clock_from"):
                row[column] = None if row[column] is None else _moment(row[column])
        return found

    # -- keeping -------------------------------------------------------------------------------------------------

    def _fresh(self) -> list[Commit] | None:
        """Commits since the last one that is in it; None where it is to be made anew."""
        state = self._con.execute("SELECT made_by, through, of FROM state").fetchall()
        if len(state) != 1 or state[0][0] != __version__:
            return None
        _, through, of = state[0]
        since = self.lake.commits(after=through - 1)
        fresh = [c for c in since if c.seq > through]
        there = any(c.seq == through and _name(c) == of for c in since)
        return fresh if there and not any(c.stage == erasing.STAGE for c in fresh) else None

    def _add(self, row: dict[str, Any]) -> None:
        waits = row["state"] == QUARANTINED
        first = row["corrects"] or row["package_id"] if waits else row["corrects"]
        seen = _number(row["first_seen"])
        clock = seen if row["clock_from"] is None else _number(row["clock_from"])
        kept = row | {"first_seen": seen, "clock_from": None if row["clock_from"] is None else clock}
        self._con.execute(
            "INSERT OR IGNORE INTO packages VALUES (?, ?, ?, ?, ?, ?, ?)",
            (row["package_id"], row["container"], first, waits, seen, clock, orjson.dumps(kept)),
        )
        if waits:
            names = {n for n in (row["package_id"], plain_name(row["container"]), row["report_sha256"]) if n}
            self._con.executemany(
                "INSERT OR IGNORE INTO names VALUES (?, ?, ?)", [(name, clock, first) for name in sorted(names)]
            )
        self._con.execute(
            "INSERT INTO chains VALUES (?, ?, ?) ON CONFLICT (first) DO UPDATE SET"
            " clock = coalesce(min(clock, excluded.clock), clock, excluded.clock), settled = max(settled, excluded.settled)",
            (first, clock if waits else None, not waits),
        )

    def _opened(self) -> sqlite3.Connection:
        """What is kept, or an empty index where there is nothing, or it is not what was written."""
        data = files.read_sealed(self.path)
        if data is None:
            return _empty()
        con = sqlite3.connect(":memory:", check_same_thread=False)
        con.deserialize(data)
        return con

    def _save(self) -> None:
        files.write_sealed(
            self.path, self._con.serialize()
        )  # where it cannot, the next process reads the same commits again


def path_of(settings: Settings) -> Path:
    """The file of an installation's index."""
    return settings.home / "cache" / "quarantine" / "returned.sqlite"


def forget(settings: Settings) -> int:
    """Remove the file; returns how many there were."""
    there = path_of(settings).is_file()
    path_of(settings).unlink(missing_ok=True)
    return int(there)


def _empty() -> sqlite3.Connection:
    con = sqlite3.connect(":memory:", check_same_thread=False)
    con.executescript(_TABLES)
    return con


def _name(commit: Commit) -> str:
    return f"{commit.stage}/{commit.key}"


def _number(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND
