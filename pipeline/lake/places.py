"""Where a lake lies: a local folder, or a bucket of an object store, and how its files are written and read.

A data file carries the SHA-256 of its bytes in its name, `<name>.<sha256>.parquet`, so the log that names the file is
also the record of what it must hold. Files of an object store are fetched once to a cache on this machine, by digest.
Credentials and endpoints of an object store come from its own environment variables (AWS_*, AZURE_*), never from here.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from pipeline import files
from pipeline.errors import DependencyError, IntegrityError, SettingsError, UsageError

SCHEMES = ("s3", "abfs", "abfss")
"""Object stores that both the log (delta-rs) and the data files (Arrow) reach."""

CHUNK = 2**22
"""Bytes of one piece of a file that is read or written in pieces."""

_NAMED = re.compile(r"\.([0-9a-f]{64})\.parquet\Z")


def digest_of(name: str) -> str:
    """SHA-256 (hex) in a data file's name. Raises IntegrityError for a name that has none."""
    found = _NAMED.search(name)
    if found is None:
        raise IntegrityError(f"{name} is not named like a file of the lake.", "Restore the lake from a backup.")
    return found[1]


def root_of(text: str | Path, setting: str = "TRIAGE_LAKE") -> Path | str:
    """A place as the setting gives it: a folder, or an object store's URL without a slash at its end.

    Raises SettingsError for a URL that is of no supported kind, names no bucket, or carries a password or a query.
    """
    if isinstance(text, Path):
        return text
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        return Path(text)
    parts = urlsplit(text)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise SettingsError(f"{setting}={text!r} is not a folder of this machine.", "Write it as file:///folder.")
        return Path(parts.path)
    if parts.scheme not in SCHEMES:
        raise SettingsError(
            f"{setting}={text!r} is of no supported kind.", f"A folder, or a URL of {', '.join(SCHEMES)}."
        )
    if not text.startswith(f"{parts.scheme}://") or not parts.netloc or parts.query or parts.fragment:
        raise SettingsError(f"{setting}={text!r} does not name a bucket.", "For example s3://bucket/lake.")
    if (parts.scheme == "s3" and "@" in parts.netloc) or parts.password:
        raise SettingsError(f"{setting} has credentials in it.", "Give them in the store's own environment variables.")
    return text.rstrip("/")


@dataclass(frozen=True)
class FoundFile:
    """A file that lies in a lake: its name below the root, and the time since it was changed."""

    name: str
    age: timedelta


class LakePlace:
    """Files below one root. Names are relative, with slashes: `matches/match-a.<sha256>.parquet`."""

    def __init__(self, root: Path | str, cache: Path | None = None, setting: str = "TRIAGE_LAKE") -> None:
        """`setting` is where the root comes from, for what is said of it."""
        self.root = root_of(root, setting)
        self.cache = cache

    @property
    def is_local(self) -> bool:
        return isinstance(self.root, Path)

    def uri(self, folder: str) -> str:
        """What delta-rs opens."""
        return str(Path(self.root).resolve() / folder) if isinstance(self.root, Path) else f"{self.root}/{folder}"

    def local(self, name: str) -> Path:
        """Where a data file lies on this machine: itself, or its copy in the cache (which may not be there yet)."""
        if isinstance(self.root, Path):
            return self.root / name
        if self.cache is None:
            raise DependencyError(
                "A lake in an object store needs a cache folder.", "Open it with `Lake.of(settings)`."
            )
        return self.cache / f"{digest_of(name)}.parquet"

    def put(self, name: str, data: bytes | memoryview[int]) -> None:
        """Write a file, whole or not at all."""
        if isinstance(self.root, Path):
            files.write_bytes(self.root / name, data)
            return
        with self._store[0].open_output_stream(f"{self._store[1]}/{name}") as sink:
            sink.write(data)

    def fetch(self, name: str) -> None:
        """Bring a file of an object store to the cache. Raises IntegrityError when it is gone or cannot be read."""
        target = self.local(name)
        if self.is_local or target.is_file():
            return
        try:
            with self._store[0].open_input_stream(f"{self._store[1]}/{name}") as source:
                files.write_bytes(target, source.read())
        except OSError as error:
            raise IntegrityError(f"{name} cannot be fetched: {error}.", "Restore it from a backup.") from error

    def put_from(self, name: str, source: BinaryIO) -> None:
        """Write what an open file has from here on, whole or not at all."""
        if isinstance(self.root, Path):
            with files.atomic_writer(self.root / name) as sink:
                shutil.copyfileobj(source, sink, CHUNK)
            return
        with self._store[0].open_output_stream(f"{self._store[1]}/{name}") as sink:
            shutil.copyfileobj(source, sink, CHUNK)

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, piece by piece. Raises IntegrityError when it is gone or cannot be read."""
        try:
            with self._opened(name) as source:
                while piece := source.read(CHUNK):
                    yield piece
        except OSError as error:
            raise IntegrityError(f"{name} cannot be fetched: {error}.", "Restore it from a backup.") from error

    def _opened(self, name: str) -> Any:
        if isinstance(self.root, Path):
            return (self.root / name).open("rb")
        return self._store[0].open_input_stream(f"{self._store[1]}/{name}")

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        if isinstance(self.root, Path):
            return (self.root / name).is_file()
        from pyarrow import fs  # for an object store only

        return bool(self._store[0].get_file_info(f"{self._store[1]}/{name}").type == fs.FileType.File)

    def below(self, folder: str) -> Iterator[FoundFile]:
        """The files that lie in one folder, without those that are being written."""
        if isinstance(self.root, Path):
            for path in files.finished(self.root / folder, "*"):
                yield FoundFile(f"{folder}/{path.name}", _age(path))
            return
        from pyarrow import fs  # for an object store only

        for info in self._store[0].get_file_info(fs.FileSelector(f"{self._store[1]}/{folder}", allow_not_found=True)):
            if info.type == fs.FileType.File:
                age = timedelta(seconds=max(0.0, time.time() - info.mtime_ns / 1e9))
                yield FoundFile(f"{folder}/{info.base_name}", age)

    def remove(self, name: str) -> None:
        """Remove a file; one that is gone already is fine."""
        if isinstance(self.root, Path):
            (self.root / name).unlink(missing_ok=True)
            return
        from pyarrow import fs  # for an object store only

        path = f"{self._store[1]}/{name}"
        if self._store[0].get_file_info(path).type != fs.FileType.NotFound:
            self._store[0].delete_file(path)

    def drop_copies(self) -> int:
        """Remove the cached copies of an object store's files; returns how many. They are fetched again when they are read."""
        if self.is_local or self.cache is None:
            return 0
        copies = list(self.cache.glob("*.parquet"))
        for copy in copies:
            copy.unlink(missing_ok=True)
        return len(copies)

    def listing(self) -> Iterator[FoundFile]:
        """Data files and temporary files below the root, without the logs of the tables."""
        if isinstance(self.root, Path):
            for path in self.root.glob("*/*"):
                if path.name.startswith(files.TEMPORARY) or path.suffix == ".parquet":
                    yield FoundFile(path.relative_to(self.root).as_posix(), _age(path))
            return
        from pyarrow import fs  # for an object store only

        base = self._store[1]
        for info in self._store[0].get_file_info(fs.FileSelector(base, allow_not_found=True, recursive=True)):
            name = info.path.removeprefix(f"{base}/")
            if info.type == fs.FileType.File and name.endswith(".parquet") and "_delta_log" not in name:
                yield FoundFile(name, timedelta(seconds=max(0.0, time.time() - info.mtime_ns / 1e9)))

    def sync_log(self, folder: str, version: int) -> None:
        """Make a version of a table's log durable; an object store's are when they are written."""
        if not isinstance(self.root, Path):
            return
        log = self.root / folder / "_delta_log"
        with (log / f"{version:020d}.json").open("rb") as file:
            os.fsync(file.fileno())
        files.sync_folder(log)

    def newer(self, folder: str, version: int) -> bool:
        """Whether a table may have a version after this one; always, in an object store."""
        if not isinstance(self.root, Path):
            return True
        return (self.root / folder / "_delta_log" / f"{version + 1:020d}.json").exists()

    def log_entry(self, folder: str, version: int) -> bytes | None:
        """What the log of a table has for a version, as it was written; None when that is no longer there by itself."""
        name = f"{folder}/_delta_log/{version:020d}.json"
        if isinstance(self.root, Path):
            try:
                return (self.root / name).read_bytes()
            except FileNotFoundError:
                return None
        try:
            with self._store[0].open_input_stream(f"{self._store[1]}/{name}") as source:
                data: bytes = source.read()
                return data
        except FileNotFoundError:
            return None

    @cached_property
    def _store(self) -> tuple[Any, str]:
        from pyarrow import fs  # for an object store only

        store, base = fs.FileSystem.from_uri(str(self.root))
        return store, base


def refuse(place: LakePlace) -> None:
    """Raise UsageError when the lake at a place is of the format before."""
    if isinstance(place.root, Path) and stages_before(place.root):
        raise UsageError(
            "The lake was written by an earlier version.", "Run `triage lake migrate` once; it keeps every row."
        )


def stages_before(root: Path) -> list[Path]:
    """Folders of commits as JSON files, one folder per stage, as the version before wrote them."""
    try:
        with os.scandir(root / "commits") as found:  # years of commits are many files: none of them is looked at
            return sorted(Path(e.path) for e in found if e.is_dir() and e.name != "_delta_log")
    except (FileNotFoundError, NotADirectoryError):
        return []


def _age(path: Path) -> timedelta:
    """Time since a file was last changed; none for one that is gone."""
    try:
        return timedelta(seconds=max(0.0, time.time() - path.stat().st_mtime))
    except FileNotFoundError:
        return timedelta(0)
