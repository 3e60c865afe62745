"""Pictures and videos that lie in the same file as the picture that viewers show.

A motion photo is a JPEG or HEIC with a short film behind it, an MPO holds several JPEGs, a camera's raw file its own previews,
and anybody can append one file to another: a viewer shows the first, and whoever looks only at that has not seen the rest.
Where a picture or film ends is told from its own structure (`ends`); what follows is searched for beginnings of pictures, films and
archives. Of one whose structure does not tell, all is searched, for beginnings that do not come about by chance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.fingerprint.decode.ends import end_of, film_end
from pipeline.fingerprint.decode.ondisk import OnDisk, TooLongError
from pipeline.fingerprint.decode.sniff import HEAD, VAGUE, MediaType, media_type

MOST = 64
"""Parts that are looked for in one file; a file with more has that many."""
DISK_SECONDS = 1.5
"""Processor seconds in which the end of a film on disk has to be found."""
LEAST_BYTES = 128
"""Nothing smaller is a picture or film."""
JPEG = b"\xff\xd8\xff"
_BEGINNINGS = (
    (JPEG, 0),
    (b"\x89PNG\r\n\x1a\n", 0),
    (b"GIF89a", 0),
    (b"GIF87a", 0),
    (b"WEBPVP8", 8),
    (b"ftyp", 4),
    (b"\x1aE\xdf\xa3", 0),
    (b"AVI LIST", 8),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0),
    (b"Rar!\x1a\x07", 0),
    (b"7z\xbc\xaf\x27\x1c", 0),
    (b"PK\3\4", 0),
)
_SURE_BEGINNINGS = (
    *_BEGINNINGS,
    (b"II*\0\x08\0\0\0", 0),
    (b"MM\0*\0\0\0\x08", 0),
    (b"DDS \x7c\0\0\0", 0),
    (b"OggS\0\2", 0),
    (b".RMF\0\0\0", 0),
    (b"\0\0\0\x09\0\0\0\0", 5),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02", 0),
)
"""Bytes by which a picture, a film or an archive is found, and how far behind its beginning they stand; and what is looked for
too where all of a file is searched, or what follows damage in a stream."""
_SURE_JPEG = re.compile(
    rb"\xff\xd8\xff(?:\xe0..JFIF\0|\xe1..(?:Exif\0|http)|\xe2..(?:ICC_PROFILE|MPF)\0|\xdb\0[\x43\x84]|\xee\0\x0eAdobe)",
    re.DOTALL,
)
_SURE_BOX = re.compile(rb"\x00\x00[\x00-\x03][\x08-\xff]ftyp[ -~]{4}", re.DOTALL)
_SURE_ZIP = re.compile(rb"PK\x03\x04[\x0a-\x3f]\x00..[\x00\x08]\x00", re.DOTALL)
_STREAMS = frozenset({"mpegps", "mpegts", "flv", "ogg", "rm", "dv", "mxf", "matroska"})
"""Films that go on behind damage: what follows the place where their structure breaks off is mostly more of the same."""


@dataclass(frozen=True)
class EmbeddedPart:
    """A picture or film inside a file: its first byte, the byte behind its last, and its type by content."""

    start: int
    end: int
    media: MediaType


def further(data: bytes, family: str | None) -> list[EmbeddedPart]:
    """Pictures, films and archives behind the end of what `data` begins with, in their order."""
    if family == "jpeg" and data.find(b"\xff\xd9", _scan_of(data)) in (-1, len(data) - 2):
        return []  # nearly every photograph: one end mark behind the scan, and nothing behind it
    end = end_of(data, family)
    if end is None:
        return list(_parts(data, LEAST_BYTES, sure=True, directly=False))
    return list(_parts(data, end, sure=family in _STREAMS)) if end < len(data) else []


def holds(data: bytes) -> bool:
    """Whether anywhere in `data`, whose kind is not known, a picture, film or archive begins, not by chance."""
    return next(_parts(data, 0, sure=True, directly=False), None) is not None


def behind_on_disk(file: BinaryIO, family: str | None, most: int) -> int:
    """How many pictures, films and archives lie in the first `most` bytes behind the end of a film that is too large for memory.

    None are known where its container does not tell, or has more pieces than can be gone through in DISK_SECONDS.
    """
    data = OnDisk(file, DISK_SECONDS)
    try:
        end = film_end(data, family)
        if end is None or end >= len(data):
            return 0
        rest = data[end : end + most]
    except TooLongError:
        return 0
    return len(list(_parts(rest, 0, sure=family in _STREAMS)))


def _beginning(data: bytes, at: int, sure: bool) -> int | None:
    """Offset of the next bytes from `at` on that a picture or film may begin with; `sure`: not by chance."""
    first = len(data)
    for mark, back in _SURE_BEGINNINGS if sure else _BEGINNINGS:
        place = data.find(mark, at + back, first + back)
        while sure and place >= 0 and not _is_sure(data[place - back : place - back + HEAD]):
            place = data.find(mark, place + 1, first + back)
        first = min(first, place - back) if place >= 0 else first
    return first if first < len(data) else None


def _is_sure(head: bytes) -> bool:
    """Whether a beginning of a short mark is one by what follows the mark too."""
    if head.startswith(JPEG):
        return _SURE_JPEG.match(head) is not None
    if head.startswith(b"PK\3\4"):
        return _SURE_ZIP.match(head) is not None
    if head.startswith(b"\x1aE\xdf\xa3"):
        return b"matroska" in head[:64] or b"webm" in head[:64]
    if head[5:13] == b"\0\0\0\x09\0\0\0\0":
        return head.startswith(b"FLV\1")
    return head[4:8] != b"ftyp" or _SURE_BOX.match(head) is not None


def _scan_of(data: bytes) -> int:
    """Offset of the first scan of a JPEG, behind the segments of its header."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


def previews(data: bytes) -> list[EmbeddedPart]:
    """JPEGs inside a camera's raw file, largest first: the largest is what the camera shows of it."""
    found: list[EmbeddedPart] = []
    at = data.find(JPEG)
    while at >= 0 and len(found) < MOST:
        end = at + (end_of(data[at:], "jpeg") or 0)
        if end - at >= LEAST_BYTES:
            found.append(EmbeddedPart(at, end, media_type(data[at : at + HEAD])))
        at = data.find(JPEG, max(end, at + 3))
    return sorted(found, key=lambda part: part.start - part.end)


def _parts(data: bytes, at: int, *, sure: bool, directly: bool = True) -> Iterator[EmbeddedPart]:
    """What begins directly at `at` and behind each part found; between them only by its long mark."""
    found = 0
    while found < MOST:
        start = _directly(data, at) if directly else None
        if start is None:
            start = _beginning(data, at, sure)
        if start is None:
            return
        media = media_type(data[start : start + HEAD])
        end = end_of(data[start:], media.family) if media.family else None
        stop = start + end if end is not None else len(data)
        if (media.family is None and not media.undecoded) or stop - start < LEAST_BYTES:
            at, directly = start + 4, False
            continue
        found += 1
        yield EmbeddedPart(start, stop, media)
        at, directly = stop, True


def _directly(data: bytes, at: int) -> int | None:
    """Offset of what begins at `at`, or behind zeros there, if it is a picture, film or archive of any kind."""
    for start in (at, at + len(data[at : at + HEAD]) - len(data[at : at + HEAD].lstrip(b"\0"))):
        media = media_type(data[start : start + HEAD])
        if (media.family or media.undecoded) and media.family not in VAGUE:
            return start
    return None
