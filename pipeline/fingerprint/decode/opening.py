"""Reading what the parent has opened, inside the worker: a plain file, or a member of a zip or tar archive in place.

Nothing is unpacked to disk and no name from an archive becomes a path. A member counts only if its name is exactly
the one asked for, once, and it is a plain file; how far it may grow is limited before and while it is read.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from pipeline.fingerprint.decode.gzipped import SeekableGzip
from pipeline.fingerprint.outcome import Reason, Refusal

_SMALL_MEMBER = 1 << 20
"""Below this size the growth of a compressed member is harmless: a black picture does grow a thousandfold."""


class Archive:
    """An open archive with an index of its plain files. Kept open between requests for its members.

    `tick(bytes_unpacked)` is called while a compressed tar is read through; it may raise to stop.
    """

    def __init__(self, file: BinaryIO, members: int, ratio: int, tick: Callable[[int], None]) -> None:
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
                if magic[:2] == b"\x1f\x8b":
                    file = cast(BinaryIO, io.BufferedReader(SeekableGzip(file, tick), 1 << 18))
                self.tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115
                entries = iter(self.tar)
            for number, entry in enumerate(entries):
                if number >= members:
                    raise Refusal(Reason.ARCHIVE_LIMIT, "members")
                name = entry.filename if isinstance(entry, zipfile.ZipInfo) else entry.name
                self._seen[name] = None if name in self._seen else entry
        except MemoryError:
            raise Refusal(Reason.ARCHIVE_LIMIT, "MemoryError") from None
        except BROKEN as error:
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
        except BROKEN as error:
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


BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    LookupError,
    OverflowError,
)
"""What the standard library raises for a damaged archive, found by flipping bits (tests/pipeline/fingerprint/decode/test_opening.py);
everything else is our own error."""


class Opener:
    """Turns descriptors into content; keeps the last archive open, as members of one package come in a row."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.limits = limits
        self._key: tuple[int, int, int, int] | None = None
        self._archive: Archive | None = None
        self._file: BinaryIO | None = None

    @contextmanager
    def open(self, descriptor: int, member: str | None, tick: Callable[[int], None]) -> Iterator[BinaryIO]:
        """The file, or a member of it, as a seekable binary file; the descriptor is closed when it is done with.

        `tick(bytes_unpacked)` is called while an archive that is not open yet is read through. Raises Refusal; errors while reading are for the caller (`refusal`).
        """
        file = cast(BinaryIO, os.fdopen(descriptor, "rb", buffering=0))
        if member is None:
            with file:
                yield file
            return
        try:
            archive = self._archive_of(file, tick)
        except BaseException:
            file.close()
            raise
        with archive.member(member) as content:
            yield content

    def _archive_of(self, file: BinaryIO, tick: Callable[[int], None]) -> Archive:
        status = os.fstat(file.fileno())
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if self._archive is not None and self._key == key:
            file.close()
            return self._archive
        self.close()
        self._archive = Archive(
            cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, file))),
            self.limits["archive_members"],
            self.limits["member_ratio"],
            tick,
        )
        self._file, self._key = file, key
        return self._archive

    def close(self) -> None:
        """Close the archive that is kept open."""
        if self._file is not None:
            self._file.close()
        self._archive = self._key = self._file = None


_SLACK = 255
"""Bytes behind the end of a deflated stream that are no content: nothing so small is a picture. zipfile counts some of them twice."""


def holds_more(content: BinaryIO) -> bool:
    """Whether a member of a zip, read to its end, has bytes in the archive behind the end of its deflated stream, which no
    program unpacks and nobody would see. zipfile keeps what it has left to itself."""
    if not isinstance(content, zipfile.ZipExtFile):
        return False
    unused = getattr(content._decompressor, "unused_data", b"")  # type: ignore[attr-defined]
    left: int = content._compress_left + len(unused)  # type: ignore[attr-defined]
    return left > _SLACK


def refusal(error: Exception, in_archive: bool) -> Refusal:
    """What an error while reading a file's bytes means."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, MemoryError):
        return Refusal(Reason.MEMORY, "MemoryError")
    if in_archive:
        return Refusal(Reason.ARCHIVE_DAMAGED, type(error).__name__)
    return Refusal(Reason.UNREADABLE, type(error).__name__)
