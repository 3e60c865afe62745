"""Counting frames and pages without decoding them, up to a limit.

Pillow's `n_frames` decodes nothing either, but has no limit: 60,000 directories in a TIFF of 6 MB took it over ten
seconds. GIF and TIFF are walked here; the other formats state their number in a header that Pillow has read.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO


def count_frames(content: BinaryIO, image: Any, limit: int) -> int:
    """Frames of an open picture, at least 1, at most `limit` (then there may be more)."""
    if image.format == "GIF":
        number = _gif(content, limit)
    elif image.format == "TIFF":
        number = _tiff(content, limit)
    else:
        number = getattr(image, "n_frames", 1)
    return max(1, min(int(number), limit))


def _gif(content: BinaryIO, limit: int) -> int:
    """Image descriptors of a GIF (GIF89a specification, section 20)."""
    content.seek(0)
    header = content.read(13)
    if len(header) < 13:
        return 0
    _skip_colours(content, header[10])
    found = 0
    while found < limit:
        kind = content.read(1)
        if kind == b",":
            descriptor = content.read(9)
            if len(descriptor) < 9:
                break
            _skip_colours(content, descriptor[8])
            content.seek(1, 1)
            found += 1
        elif kind == b"!":
            content.seek(1, 1)
        else:
            break
        while (size := content.read(1)) not in (b"", b"\0"):
            content.seek(size[0], 1)
        if size == b"":
            break
    return found


def _skip_colours(content: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        content.seek(3 << ((flags & 7) + 1), 1)


def _tiff(content: BinaryIO, limit: int) -> int:
    """Image file directories of a TIFF or BigTIFF in their chain; a loop ends the count."""
    content.seek(0)
    header = content.read(16)
    order = "<" if header[:2] == b"II" else ">"
    big = len(header) == 16 and header[2:4] in (b"+\0", b"\0+")
    if len(header) < (16 if big else 8):
        return 0
    number, entry, link = (order + "Q", 20, order + "Q") if big else (order + "H", 12, order + "I")
    (offset,) = struct.unpack_from(link, header, 8 if big else 4)
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < limit:
        seen.add(offset)
        content.seek(offset)
        raw = content.read(struct.calcsize(number))
        if len(raw) < struct.calcsize(number):
            break
        content.seek(offset + len(raw) + struct.unpack(number, raw)[0] * entry)
        raw = content.read(struct.calcsize(link))
        if len(raw) < struct.calcsize(link):
            break
        (offset,) = struct.unpack(link, raw)
    return len(seen)
