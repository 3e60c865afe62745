"""What a zip says of itself: the names of its members as their senders meant them, and whether bytes lie in it that no
member is made of, which nobody would see."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import IO, Any

from pipeline.errors import InputError
from pipeline.ingest.landing.noise import MEDIA

SLACK = 8192
"""Bytes behind a member of a zip that belong to its header (extra fields, a descriptor) or align the next one."""
COMMENT = 1024
"""Bytes of a zip's comment, and of what lies behind it, that are a comment and no content."""
LEAST = 128
"""Nothing smaller is a picture or film: fewer bytes that belong to no member are not looked at."""
_UTF8 = 0x800


def check_slack(data: bytes) -> None:
    """Refuse bytes that belong to no member in which a picture or film begins, however few they are. Raises InputError."""
    if len(data) >= LEAST and MEDIA.search(data):
        raise InputError("the archive holds a picture or film in bytes that belong to no member; pack it anew")


def check_directory(file: IO[bytes], size: int, caps: dict[str, Any]) -> None:
    """Refuse a zip whose list of members is absurdly large before zipfile reads it whole into memory, and one with
    content behind its end or in its comment. Raises InputError, BadZipFile."""
    file.seek(max(0, size - 65_557))
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise zipfile.BadZipFile
    count, length = struct.unpack_from("<HI", tail, end + 10)
    wide = tail.rfind(b"PK\x06\x06", 0, end)
    if wide >= 0 and len(tail) >= wide + 56:
        count, length = struct.unpack_from("<QQ", tail, wide + 32)
    behind = tail[end + 22 :].rstrip(b"\0")
    if len(behind) > COMMENT:
        raise InputError("the archive holds data behind its end or in its comment; pack it anew")
    check_slack(behind)
    largest = 46 + 3 * caps["name_bytes"]  # of an entry: its fixed part, the name, and some room for extra fields
    if length > caps["directory_bytes"] or count > caps["members"] * 2:
        raise InputError("the archive has too many members")
    if length > max(1, count) * largest:
        raise InputError("the archive's list of members is longer than the number of members that it states")
    file.seek(0)


def check_hidden(archive: zipfile.ZipFile) -> None:
    """Refuse a zip whose members hold more than whoever reads them comes to, or with more between its members than their
    headers: another archive put before it, members that its list does not name, or a picture in an extra field would be seen
    by nobody. Raises InputError."""
    if any(_hides(info) and not info.flag_bits & 0x1 for info in archive.infolist()):
        raise InputError("the archive holds data behind a member's end or in a folder's entry; pack it anew")
    reached = 0
    before: zipfile.ZipInfo | None = None
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        _check_gap(archive, before, reached, info.header_offset)
        check_slack(info.extra)
        check_slack(info.comment)
        reached = info.header_offset + _FIXED + len(info.orig_filename.encode()) + info.compress_size
        before = info
    _check_gap(archive, before, reached, archive.start_dir)


def _check_gap(archive: zipfile.ZipFile, before: zipfile.ZipInfo | None, reached: int, upto: int) -> None:
    """Judge what lies between a member as its list has it (`before`, up to `reached`) and the next: its header's extra field and
    what follows its content."""
    size = upto - reached
    if size > SLACK:
        raise InputError("the archive holds data that belongs to no member of its list; pack it anew")
    if size < LEAST or archive.fp is None:
        return
    if before is None:
        check_slack(_at(archive.fp, 0, size))
        return
    fixed = _at(archive.fp, before.header_offset, _FIXED)
    if len(fixed) < _FIXED:
        raise zipfile.BadZipFile
    name, extra = struct.unpack_from("<HH", fixed, _FIXED - 4)
    content = before.header_offset + _FIXED + name + extra
    check_slack(_at(archive.fp, content - extra, min(extra, SLACK)))
    end = content + before.compress_size
    check_slack(_at(archive.fp, end, max(0, upto - end)))


def _at(file: IO[bytes], start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)


_FIXED = 30
"""Bytes of a member's header before its name; the last four are the lengths of the name and of the extra field."""


def _hides(info: zipfile.ZipInfo) -> bool:
    """Whether bytes lie in a member where nobody who reads it comes to: in a folder's entry, or behind what it says to hold.
    Deflate adds five bytes to each 16 KiB that it cannot press."""
    if info.is_dir() or info.compress_type == zipfile.ZIP_STORED:
        most = 0 if info.is_dir() else info.file_size
        return info.file_size > most or info.compress_size > most + (2 if info.is_dir() else 0)
    return info.compress_size > info.file_size + info.file_size // 1000 + 1024


def names(infos: list[zipfile.ZipInfo]) -> list[str]:
    """Names as their senders meant them; zipfile reads those without the mark of UTF-8 as code page 437, cuts them at NUL
    and turns the system's separator, so they are judged as they were stored. macOS writes UTF-8 without the mark, others
    a field with the name in UTF-8 (Info-ZIP's 0x7075) beside one in their own code page."""
    return [_name(info).removeprefix("./") for info in infos]


def _name(info: zipfile.ZipInfo) -> str:
    stored = info.orig_filename
    if info.flag_bits & _UTF8 or stored.isascii():
        return stored
    raw = stored.encode("cp437")
    try:
        return _unicode_path(info.extra, raw) or raw.decode("utf-8")
    except UnicodeDecodeError:
        return stored


def _unicode_path(extra: bytes, raw: bytes) -> str:
    """The name in an extra field 0x7075 that was made for this stored name; empty when there is none."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        field = extra[at + 4 : at + 4 + size]
        if (
            kind == 0x7075
            and len(field) > 5
            and field[0] == 1
            and struct.unpack_from("<I", field, 1)[0] == zlib.crc32(raw)
        ):
            return field[5:].decode("utf-8")
        at += 4 + size
    return ""
