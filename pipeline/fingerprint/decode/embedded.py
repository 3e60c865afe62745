"""Pictures and videos that lie in the same file as the picture that viewers show.

A motion photo is a JPEG or HEIC with a short film behind it, an MPO holds several JPEGs, a camera's raw file its own previews,
and anybody can append one file to another: a viewer shows the first, and whoever looks only at that has not seen the rest.
Where a picture or film ends is told from its own structure; what follows is searched for beginnings of pictures, films and archives.
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
    (b"AVI LIST", 8),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0),
    (b"Rar!\x1a\x07", 0),
    (b"7z\xbc\xaf\x27\x1c", 0),
    (b"PK\3\4", 0),
)
"""Bytes by which a picture, a film or an archive is found, and how far behind its beginning they stand."""
_VAGUE = frozenset({"tga", "pcx", "sgi"})
"""Families that other bytes are easily taken for: not believed of what follows directly behind a picture."""


@dataclass(frozen=True)
class EmbeddedPart:
    """A picture or film inside a file: its first byte, the byte behind its last, and its type by content."""

    start: int
    end: int
    media: MediaType


def further(data: bytes, family: str | None) -> list[EmbeddedPart]:
    """Pictures, films and archives behind the end of what `data` begins with, in their order; empty where its end is unknown."""
    if family == "jpeg" and data.find(b"\xff\xd9", _scan_of(data)) in (-1, len(data) - 2):
        return []  # nearly every photograph: one end mark behind the scan, and nothing behind it
    end = end_of(data, family)
    return list(_parts(data, end)) if end is not None and end < len(data) else []


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
        start = _directly(data, at)
        if start is None:
            start = _beginning(data, at)
        if start is None:
            return
        media = media_type(data[start : start + HEAD])
        end = end_of(data[start:], media.family) if media.family else None
        stop = start + end if end is not None else len(data)
        if (media.family is None and not media.undecoded) or stop - start < LEAST_BYTES:
            at = start + 4
            continue
        found += 1
        yield EmbeddedPart(start, stop, media)
        at = stop


def _directly(data: bytes, at: int) -> int | None:
    """Offset of what begins at `at`, or behind zeros there, if it is a picture, film or archive of any kind."""
    for start in (at, at + len(data[at : at + HEAD]) - len(data[at : at + HEAD].lstrip(b"\0"))):
        media = media_type(data[start : start + HEAD])
        if (media.family or media.undecoded) and media.family not in _VAGUE:
            return start
    return None


def end_of(data: bytes, family: str | None) -> int | None:
    """Offset behind the last byte of the picture or film that `data` begins with; None where it cannot be told."""
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
    walk = {"bmp": _bmp, "avi": _avi, "matroska": _matroska, "asf": _asf}.get(family or "")
    return walk(data) if walk else None


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


def _bmp(data: bytes) -> int | None:
    """Behind the rows of an uncompressed bitmap; None for others."""
    if len(data) < 34 or int.from_bytes(data[14:18], "little") < 40 or data[30:34] not in (bytes(4), b"\3\0\0\0"):
        return None
    offset, width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (10, 18, 22))
    row = (abs(width) * int.from_bytes(data[28:30], "little") + 31) // 32 * 4
    return min(max(offset, 54) + row * abs(height), len(data))


def _avi(data: bytes) -> int:
    """Behind the last RIFF chunk (a film above 1 GiB has several)."""
    at = 0
    while data[at : at + 4] == b"RIFF" and (not at or data[at + 8 : at + 12] == b"AVIX"):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + (size & 1)
    return min(at, len(data))


def _matroska(data: bytes) -> int | None:
    """Behind the segment of a Matroska or WebM file; None where its size is not stated (a recording that was cut off)."""
    header = _ebml_size(data, 4)
    if header is None:
        return None
    at = header[0] + header[1]
    segment = _ebml_size(data, at + 4)
    if segment is None or data[at : at + 4] != b"\x18\x53\x80\x67":
        return None
    return min(segment[0] + segment[1], len(data))


def _ebml_size(data: bytes, at: int) -> tuple[int, int] | None:
    """Offset behind an EBML size at `at`, and the size; None for an unknown one (RFC 8794, 4)."""
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length()
    value = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
    return None if not first or value == (1 << 7 * length) - 1 else (at + length, value)


def _asf(data: bytes) -> int:
    """Behind the last object of an ASF file: each begins with 16 bytes of its kind and its size."""
    at = 0
    while at + 24 <= len(data):
        size = int.from_bytes(data[at + 16 : at + 24], "little")
        if size < 24 or at + size > len(data):
            return at or len(data)
        at += size
    return at
