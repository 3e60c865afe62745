"""Pictures and videos that lie in the same file as the picture that viewers show.

A motion photo is a JPEG or HEIC with a short film behind it, an MPO holds several JPEGs, a camera's raw file its own previews,
and anybody can append one file to another: a viewer shows the first, and whoever looks only at that has not seen the rest.
Where a picture ends is told from its own structure; what follows is searched for beginnings of pictures and films.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.fingerprint.decode.sniff import HEAD, MediaType, media_type

MOST = 64
"""Parts that are looked for in one file; a file with more has that many."""
LEAST_BYTES = 128
"""Nothing smaller is a picture or film."""
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
JPEG = b"\xff\xd8\xff"
_BEGINNINGS = (
    (JPEG, 0),
    (b"\x89PNG\r\n\x1a\n", 0),
    (b"GIF89a", 0),
    (b"GIF87a", 0),
    (b"WEBPVP8", 8),
    (b"ftyp", 4),
    (b"\x1aE\xdf\xa3", 0),
)
"""Bytes by which a picture or film is found, and how far behind its beginning they stand."""


@dataclass(frozen=True)
class EmbeddedPart:
    """A picture or film inside a file: its first byte, the byte behind its last, and its type by content."""

    start: int
    end: int
    media: MediaType


def further(data: bytes, family: str | None) -> list[EmbeddedPart]:
    """Pictures and films behind the end of the picture that `data` begins with, in their order; empty where its end is unknown."""
    body = _scan_of(data) if family == "jpeg" else 16  # a JPEG's own thumbnail lies in its header
    if _beginning(data, body) is None:
        return []
    end = end_of(data, family)
    return list(_parts(data, end)) if end is not None else []


def _beginning(data: bytes, at: int) -> int | None:
    """Offset of the next bytes from `at` on that a picture or film may begin with."""
    found = [place - back for mark, back in _BEGINNINGS if (place := data.find(mark, at + back)) >= 0]
    return min(found, default=None)


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
        end = at + _jpeg(data[at:])
        if end - at >= LEAST_BYTES:
            found.append(EmbeddedPart(at, end, media_type(data[at : at + HEAD])))
        at = data.find(JPEG, max(end, at + 3))
    return sorted(found, key=lambda part: part.start - part.end)


def _parts(data: bytes, at: int) -> Iterator[EmbeddedPart]:
    found = 0
    while found < MOST:
        start = _beginning(data, at)
        if start is None:
            return
        media = media_type(data[start : start + HEAD])
        end = end_of(data[start:], media.family) if media.family else None
        stop = start + end if end is not None else len(data)
        if media.family is None or stop - start < LEAST_BYTES:
            at = start + 4
            continue
        found += 1
        yield EmbeddedPart(start, stop, media)
        at = stop


def end_of(data: bytes, family: str | None) -> int | None:
    """Offset behind the last byte of the picture that `data` begins with; None where it cannot be told."""
    if family == "jpeg":
        return _jpeg(data)
    if family == "png":
        return _png(data)
    if family == "gif":
        return _gif(data)
    if family == "webp":
        return min(8 + int.from_bytes(data[4:8], "little"), len(data))
    if family in ("heif", "avif", "mp4"):
        return _boxes(data)
    return None


def _jpeg(data: bytes) -> int:
    """Behind the end-of-image marker of the first JPEG; the whole where there is none (a cut file)."""
    at, in_scan = 2, False
    while True:
        if in_scan:
            match = _MARKER.search(data, at)
            if match is None:
                return len(data)
            at, in_scan = match.start(), False
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if data[at : at + 1] != b"\xff" or at + 4 > len(data):
            return at + 2 if data[at : at + 2] == b"\xff\xd9" else len(data)
        marker = data[at + 1]
        if marker == 0xD9:
            return at + 2
        length = 0 if marker == 0x01 or 0xD0 <= marker <= 0xD8 else int.from_bytes(data[at + 2 : at + 4], "big")
        at += 2 + length
        in_scan = marker == 0xDA


def _png(data: bytes) -> int:
    at = 8
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        at += 12 + length
        if kind == b"IEND":
            return min(at, len(data))
    return len(data)


def _gif(data: bytes) -> int:
    """Behind the trailer of a GIF (GIF89a specification, section 27)."""
    if len(data) < 13:
        return len(data)
    at = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    while at < len(data):
        kind = data[at]
        if kind == 0x2C and at + 10 <= len(data):
            flags = data[at + 9]
            at += 11 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
        elif kind == 0x21:
            at += 2
        else:
            return at + 1 if kind == 0x3B else len(data)
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return len(data)


def _boxes(data: bytes) -> int:
    """Behind the last box of an ISO base media file: where no box begins, at a second `ftyp`, or at Samsung's `mpvd`,
    which holds the film of a motion photo."""
    at = 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        elif size == 0:
            return len(data)
        if at and kind in (b"ftyp", b"mpvd"):
            return at
        if size < 8 or not kind.isascii() or not all(0x20 <= byte < 0x7F for byte in kind):
            return at if at else len(data)
        at += size
    return min(at, len(data))
