"""Which files a table has at a version, kept: a version of a table never changes, and opening its log costs more with every
file that was ever merged away.

    HOME/cache/lake/<table>.<version>.<digest of that version's entry in the log>.listing

A listing has the SHA-256 of its content at its beginning; it can be thrown away at any time and is made again from the log when it is
missed, is not what was written, or the log has another entry for the version.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson

from pipeline import files
from pipeline.lake.delta import DataFile, Log
from pipeline.lake.places import LakePlace

SUFFIX = ".listing"


class Listings:
    """The listings of one lake; without a cache folder every log is opened."""

    def __init__(self, place: LakePlace) -> None:
        self.place = place
        self.folder = place.cache
        self.trusted = True
        """Whether what was kept is used; a count that must not rest on it opens every log."""

    def files(self, table: str, version: int, opened: Log | None = None) -> list[DataFile]:
        """Name, rows and bytes of a table's files at a version, ordered by name; from its log where it is open at that version."""
        path = self._path(table, version)
        kept = _read(path) if path is not None and self.trusted else None
        if kept is not None:
            return kept
        at_it = opened is not None and self.trusted and opened.version() == version
        found = opened.files() if opened is not None and at_it else Log(self.place, table, version).files()
        if path is not None:
            _write(path, found)
        return found

    def keep(self, versions: dict[str, int]) -> int:
        """Remove the listings of other versions than these (by table); returns how many."""
        if self.folder is None:
            return 0
        named = tuple(f"{table}.{version}." for table, version in versions.items())
        gone = [p for p in self.folder.glob(f"*{SUFFIX}") if not p.name.startswith(named)]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    def _path(self, table: str, version: int) -> Path | None:
        if self.folder is None:
            return None
        entry = self.place.log_entry(table, version)
        if entry is None:
            return None
        return self.folder / f"{table}.{version}.{hashlib.sha256(entry).hexdigest()[:32]}{SUFFIX}"


def _read(path: Path) -> list[DataFile] | None:
    """What a file lists; None where there is none, or it is not what was written."""
    data = files.read_sealed(path)
    return None if data is None else [DataFile(name, rows, size) for name, rows, size in orjson.loads(data)]


def _write(path: Path, found: list[DataFile]) -> None:
    files.write_sealed(path, orjson.dumps([[f.name, f.rows, f.size] for f in found]))
