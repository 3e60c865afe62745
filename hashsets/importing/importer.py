"""Importing one delivered file: read it in a stream, judge every row, stage the rows for the next release.

    hashsets/imports/<source>-<sha256>/rows.parquet    staged rows, typed, in file order
                                       rejects.csv     what was refused, for the sender
                                       import.json     what the file is, counts, SHA-256 of the above

The folder takes its name by one rename after everything in it is on disk: an import is there as a whole or not at
all. The release build (`hashsets/release/building.py`) decides which rows are kept, duplicates, updates or withdrawals.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hashsets.algorithms import ALL, DIGESTS
from hashsets.importing import ordering, rows
from hashsets.readers import registry as readers
from hashsets.readers.base import Source
from hashsets.sources import KnownSource
from hashsets.words import from_words
from pipeline import csvtext, files
from pipeline.errors import InputError, IntegrityError, ReconciliationError
from pipeline.settings import Settings

Progress = Callable[[int, int], None]
"""Called with bytes read and rows read so far."""

ROW_GROUP = 1 << 17


@dataclass(frozen=True)
class Import:
    """A staged import. `read == accepted + sum(rejected)`; `defects` counts values dropped from accepted rows.

    `stated` is the sender's own date of what the file says (ISO 8601; empty when it has none), `sequence` a number that
    no other import of this store has: the order of arrival.
    """

    key: str
    source_id: str
    sha256: str
    file_name: str
    size: int
    reader: str
    version: str
    country: str
    entity: str
    read: int
    accepted: int
    rejected: dict[str, int]
    defects: dict[str, int]
    loaded_at: str
    loaded_by: str
    rows_sha256: str
    rejects_sha256: str
    notes: dict[str, Any] = field(default_factory=dict)
    stated: str = ""
    sequence: int = 0

    @property
    def order(self) -> tuple[datetime, int, str]:
        """By what imports are applied: the sender's date where it is known (one in the future counts as the time of
        loading), else the time of loading; then arrival."""
        loaded = datetime.fromisoformat(self.loaded_at)
        return min(datetime.fromisoformat(self.stated), loaded) if self.stated else loaded, self.sequence, self.key


def imports_dir(settings: Settings) -> Path:
    """Folder of staged imports."""
    return settings.home / "hashsets" / "imports"


def shown(path: Path) -> str:
    """Its name; escaped where that is no text, which no record could hold."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


def import_file(
    settings: Settings,
    path: Path,
    source: KnownSource,
    *,
    loaded_at: datetime,
    loaded_by: str,
    progress: Progress | None = None,
    notes: Mapping[str, Any] | None = None,
) -> tuple[Import, bool]:
    """Stage a file of `source`; returns the import and whether it is new (the same bytes are imported once).

    Raises InputError for a file that is unknown, damaged or changing while it is read, and for what is no regular file or has a
    name that is no text, ReconciliationError when the counts do not add up: nothing is staged then.
    """
    if shown(path) != path.name:
        raise InputError(f"The name of {shown(path)} is no UTF-8 text.", "Rename it, and import it again.")
    try:
        before = path.stat()
        if not stat.S_ISREG(before.st_mode):  # a pipe would be waited for
            raise InputError(f"{path.name} is no file but a pipe, a device or a folder.", "Import the file itself.")
        digest = files.sha256(path)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}.") from error
    key = f"{source.source_id}-{digest}"
    folder = imports_dir(settings) / key
    if (folder / "import.json").is_file():
        return load(folder), False
    delivered = Source(path, {**source.list_form, "columns": dict(source.columns)})
    detection = readers.detect(delivered, source.reader)
    with _staging(folder) as temporary:
        counts = _stage(delivered, detection, temporary, progress, loaded_at)
        after = path.stat()
        if (before.st_size, before.st_mtime_ns, before.st_ino) != (after.st_size, after.st_mtime_ns, after.st_ino):
            raise InputError(f"{path.name} changed while it was read.", "Import it again when it is complete.")
        record = Import(
            key,
            source.source_id,
            digest,
            path.name,
            before.st_size,
            detection.reader,
            detection.version,
            detection.country,
            detection.entity,
            counts["read"],
            counts["accepted"],
            dict(sorted(counts["rejected"].items())),
            dict(sorted(counts["defects"].items())),
            loaded_at.isoformat(),
            loaded_by,
            files.sha256(temporary / "rows.parquet"),
            files.sha256(temporary / "rejects.csv"),
            {**delivered.notes, **(notes or {})},
            "" if notes else ordering.stated(path.name, delivered.notes, counts["newest"]),
            _arrival(settings),
        )
        files.write_json(temporary / "import.json", asdict(record))
    return record, True


@dataclass(frozen=True)
class JudgedFile:
    """What a file would bring, without importing it. `read == accepted + sum(rejected)`; `digests` are those of the accepted
    rows, by algorithm."""

    read: int
    accepted: int
    rejected: dict[str, int]
    notes: dict[str, Any]
    digests: dict[str, set[bytes]]


def judge(path: Path, source: KnownSource, reader: str, folder: Path) -> JudgedFile:
    """Read a file of `source` in the format of one reader and judge every row; nothing is imported. `folder` is an empty one
    for what is written meanwhile.

    Raises InputError for a file that is not of that format or is damaged.
    """
    delivered = Source(path, {**source.list_form, "columns": dict(source.columns)})
    counts = _stage(delivered, readers.detect(delivered, reader), folder, None)
    digests = {}
    for algorithm in DIGESTS:
        held = pq.read_table(folder / "rows.parquet", columns=algorithm.columns).drop_null()
        words = [column.to_numpy() for column in held.columns]
        digests[algorithm.name] = {value.tobytes() for value in from_words(algorithm, words)}
    rejected = dict(sorted(counts["rejected"].items()))
    return JudgedFile(counts["read"], counts["accepted"], rejected, delivered.notes, digests)


def _arrival(settings: Settings) -> int:
    """A number that no other import has."""
    highest = lambda: max((i.sequence for i in all_imports(settings)), default=0)  # noqa: E731
    return ordering.next_number(imports_dir(settings).parent / "sequence", highest)


def by_hand(source: KnownSource, columns: Mapping[str, Any]) -> KnownSource:
    """The source as the sender of a list without header that we write ourselves: an increment, whatever it delivers."""
    return replace(source, reader="list", columns=columns, list_form={"header": False}, delivery="increment")


@contextlib.contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes `folder` on a clean exit and vanishes otherwise; it is locked while it is written."""
    files.make_folder(folder.parent)
    _sweep(folder.parent)
    temporary = folder.parent / f"{files.TEMPORARY}{os.getpid()}-{folder.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    held = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield temporary
        files.sync_folder(temporary)
        temporary.rename(folder)
        files.sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        os.close(held)


def _sweep(folder: Path) -> None:
    """Remove what killed imports left: temporary folders that nobody has locked, a minute old or more."""
    for path in folder.glob(f"{files.TEMPORARY}*"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # another process swept it
            held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - path.stat().st_mtime > 60:  # a lock follows the making of a folder
                    shutil.rmtree(path, ignore_errors=True)
            except BlockingIOError:
                pass  # an import that is alive
            finally:
                os.close(held)


def _stage(
    source: Source,
    detection: readers.Detection,
    folder: Path,
    progress: Progress | None,
    arrived: datetime | None = None,
) -> dict[str, Any]:
    read = accepted = 0
    newest: datetime | None = None
    rejected: Counter[str] = Counter()
    defects: Counter[str] = Counter()
    rejects = _Rejects(folder / "rejects.csv")
    with (
        rejects,
        (folder / "rows.parquet").open("wb") as raw,
        pq.ParquetWriter(
            raw,
            rows.SCHEMA,
            compression=COMPRESSION,
            write_statistics=False,
            use_dictionary=DICTIONARY,
        ) as writer,
    ):
        pending: list[pa.Table] = []
        for batch in readers.READERS[detection.reader].read(source, detection):
            done = batch if isinstance(batch, rows.Cleaned) else rows.clean_batch(batch)
            done = done if arrived is None else ordering.not_ahead(done, arrived)
            read += done.table.num_rows + len(done.rejected)
            accepted += done.table.num_rows
            rejected.update(r.reason for r in done.rejected)
            defects.update(f"{r.field}:{r.reason}" for r in done.defects)
            rejects.write("row", done.rejected)
            rejects.write("value", done.defects)
            newest = ordering.latest(newest, done.table["updated_at"])
            pending.append(done.table)
            if sum(t.num_rows for t in pending) >= ROW_GROUP:
                writer.write_table(pa.concat_tables(pending), row_group_size=1 << 20)
                pending.clear()
            if progress is not None:
                progress(source.done, read)
        if pending:
            writer.write_table(pa.concat_tables(pending), row_group_size=1 << 20)
        writer.close()
        raw.flush()
        os.fsync(raw.fileno())
    if read != accepted + sum(rejected.values()):
        raise ReconciliationError(
            f"{source.path.name}: {read} rows were read, {accepted} accepted and {sum(rejected.values())} rejected.",
            "Nothing was imported.",
        )
    return {"read": read, "accepted": accepted, "rejected": rejected, "defects": defects, "newest": newest}


DICTIONARY = ["member", "category", "mime", "series.list.element", "tags.list.element"]
"""Columns worth a dictionary; digests are not."""

COMPRESSION = {
    "position": "none",
    **{
        f.name: "none" if f.name.startswith(tuple(a.name for a in ALL)) else "zstd"
        for f in rows.SCHEMA
        if f.name != "position"
    },
    "series.list.element": "zstd",
    "tags.list.element": "zstd",
}
"""Digests are random bytes: compressing them is work for nothing. The file has a SHA-256, pages need no checksum."""


class _Rejects:
    """The rejects file: position, what was refused (row or value), field, reason and the value, safe to open anywhere."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _Rejects:
        self._file = self._path.open("wb")
        self._file.write(b"position,refused,field,reason,value\r\n")
        return self

    def write(self, what: str, refused: list[rows.Reject]) -> None:
        if refused:
            named = [
                {"position": r.position, "refused": what, "field": r.field, "reason": r.reason, "value": r.value}
                for r in refused
            ]
            text = csvtext.as_csv(("position", "refused", "field", "reason", "value"), named)
            self._file.write(text.split(b"\r\n", 1)[1])

    def __exit__(self, *exception: object) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def load(folder: Path) -> Import:
    """The record of a staged import. Raises IntegrityError when it is damaged."""
    try:
        return Import(**json.loads((folder / "import.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise IntegrityError(
            f"The record of import {folder.name} is damaged.", "Remove its folder and import the file again."
        ) from error


def all_imports(settings: Settings) -> list[Import]:
    """Every staged import, in the order in which a release applies them (`Import.order`)."""
    folders = [p for p in imports_dir(settings).glob("*") if not p.name.startswith(files.TEMPORARY)]
    return sorted((load(p) for p in folders), key=lambda i: i.order)


def staged_rows(settings: Settings, record: Import) -> Path:
    """The verified Parquet file of an import. Raises IntegrityError when its bytes are not those that were staged."""
    path = imports_dir(settings) / record.key / "rows.parquet"
    try:
        sound = files.sha256(path) == record.rows_sha256
    except OSError as error:
        raise IntegrityError(f"The rows of import {record.key} cannot be read: {error.strerror}.") from error
    if not sound:
        raise IntegrityError(
            f"The rows of import {record.key} are not what was staged.",
            "Remove its folder and import the file again.",
        )
    return path


def rejects_file(settings: Settings, record: Import) -> Path:
    """The file of refused rows and values, to be given to the sender."""
    return imports_dir(settings) / record.key / "rejects.csv"
