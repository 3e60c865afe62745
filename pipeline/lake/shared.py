"""What machines that share no folder keep for each other beside the lake: files of a home, in an object store.

    <shared>/files/              Delta table: seq, at, name, sha256, size, changed_ns; the last row of a name counts, and one
                                 without a digest says that the file is gone
    <shared>/objects/<sha256>    what a file holds, once however many names have it

A machine works on its own home. Before a piece of work it brings what others have written since it looked last (`fetch`), after
it what the work has written (`send`): one row a file, all rows of one send visible together, by one conditional write. A file is
fetched once, checked against its digest, and put in place whole. Of two machines that write one name the later one is kept;
which stage may write when is decided elsewhere, by the turn and the writers' pool.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from pipeline import files
from pipeline.errors import IntegrityError
from pipeline.lake import numbered
from pipeline.lake.delta import Log
from pipeline.lake.places import LakePlace
from pipeline.lake.settling import again
from pipeline.settings import Settings

FOLDER, OBJECTS = "files", "objects"
SCHEMA = pa.schema(
    [
        ("seq", pa.int64()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("name", pa.string()),
        ("sha256", pa.string()),
        ("size", pa.int64()),
        ("changed_ns", pa.int64()),
    ]
)
LAST = ("CURRENT",)
"""Names of files that point at others: put in place after all others, and their like after these."""

_TABLES = """
    CREATE TABLE IF NOT EXISTS known (name TEXT PRIMARY KEY, sha256 TEXT, size INTEGER, changed_ns INTEGER);
    CREATE TABLE IF NOT EXISTS here (name TEXT PRIMARY KEY, sha256 TEXT, size INTEGER, changed_ns INTEGER);
    CREATE INDEX IF NOT EXISTS here_digest ON here (sha256);
    CREATE TABLE IF NOT EXISTS read (through INTEGER);
"""


@dataclass(frozen=True)
class SharedFile:
    """A file as it is shared: its name below the home, SHA-256 (hex; None: it is gone), bytes, moment of its last change."""

    name: str
    sha256: str | None
    size: int
    changed_ns: int


class SharedFiles:
    """The shared files of one home. Several processes of a machine may use it: they take turns.

    What is known of the store, and what lies in the home as it was fetched or sent, stands in `cache/shared.sqlite`; it can
    be thrown away, everything is compared by its digest then."""

    def __init__(self, place: LakePlace, home: Path) -> None:
        self.place, self.home = place, home
        self.log = Log(place, FOLDER)
        self._cache = home / "cache" / "shared"

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Those that the settings name, or None where all machines see one home. Raises SettingsError for a URL of no use."""
        if not settings.shared:
            return None
        place = LakePlace(settings.shared, settings.home / "cache" / "shared", "TRIAGE_SHARED")
        return cls(place, settings.home)

    # -- bringing ------------------------------------------------------------------------------------------------

    def fetch(self, below: Sequence[str]) -> int:
        """Bring to the home what others have changed of the files and folders `below`; returns how many files that were. A file
        that was changed here and not sent stays, unless another machine has changed it too. Raises IntegrityError where a
        file in the store is missing or is not what was sent, DependencyError where the store cannot be reached."""
        brought = 0
        with self._alone() as connection:
            self._read(connection)
            while due := sorted(self._due(connection, below), key=_order):
                for file in due:
                    try:
                        self._bring(connection, file)
                    except IntegrityError:
                        if not self._read(connection):
                            raise
                        break  # it was replaced while it was being fetched: go by what is known now
                    brought += 1
        return brought

    def _due(self, connection: sqlite3.Connection, below: Sequence[str]) -> list[SharedFile]:
        rows = connection.execute(
            "SELECT k.name, k.sha256, k.size, k.changed_ns FROM known k LEFT JOIN here h USING (name) WHERE k.sha256 IS NOT h.sha256"
        )
        return [SharedFile(*row) for row in rows if _is_below(row[0], below)]

    def _bring(self, connection: sqlite3.Connection, file: SharedFile) -> None:
        target = self.home / file.name
        if file.sha256 is None:
            target.unlink(missing_ok=True)
            _remove_empty(target.parent, self.home)
            connection.execute("DELETE FROM here WHERE name = ?", (file.name,))
            connection.commit()
            return
        if not (target.is_file() and target.stat().st_size == file.size and files.sha256(target) == file.sha256):
            self._get(connection, file, target)
        os.utime(target, ns=(file.changed_ns, file.changed_ns))
        self._note_here(connection, file)

    def _get(self, connection: sqlite3.Connection, file: SharedFile, target: Path) -> None:
        """Put the file in place: a link to another of the home that holds the same, else what the store has."""
        for (name,) in connection.execute("SELECT name FROM here WHERE sha256 = ?", (file.sha256,)).fetchall():
            other = self.home / name
            if other.is_file() and other.stat().st_size == file.size and files.sha256(other) == file.sha256:
                with files.atomic_writer(target) as sink, other.open("rb") as source:
                    shutil.copyfileobj(source, sink)
                return
        with files.atomic_writer(target) as sink:
            digest = hashlib.sha256()
            for chunk in self.place.chunks(f"{OBJECTS}/{file.sha256}"):
                digest.update(chunk)
                sink.write(chunk)
            if digest.hexdigest() != file.sha256:
                raise IntegrityError(f"{file.name} in TRIAGE_SHARED is not what was sent.", "Restore it from a backup.")

    # -- sending -------------------------------------------------------------------------------------------------

    def send(self, below: Sequence[str]) -> int:
        """Share what was changed, made or removed here of the files and folders `below`; returns how many files that were."""
        with self._alone() as connection:
            self._read(connection)
            changed, gone = self._changes(connection, below)
            sent = [file for file in changed if self._store(file)]
            listed = [*sent, *(SharedFile(name, None, 0, 0) for name in gone)]
            if listed:
                again(lambda: self._append(listed))
                for file in sent:  # a sweep may have come between
                    if not self.place.has(f"{OBJECTS}/{file.sha256}"):
                        self._store(file)
                self._read(connection)
                for file in sent:
                    self._note_here(connection, file)
                connection.executemany("DELETE FROM here WHERE name = ?", [(name,) for name in gone])
                connection.commit()
            return len(listed)

    def _changes(self, connection: sqlite3.Connection, below: Sequence[str]) -> tuple[list[SharedFile], list[str]]:
        """Files that are new or hold something else than what was fetched or sent, and names of those that are gone."""
        here = {
            row[0]: SharedFile(*row) for row in connection.execute("SELECT * FROM here") if _is_below(row[0], below)
        }
        known = dict(connection.execute("SELECT name, sha256 FROM known"))
        changed, present = [], set()
        for path in self._lying(below):
            name = path.relative_to(self.home).as_posix()
            before = here.get(name)
            file = _looked_at(path, name, before)
            if file is None:
                continue
            present.add(name)
            if file is before:
                continue
            if file.sha256 in {known.get(name), before.sha256 if before else None}:
                self._note_here(connection, file)
            else:
                changed.append(file)
        gone = [name for name in here.keys() - present if known.get(name) == here[name].sha256]
        return changed, sorted(gone)

    def _lying(self, below: Sequence[str]) -> Iterator[Path]:
        """Regular files, without those that are being written and their folders, locks, and links."""
        for name in below:
            root = self.home / name
            for path in [root] if root.is_file() else sorted(root.rglob("*")):
                hidden = any(part.startswith(".") for part in path.relative_to(self.home).parts)
                if not hidden and path.is_file() and not path.is_symlink():
                    yield path

    def _store(self, file: SharedFile) -> bool:
        """Write its content to the store, if it is still that: who changes it meanwhile sends it."""
        try:
            source = (self.home / file.name).open("rb")
        except FileNotFoundError:
            return False
        with source:
            if hashlib.file_digest(source, "sha256").hexdigest() != file.sha256:
                return False
            source.seek(0)
            self.place.put_from(f"{OBJECTS}/{file.sha256}", source)
        return True

    def _append(self, listed: Iterable[SharedFile]) -> None:
        self.log.create(SCHEMA)
        version, now = self.log.version(), datetime.now(UTC)
        last = max((f.last for f in self.log.files()), default=0)
        rows = [
            {"seq": last + n, "at": now, "name": f.name, "sha256": f.sha256, "size": f.size, "changed_ns": f.changed_ns}
            for n, f in enumerate(listed, 1)
        ]
        file = numbered.write(self.place, FOLDER, pa.Table.from_pylist(rows, schema=SCHEMA))
        self.log.put(SCHEMA, [file], after=version, transactions={FOLDER: version + 1})

    # -- upkeep --------------------------------------------------------------------------------------------------

    def merge(self) -> int:
        """Make one file of the table's small ones; returns how many went."""
        merged: int = again(lambda: numbered.merge(self.log, self._fetched, SCHEMA))
        return merged

    def sweep(self, older_than: timedelta) -> int:
        """Remove objects that no name has any more and that were written longer ago; returns how many."""
        with self._alone() as connection:
            self._read(connection)
            named = {row[0] for row in connection.execute("SELECT DISTINCT sha256 FROM known")}
            lying = list(self.place.below(OBJECTS))
            left = [f for f in lying if f.name.rpartition("/")[2] not in named and f.age >= older_than]
            for file in left:
                self.place.remove(file.name)
        return len(left)

    def vacuum(self, older_than: timedelta) -> int:
        """Remove files of the table that were merged away longer ago; returns how many."""
        return self.log.vacuum(int(older_than.total_seconds() // 3600))

    # -- what is known -------------------------------------------------------------------------------------------

    def _read(self, connection: sqlite3.Connection) -> int:
        """Take in the rows that were written since the last look; returns how many."""
        through = connection.execute("SELECT max(through) FROM read").fetchone()[0] or 0
        fresh = [f for f in self.log.files() if f.last > through]
        rows: list[dict[str, Any]] = []
        for file in fresh:
            rows += numbered.read(self._fetched, FOLDER, file, SCHEMA.names).to_pylist()
        rows = sorted((r for r in rows if r["seq"] > through), key=lambda r: r["seq"])
        for row in rows:
            _refuse_outside(row["name"])
        if rows:
            connection.executemany(
                "INSERT OR REPLACE INTO known VALUES (:name, :sha256, :size, :changed_ns)",
                rows,
            )
            connection.execute("DELETE FROM read")
            connection.execute("INSERT INTO read VALUES (?)", (rows[-1]["seq"],))
            connection.commit()
        return len(rows)

    def _fetched(self, name: str) -> Path:
        self.place.fetch(name)
        return self.place.local(name)

    def _note_here(self, connection: sqlite3.Connection, file: SharedFile) -> None:
        row = (file.name, file.sha256, file.size, file.changed_ns)
        connection.execute("INSERT OR REPLACE INTO here VALUES (?, ?, ?, ?)", row)
        connection.commit()

    @contextmanager
    def _alone(self) -> Iterator[sqlite3.Connection]:
        """The state, for one process of this machine at a time."""
        files.make_folder(self._cache)
        with (self._cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with closing(sqlite3.connect(self._cache / "state.sqlite")) as connection:
                try:
                    connection.executescript(_TABLES)
                    yield connection
                except sqlite3.DatabaseError as error:
                    raise IntegrityError(
                        f"What is known of the shared files is damaged: {error}.",
                        "Remove cache/shared in TRIAGE_HOME: it is made again from the store.",
                    ) from error


def _looked_at(path: Path, name: str, before: SharedFile | None) -> SharedFile | None:
    """The file as it lies there: `before` itself where size and moment say so, None where it is gone by now."""
    try:
        status = path.stat()
        if before and (before.size, before.changed_ns) == (status.st_size, status.st_mtime_ns):
            return before
        return SharedFile(name, files.sha256(path), status.st_size, status.st_mtime_ns)
    except FileNotFoundError:
        return None


def _refuse_outside(name: str) -> None:
    """Raises IntegrityError for a name that would lie outside a home, or that no machine sends."""
    if any(part in ("", ".", "..") or part.startswith(".") for part in name.split("/")) or "\0" in name:
        raise IntegrityError(
            f"TRIAGE_SHARED names a file {name!r}, which no machine sends.", "Restore it from a backup."
        )


def _is_below(name: str, below: Sequence[str]) -> bool:
    return any(name == root or name.startswith(f"{root}/") for root in below)


def _order(file: SharedFile) -> tuple[int, int, str]:
    """What others point at, the deepest first, then what points at it, then what is gone."""
    name = file.name.rpartition("/")[2]
    return (2 if file.sha256 is None else 1 if name in LAST else 0, -file.name.count("/"), file.name)


def _remove_empty(folder: Path, home: Path) -> None:
    while folder != home and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
