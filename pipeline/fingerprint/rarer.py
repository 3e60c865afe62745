"""Pictures and films that are seldom met: told by their first bytes and never decoded, so that they count as unexamined.

Letters with which a text may begin are not enough: what is short is believed only of what is no text.
"""

from __future__ import annotations

import re
import struct

NAMES = (  # the order is the code on the wire: only ever append
    "image/x-eps",
    "image/x-xpixmap",
    "image/x-xbitmap",
    "image/x-msp",
    "image/x-dib",
    "image/x-ilbm",
    "image/x-ani",
    "video/x-cdxa",
    "video/x-roq",
    "video/x-dhav",
    "video/x-imkh",
)
_LONG = (
    (b"\xc5\xd0\xd3\xc6", "image/x-eps"),  # with a preview for Windows
    (b"/* XPM */", "image/x-xpixmap"),
    (b"\x84\x10\xff\xff\xff\xff", "video/x-roq"),
)
_SHORT = (
    (b"DanM", "image/x-msp"),
    (b"LinS", "image/x-msp"),
    (b"DHAV", "video/x-dhav"),  # recorders of surveillance cameras
    (b"IMKH", "video/x-imkh"),
)
_EPS = re.compile(rb"%!PS-Adobe-\d\.\d EPSF")
_XBM = re.compile(rb"(?:/\*[^*]{0,200}\*/\s*)?#define\s+\w+_width\s+\d+\s")
_RIFF = {b"CDXA": "video/x-cdxa", b"ACON": "image/x-ani"}
_IFF = frozenset({b"ILBM", b"PBM ", b"ACBM", b"RGB8", b"RGBN", b"ANIM"})


def by_long_mark(head: bytes) -> str | None:
    """Type of a content that no text begins like, or None."""
    for magic, name in _LONG:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    judged = (
        ("image/x-eps", _EPS.match(head) is not None),
        ("image/x-xbitmap", _XBM.match(head) is not None),
        ("image/x-ilbm", head[:4] == b"FORM" and head[8:12] in _IFF),
        ("image/x-dib", _is_dib(head)),
        ("video/x-m4v-es", _is_visual_object(head)),
    )
    return next((name for name, is_it in judged if is_it), None)


def by_mark(head: bytes, text: bool) -> str | None:
    """Type of a content by any mark, or None; `text`: it would count as a text, so that a short mark is not enough."""
    short = None if text else next((name for magic, name in _SHORT if head.startswith(magic)), None)
    return by_long_mark(head) or short


def _is_dib(head: bytes) -> bool:
    """A bitmap without the file header (BITMAPINFOHEADER first): one plane, a depth and a compression that exist."""
    if len(head) < 40 or head[:4] != b"\x28\0\0\0":
        return False
    width, height, planes, depth, compression = struct.unpack_from("<iiHHI", head, 4)
    return bool(width > 0 and height and planes == 1 and depth in (1, 4, 8, 16, 24, 32) and compression <= 6)


def _is_visual_object(head: bytes) -> bool:
    """An MPEG-4 elementary stream that begins with a visual object or a video object and its layer (ISO/IEC 14496-2)."""
    if head[:4] == b"\0\0\1\xb5":
        return head[4:5] in (b"\x08", b"\x09", b"\x89", b"\x88")
    return head[:3] == b"\0\0\1" and head[3:4] <= b"\x1f" and head[4:7] == b"\0\0\1" and head[7:8] in _LAYERS


_LAYERS = frozenset(bytes([code]) for code in range(0x20, 0x30))
