"""Opening what a locator names, inside the worker: a plain file, or a member of a zip or tar archive read in place.

Nothing is unpacked to disk and no name from an archive becomes a path. A member counts only if its name is exactly
the one asked for, once, and it is a plain file; how far it may grow is limited before and while it is read.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from pipeline.errors import InputError
from pipeline.fingerprint.outcome import Reason
from pipeline.locator import Locator

_SMALL_MEMBER = 1 << 20
"""Below this size the growth of a compressed member is harmless: a black picture does grow a thousandfold."""


class Refusal(Exception):  # noqa: N818 - an outcome of the file, not an error of ours
    """The file will not be read or decoded; carries the reason code and an exception class or a plain word."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.detail = detail


class Archive:
    """An open archive with an index of its plain files. Kept open between requests for its members."""

    def __init__(self, file: BinaryIO, members: int, ratio: int) -> None:
        self.ratio = ratio
        self.zip: zipfile.ZipFile | None = None
        self.tar: tarfile.TarFile | None = None
        self._seen: dict[str, zipfile.ZipInfo | tarfile.TarInfo | None] = {}
        magic = file.read(4)
        file.seek(0)
        try:
            if magic[:2] == b"PK":
                self.zip = zipfile.ZipFile(file)
                entries: Iterator[zipfile.ZipInfo | tarfile.TarInfo] = iter(self.zip.infolist())
            else:
                self.tar = tarfile.open(fileobj=file, mode="r:gz" if magic[:2] == b"\x1f\x8b" else "r:")  # noqa: SIM115
                entries = iter(self.tar)
            for number, entry in enumerate(entries):
                if number >= members:
                    raise Refusal(Reason.ARCHIVE_LIMIT, "members")
                name = entry.filename if isinstance(entry, zipfile.ZipInfo) else entry.name
                self._seen[name] = None if name in self._seen else entry
        except MemoryError:
            raise Refusal(Reason.ARCHIVE_LIMIT, "MemoryError") from None
        except _BROKEN as error:
            raise Refusal(Reason.ARCHIVE_DAMAGED, type(error).__name__) from error

    def member(self, name: str) -> BinaryIO:
        """The member as a seekable binary file. Raises Refusal."""
        if name not in self._seen:
            raise Refusal(Reason.MISSING, "member")
        entry = self._seen[name]
        if entry is None:
            raise Refusal(Reason.AMBIGUOUS)
        try:
            if isinstance(entry, zipfile.ZipInfo):
                return self._zip_member(entry)
            return self._tar_member(entry)
        except _BROKEN as error:
            raise Refusal(Reason.ARCHIVE_DAMAGED, type(error).__name__) from error

    def _zip_member(self, entry: zipfile.ZipInfo) -> BinaryIO:
        if entry.flag_bits & 1:
            raise Refusal(Reason.ENCRYPTED)
        if entry.is_dir() or stat.S_ISLNK(entry.external_attr >> 16):
            raise Refusal(Reason.NOT_A_FILE)
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refusal(Reason.ARCHIVE_DAMAGED, "compression")
        if entry.file_size > max(_SMALL_MEMBER, self.ratio * entry.compress_size):
            raise Refusal(Reason.ARCHIVE_LIMIT, "ratio")
        if self.zip is None:
            raise Refusal(Reason.NOT_A_FILE)
        return cast(BinaryIO, self.zip.open(entry))

    def _tar_member(self, entry: tarfile.TarInfo) -> BinaryIO:
        if not entry.isreg() or entry.issparse():
            raise Refusal(Reason.NOT_A_FILE)
        file = self.tar.extractfile(entry) if self.tar else None
        if file is None:
            raise Refusal(Reason.NOT_A_FILE)
        return cast(BinaryIO, file)


_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    KeyError,
    IndexError,
    OverflowError,
)
"""What the standard library raises for a damaged archive, found by flipping bits (tests/pipeline/fingerprint/decode/test_opening.py)."""


class Opener:
    """Opens locators below `root`; keeps the last archive open, as members of one package come in a row."""

    def __init__(self, root: Path, limits: dict[str, int]) -> None:
        self.root = root
        self.limits = limits
        self._key: tuple[str, int, int, int] | None = None
        self._archive: Archive | None = None
        self._file: BinaryIO | None = None

    @contextmanager
    def open(self, locator: Locator) -> Iterator[BinaryIO]:
        """The content as a seekable binary file. Raises Refusal; errors while reading are for the caller (`refusal`)."""
        file = self._open_plain(locator)
        if locator.member is None:
            with file:
                yield file
            return
        try:
            archive = self._archive_of(locator.container, file)
        except BaseException:
            file.close()
            raise
        with archive.member(locator.member) as member:
            yield member

    def _open_plain(self, locator: Locator) -> BinaryIO:
        try:
            path = locator.path(self.root).resolve()
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except (FileNotFoundError, NotADirectoryError):
            raise Refusal(Reason.MISSING) from None
        except InputError:
            raise Refusal(Reason.UNREADABLE, "outside") from None
        except (OSError, ValueError, RuntimeError) as error:  # no permission, a name with NUL, a loop of links
            raise Refusal(Reason.UNREADABLE, type(error).__name__) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Refusal(Reason.NOT_A_FILE)
        return cast(BinaryIO, os.fdopen(descriptor, "rb", buffering=0))

    def _archive_of(self, container: str, file: BinaryIO) -> Archive:
        status = os.fstat(file.fileno())
        key = (container, status.st_ino, status.st_size, status.st_mtime_ns)
        if self._archive is not None and self._key == key:
            file.close()
            return self._archive
        self.close()
        self._archive = Archive(
            cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, file))),
            self.limits["archive_members"],
            self.limits["member_ratio"],
        )
        self._file, self._key = file, key
        return self._archive

    def close(self) -> None:
        """Close the archive that is kept open."""
        if self._file is not None:
            self._file.close()
        self._archive = self._key = self._file = None


def refusal(error: Exception, in_archive: bool) -> Refusal:
    """What an error while reading a file's bytes means."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, MemoryError):
        return Refusal(Reason.MEMORY, "MemoryError")
    if in_archive:
        return Refusal(Reason.ARCHIVE_DAMAGED, type(error).__name__)
    return Refusal(Reason.UNREADABLE, type(error).__name__)
