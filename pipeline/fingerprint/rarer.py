"""Pictures, films, archives and images of disks that are seldom met: told by their first bytes and never decoded or opened, so that
they count as unexamined.

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
    "application/zstd",
    "application/x-lz4",
    "application/x-lzip",
    "application/x-lzma",
    "application/x-compress",
    "application/vnd.ms-cab-compressed",
    "application/x-ms-wim",
    "application/x-xar",
    "application/x-ace",
    "application/x-arj",
    "application/x-lzh",
    "application/x-ewf",
    "application/x-luks",
    "application/vnd.ms-outlook-pst",
)
ARCHIVES = frozenset(name for name in NAMES if name.startswith("application/"))
"""Packed files, and what holds whole disks or mailboxes: what lies in them is not looked at."""
_LONG = (
    (b"\xc5\xd0\xd3\xc6", "image/x-eps"),  # with a preview for Windows
    (b"/* XPM */", "image/x-xpixmap"),
    (b"\x84\x10\xff\xff\xff\xff", "video/x-roq"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"\x04\x22\x4d\x18", "application/x-lz4"),
    (b"LZIP\1", "application/x-lzip"),
    (b"MSCF\0\0\0\0", "application/vnd.ms-cab-compressed"),
    (b"MSWIM\0\0\0", "application/x-ms-wim"),
    (b"xar!\0\x1c", "application/x-xar"),
    (b"EVF\x09\x0d\x0a\xff\0", "application/x-ewf"),  # images of disks, as forensic tools make them
    (b"LUKS\xba\xbe", "application/x-luks"),
)
_SHORT = (
    (b"DanM", "image/x-msp"),
    (b"LinS", "image/x-msp"),
    (b"DHAV", "video/x-dhav"),  # recorders of surveillance cameras
    (b"IMKH", "video/x-imkh"),
    (b"!BDN", "application/vnd.ms-outlook-pst"),  # a mailbox, whose letters are not in the clear
)
_EPS = re.compile(rb"%!PS-Adobe-\d\.\d EPSF")
_XBM = re.compile(rb"(?:/\*[^*]{0,200}\*/\s*)?#define\s+\w+_width\s+\d+\s")
_RIFF = {b"CDXA": "video/x-cdxa", b"ACON": "image/x-ani"}
_LZH = re.compile(rb"..-lh[0-7dx]-", re.DOTALL)
_LZMA = re.compile(rb"\x5d\0\0..(?:\xff{8}|.{5}\0{3})", re.DOTALL)
"""LZMA alone has no mark: the usual properties, a dictionary of whole 64 KiB, and a size that is not stated or below a terabyte."""
_COMPRESS = frozenset(bytes([blocks | bits]) for blocks in (0, 0x80) for bits in range(9, 17))
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
        ("application/x-arj", head[:2] == b"\x60\xea" and 30 <= int.from_bytes(head[2:4], "little") <= 2600),
        ("application/x-compress", head[:2] == b"\x1f\x9d" and head[2:3] in _COMPRESS),
        ("application/x-lzma", _LZMA.match(head) is not None),
    )
    return next((name for name, is_it in judged if is_it), None)


def by_mark(head: bytes, text: bool) -> str | None:
    """Type of a content by any mark, or None; `text`: it would count as a text, so that a short mark is not enough."""
    return by_long_mark(head) or (None if text else _by_short_mark(head))


def _by_short_mark(head: bytes) -> str | None:
    if head[7:14] == b"**ACE**":
        return "application/x-ace"
    if _LZH.match(head):
        return "application/x-lzh"
    return next((name for magic, name in _SHORT if head.startswith(magic)), None)


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
