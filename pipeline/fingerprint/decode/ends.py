"""Where a picture ends in the file that begins with it, from its own structure.

Each function gives the offset behind the last byte, the length of the data for a picture that was cut, or None where its
structure does not tell. Films are in `filmends`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

from pipeline.fingerprint.decode import filmends
from pipeline.fingerprint.decode.ondisk import Readable

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_PNM = re.compile(rb"P([456])\s(?:\s*#[^\n]{0,200}\n)*\s*(\d{1,6})\s+(\d{1,6})\s(?:\s*(\d{1,5})\s)?")
_TARGA_FOOTER = b"TRUEVISION-XFILE.\0"


def end_of(data: bytes, family: str | None) -> int | None:
    """Offset behind the last byte of the picture or film that `data` begins with; None where it cannot be told."""
    walk = _PICTURES.get(family or "")
    return walk(data) if walk else film_end(data, family)


def film_end(data: Readable, family: str | None) -> int | None:
    """The same of a film only, which need not be in memory."""
    walk = filmends.WALKS.get(family or "")
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


def _webp(data: bytes) -> int:
    return min(8 + int.from_bytes(data[4:8], "little"), len(data))


def _bmp(data: bytes) -> int | None:
    """Behind the rows of an uncompressed bitmap; None for others."""
    if len(data) < 34 or int.from_bytes(data[14:18], "little") < 40 or data[30:34] not in (bytes(4), b"\3\0\0\0"):
        return None
    offset, width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (10, 18, 22))
    row = (abs(width) * int.from_bytes(data[28:30], "little") + 31) // 32 * 4
    return min(max(offset, 54) + row * abs(height), len(data))


def _icon(data: bytes) -> int | None:
    """Behind the last picture of an icon or cursor, by its directory."""
    number = int.from_bytes(data[4:6], "little")
    entries = [data[6 + 16 * n : 22 + 16 * n] for n in range(number)]
    if not entries or len(entries[-1]) < 16:
        return None
    ends = [int.from_bytes(e[8:12], "little") + int.from_bytes(e[12:16], "little") for e in entries]
    return min(max(ends), len(data))


def _targa(data: bytes) -> int | None:
    """Behind the footer of a TGA, or the pixels of an uncompressed one without it (Truevision TGA 2.0)."""
    footer = data.find(_TARGA_FOOTER)
    if footer >= 0:
        return footer + len(_TARGA_FOOTER)
    identity, mapped, kind = data[0], data[1], data[2]
    if kind not in (1, 2, 3):
        return None
    length, entry, depth = int.from_bytes(data[5:7], "little"), data[7], data[16]
    width, height = int.from_bytes(data[12:14], "little"), int.from_bytes(data[14:16], "little")
    table = length * ((entry + 7) // 8) if mapped else 0
    return min(18 + identity + table + width * height * ((depth + 7) // 8), len(data))


def _pnm(data: bytes) -> int | None:
    """Behind the rows of a binary PBM, PGM or PPM; None for those written as text and for PAM."""
    found = _PNM.match(data[:1024])
    if found is None:
        return None
    kind, width, height = found[1], int(found[2]), int(found[3])
    if kind == b"4":
        at = found.end(3) + 1
        return min(at + (width + 7) // 8 * height, len(data))
    if found[4] is None:
        return None
    sample = 2 if int(found[4]) > 255 else 1
    return min(found.end() + width * height * sample * (3 if kind == b"6" else 1), len(data))


# -- TIFF ---------------------------------------------------------------------------------------------------------------

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value of each TIFF type."""
_LETTERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_DIRECTORIES = (330, 34665, 34853, 40965)
"""Tags whose values are places of further directories: sub-images, EXIF, GPS, interoperability."""
_PLACES = ((273, 279), (324, 325), (513, 514))
"""Tags of offsets and of lengths: strips, tiles, an old-style JPEG."""
_MOST_DIRECTORIES, _MOST_VALUES = 10_000, 1 << 20


def _tiff(data: bytes) -> int | None:
    """Behind the highest byte to which any directory of a TIFF points; None for one whose directories make no sense."""
    try:
        return min(max(_referenced(data)), len(data))
    except (struct.error, KeyError, OverflowError, ValueError):
        return None


def _referenced(data: bytes) -> Iterator[int]:
    """Ends of everything that the directories of a TIFF or BigTIFF name. Raises struct.error, KeyError, ValueError."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    places = [struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]]
    yield 16 if big else 8
    done: set[int] = set()
    while places:
        place = places.pop()
        if not place or place in done:
            continue
        done.add(place)
        if len(done) > _MOST_DIRECTORIES:
            raise ValueError("directories")
        number = struct.unpack_from(order + ("Q" if big else "H"), data, place)[0]
        if number > 0xFFFF:
            raise ValueError("entries")
        step, at = (20, place + 8) if big else (12, place + 2)
        values: dict[int, tuple[int, ...]] = {}
        for entry in range(at, at + step * number, step):
            tag, ends = _entry(data, order, big, entry, values)
            yield ends
            if tag in _DIRECTORIES:
                places.extend(values[tag])
        following = at + step * number
        yield following + (8 if big else 4)
        places.append(struct.unpack_from(order + ("Q" if big else "I"), data, following)[0])
        for offsets, lengths in _PLACES:
            if len(values.get(offsets, ())) != len(values.get(lengths, ())):
                raise ValueError("lengths")
            yield from (sum(pair) for pair in zip(values.get(offsets, ()), values.get(lengths, ()), strict=True))


def _entry(data: bytes, order: str, big: bool, at: int, values: dict[int, tuple[int, ...]]) -> tuple[int, int]:
    """The tag of one entry of a directory and the end of its values; those that are places are kept in `values`."""
    tag, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, at)
    place, room = (at + 12, 8) if big else (at + 8, 4)
    size = _SIZES[kind] * count
    if size > room:
        place = struct.unpack_from(order + ("Q" if big else "I"), data, place)[0]
    wanted = tag in _DIRECTORIES or any(tag in pair for pair in _PLACES)
    if wanted:
        if count > _MOST_VALUES:
            raise ValueError("values")
        values[tag] = struct.unpack_from(f"{order}{count}{_LETTERS[kind]}", data, place)
    return tag, place + size


_PICTURES: dict[str, Callable[[bytes], int | None]] = {
    "jpeg": _jpeg,
    "png": _png,
    "gif": _gif,
    "webp": _webp,
    "heif": filmends.boxes,
    "avif": filmends.boxes,
    "bmp": _bmp,
    "ico": _icon,
    "tga": _targa,
    "ppm": _pnm,
    "tiff": _tiff,
}
