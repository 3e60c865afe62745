"""NSRL reference data: RDS v3 (SQLite) and v2 (NSRLFile.txt, alone or in its zip). Known, which is not ignorable.

The SQLite file is opened read-only by Python's own sqlite3 with an authorizer that lets a plain SELECT pass and
nothing else; DuckDB never sees it.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from hashsets.readers import delimited
from hashsets.readers.base import Batch, Detection, Source, damaged
from pipeline.errors import InputError
from pipeline.sql import compose

_TEXT = {"SHA-1": "sha1", "MD5": "md5", "SHA-256": "sha256", "FileSize": "size"}
_SQLITE = {"sha256": "sha256", "sha1": "sha1", "md5": "md5", "file_size": "size"}
_ZIP = b"PK\x03\x04"
_SQLITE_MAGIC = b"SQLite format 3\0"
_TEXT_FILE, _DATABASES = "nsrlfile.txt", ".db"
_SPARE = 1 << 30
"""Bytes that are left free where an archive is unpacked."""
MAX_RATIO = 200
"""Largest expansion of a zip member; NSRL's own is about six."""


class NsrlTextReader:
    """RDS v2 text: a quoted header with SHA-1 and MD5."""

    name = "nsrl_text"
    stable_ids = False

    def detect(self, head: bytes, source: Source) -> Detection | None:
        if head.startswith(_ZIP):
            try:
                with zipfile.ZipFile(source.path) as archive:
                    return Detection(self.name, "2", entity="zip") if _member(archive) else None
            except (zipfile.BadZipFile, OSError, ValueError):
                return None
        names = delimited.first_row(head, ",")
        return Detection(self.name, "2") if {"SHA-1", "MD5", "ProductCode"} <= set(names) else None

    def read(self, source: Source, detection: Detection) -> Iterator[Batch]:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(source.open())
            whole = file
            if detection.entity == "zip":
                file = _unzipped(source, stack, file)
            for batch in self._rows(source, file):
                source.done = whole.tell()  # of the delivered file, also when a member of it is read
                yield batch

    def _rows(self, source: Source, file: BinaryIO) -> Iterator[Batch]:
        encoding = "utf-8" if source.columns.get("encoding") is None else str(source.columns["encoding"])
        rows = delimited.rows(source, file, delimiter=",", encoding=encoding)
        _, names = next(rows)
        position: list[int] = []
        records: list[dict[str, Any]] = []
        for line, fields in rows:
            if len(fields) != len(names):
                raise damaged(source, f"line {line}", f"{len(fields)} fields under {len(names)} columns")
            named = dict(zip(names, fields, strict=True))
            position.append(line)
            records.append(_record(named, _TEXT))
            if len(position) == delimited.BATCH:
                yield Batch(position, delimited.to_columns(records))
                position, records = [], []
        if position:
            yield Batch(position, delimited.to_columns(records))


def _record(named: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    record: dict[str, Any] = {ours: named.get(theirs) for theirs, ours in columns.items()}
    extra = {k: v for k, v in named.items() if k not in columns and v not in {None, ""}}
    record["extra"] = orjson.dumps(extra).decode() if extra else None
    return record


def _member(archive: zipfile.ZipFile, ending: str = _TEXT_FILE) -> zipfile.ZipInfo | None:
    """The NSRLFile.txt of an archive, or its database, or None. Raises ValueError for a name that leads out of it."""
    found = None
    for info in archive.infolist():
        name = info.filename
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name or "\0" in name:
            raise ValueError(name)
        if name.replace("\\", "/").rsplit("/", 1)[-1].lower().endswith(ending):
            found = info
    return found


def _unzipped(source: Source, stack: contextlib.ExitStack, file: BinaryIO, ending: str = _TEXT_FILE) -> BinaryIO:
    try:
        archive = stack.enter_context(zipfile.ZipFile(file))
        info = _member(archive, ending)
        if info is None or info.file_size > MAX_RATIO * max(1, info.compress_size):
            raise damaged(source, "the archive", "a member expands implausibly")
        return cast("BinaryIO", stack.enter_context(_Member(archive.open(info), source)))
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise damaged(source, "the archive", str(error)) from None


class _Member(io.RawIOBase):
    """A zip member as a file whose damage is an InputError; nothing is unpacked to disk."""

    def __init__(self, member: Any, source: Source) -> None:
        super().__init__()
        self._member, self._source = member, source

    def read(self, size: int = -1) -> bytes:
        try:
            data: bytes = self._member.read(size)
        except (zipfile.BadZipFile, EOFError, OSError, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
            raise damaged(self._source, "the archive", str(error)) from None
        return data


class NsrlSqliteReader:
    """RDS v3: the FILE table, or the FILE view of the full edition; also in the zip that NIST ships."""

    name = "nsrl_sqlite"
    stable_ids = False

    def detect(self, head: bytes, source: Source) -> Detection | None:
        if head.startswith(_ZIP):
            try:
                with zipfile.ZipFile(source.path) as archive:
                    return Detection(self.name, "3", entity="zip") if _member(archive, _DATABASES) else None
            except (zipfile.BadZipFile, OSError, ValueError):
                return None
        if not head.startswith(_SQLITE_MAGIC):
            return None
        try:
            with contextlib.closing(_open(source.path)) as con:
                columns = _columns(con)
        except sqlite3.Error as error:
            raise InputError(f"{source.path.name} is an SQLite file that cannot be read: {error}.") from None
        return Detection(self.name, "3") if {"sha1", "md5"} & set(columns) else None

    def read(self, source: Source, detection: Detection) -> Iterator[Batch]:
        with contextlib.ExitStack() as stack:
            path = source.path
            if detection.entity == "zip":
                path = _unpacked(source, stack)
            yield from self._rows(source, path)

    def _rows(self, source: Source, path: Path) -> Iterator[Batch]:
        read = 0
        try:
            with contextlib.closing(_open(path)) as con:
                columns = _columns(con)
                if not {"sha1", "md5"} & set(columns):
                    raise damaged(source, "the database", "it has no table or view FILE with digests")
                source.notes["released"] = _released(con)
                cursor = con.execute(compose("SELECT {columns} FROM FILE", columns=columns))
                size = source.path.stat().st_size
                while rows := cursor.fetchmany(delimited.BATCH):
                    records = [_record(dict(zip(columns, row, strict=True)), _SQLITE) for row in rows]
                    yield Batch(list(range(read + 1, read + len(rows) + 1)), delimited.to_columns(records))
                    read += len(rows)
                    source.done = min(size, source.done + size // 1000)
                source.done = size
        except sqlite3.Error as error:
            why = str(error)
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
                why = "reading it takes far more steps than a database of its size does"
            raise damaged(source, f"row {read + 1}", why) from None


def _unpacked(source: Source, stack: contextlib.ExitStack) -> Path:
    """The database of an archive in a temporary folder: SQLite needs a file. Raises InputError when there is no room."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nsrl-")))
    path = folder / "database"
    with source.open() as file, path.open("wb") as target:
        member = _unzipped(source, stack, file, _DATABASES)
        room = shutil.disk_usage(folder).free
        while chunk := member.read(1 << 20):
            room -= len(chunk)
            if room < _SPARE:
                raise InputError(
                    f"{source.path.name} does not fit into the folder for temporary files when it is unpacked.",
                    "Unpack it yourself and import the .db, or set TMPDIR to a folder with more room.",
                )
            target.write(chunk)
            source.done = file.tell()
    return path


def _released(con: sqlite3.Connection) -> str:
    """Date of the release, from the table VERSION; empty when it says nothing."""
    if not any(row[1] == "release_date" for row in con.execute("PRAGMA table_info(VERSION)")):
        return ""
    return max((str(row[0] or "") for row in con.execute("SELECT release_date FROM VERSION")), default="")


def _open(path: Path) -> sqlite3.Connection:
    con = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    con.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
    con.execute("PRAGMA trusted_schema = OFF")
    con.execute("PRAGMA cell_size_check = ON")
    con.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1 << 20)
    con.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    con.set_authorizer(_authorise)
    con.set_progress_handler(_Steps(path.stat().st_size), _STEPS_AT_ONCE)
    return con


_STEPS_AT_ONCE = 1 << 20
_STEPS, _STEPS_A_BYTE = 1 << 28, 200
"""Steps of SQLite's machine that reading a database may take: a real one takes some dozens for a row of a hundred bytes and more. A
view that multiplies a small table with itself would go on for years."""


class _Steps:
    """Ends the statements of a connection after as many steps as a database of `size` bytes may take."""

    def __init__(self, size: int) -> None:
        self._left = (_STEPS + _STEPS_A_BYTE * size) // _STEPS_AT_ONCE

    def __call__(self) -> bool:
        self._left -= 1
        return self._left < 0


def _authorise(action: int, first: str | None, second: str | None, *_: Any) -> int:
    allowed = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}
    if action in allowed or (action == sqlite3.SQLITE_PRAGMA and first == "table_info"):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _FUNCTIONS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


_FUNCTIONS = frozenset({"upper", "lower", "coalesce", "ifnull", "nullif", "trim", "substr", "cast"})
"""What the published views use; none of them reads or writes anything."""


_USED = (*_SQLITE, "crc32", "file_name", "package_id")


def _columns(con: sqlite3.Connection) -> list[str]:
    """Columns of FILE that are used, in their order."""
    names = [str(row[1]) for row in con.execute("PRAGMA table_info(FILE)")]
    return [n.lower() for n in names if n.lower() in _USED]  # SQL does not tell capitals apart
