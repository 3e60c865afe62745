"""Where a film ends in the file that begins with it, from the lengths that its container states.

Each function gives the offset behind the last byte that belongs to the container, or None where it does not tell. They read
a few bytes here and there, so the film need not be in memory.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.fingerprint.decode.ondisk import Readable

RESYNC = 1 << 16
"""Bytes in which a transport stream that was cut or damaged has to find its packets again."""


_UPPER = frozenset(
    (
        b"mdat",
        b"moov",
        b"moof",
        b"free",
        b"skip",
        b"wide",
        b"uuid",
        b"meta",
        b"mfra",
        b"sidx",
        b"styp",
        b"pnot",
        b"udta",
    )
)
"""Boxes that may be cut by the end of a file: letters of a text are no other box."""


def boxes(data: Readable) -> int:
    """Behind the last box of an ISO base media file: where no box begins, at a second `ftyp`, or at Samsung's `mpvd`,
    which holds the film of a motion photo."""
    at = 0
    while at + 8 <= len(data):
        head = data[at : at + 16]
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if at and kind in (b"ftyp", b"mpvd"):
            return at
        if not kind.isascii() or not all(0x20 <= byte < 0x7F for byte in kind):
            return at if at else len(data)
        if size == 0:  # this box reaches to the end of the file
            return len(data)
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8 or (at and at + size > len(data) and kind not in _UPPER):
            return at if at else len(data)
        at += size
    return min(at, len(data))


def _avi(data: Readable) -> int:
    """Behind the last RIFF chunk (a film above 1 GiB has several)."""
    at = 0
    while (head := data[at : at + 12])[:4] == b"RIFF" and (not at or head[8:12] == b"AVIX"):
        size = int.from_bytes(head[4:8], "little")
        at += 8 + size + (size & 1)
    return min(at, len(data))


_ELEMENTS = frozenset(
    (b"\x18\x53\x80\x67", b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x10\x43\xa7\x70",
     b"\x1f\x43\xb6\x75", b"\x1c\x53\xbb\x6b", b"\x19\x41\xa4\x69", b"\x12\x54\xc3\x67", b"\xec", b"\xbf",
     b"\xe7", b"\x58\x54", b"\xa7", b"\xab", b"\xa0", b"\xa3", b"\xaf")
)  # fmt: skip
"""Elements that a Matroska file has at its upper levels (RFC 9559): those of a segment, and those of a cluster."""
_OPEN = (b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75")
"""Segment and cluster, whose sizes a live recording does not state."""


def _matroska(data: Readable) -> int | None:
    """Behind the last element of a Matroska or WebM file; into a segment or cluster whose size is not stated it is gone
    element by element. None for a file whose header makes no sense."""
    size, at = _ebml(data, 4)
    if size is None or at < 0:
        return None
    at += size
    while at < len(data):
        mark = data[at : at + _width(data[at : at + 1])]
        if mark not in _ELEMENTS:
            return at
        size, behind = _ebml(data, at + len(mark))
        if behind < 0 or (size is None and mark not in _OPEN):
            return at
        at = behind + (size or 0)
    return min(at, len(data))


def _width(first: bytes) -> int:
    return 9 - first[0].bit_length() if first and first[0] else 1


def _ebml(data: Readable, at: int) -> tuple[int | None, int]:
    """An EBML size at `at`, None for one that is not stated, and the offset behind it, negative where there is none
    (RFC 8794, 4)."""
    first = data[at : at + 8]
    if not first or not first[0]:
        return None, -1
    length = _width(first)
    unknown = (1 << 7 * length) - 1
    value = int.from_bytes(first[:length], "big") & unknown
    return None if value == unknown else value, at + length


_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")


def _asf(data: Readable) -> int:
    """Behind the last object of an ASF file: each begins with 16 bytes of its kind and its size. A second header is another film."""
    at = 0
    while at + 24 <= len(data):
        head = data[at : at + 24]
        size = int.from_bytes(head[16:24], "little")
        if size < 24 or at + size > len(data) or (at and head[:16] == _ASF_HEADER):
            return at or len(data)
        at += size
    return at


def _flv(data: Readable) -> int | None:
    """Behind the last tag of an FLV file: sound, picture or script, its length before and behind it."""
    at = int.from_bytes(data[5:9], "big") + 4
    if at < 13:
        return None
    while at + 15 <= len(data):
        head = data[at : at + 11]
        size = 11 + int.from_bytes(head[1:4], "big")
        if head[0] & 0x1F not in (8, 9, 18) or at + size > len(data):
            return at if head[0] & 0x1F not in (8, 9, 18) else len(data)
        at += size + 4
    return min(at, len(data))


def _programme(data: Readable) -> int | None:
    """Behind the last packet of an MPEG programme stream (ISO/IEC 13818-1, 2.5.3): packs and packets with their lengths,
    end codes, and zeros between them. None for an elementary stream, which has no lengths."""
    if data[0:4] != b"\0\0\1\xba":
        return _elementary(data)
    at = 0
    while at + 4 <= len(data):
        head = data[at : at + 14]
        if head[:3] != b"\0\0\1":
            zeros = at + _zeros(data, at)
            if zeros == at or data[zeros - 2 : zeros + 1] != b"\0\0\1":
                return at
            at = zeros - 2
            continue
        if head[3] == 0xBA:
            at += 14 + (head[13] & 7) if len(head) == 14 and head[4] >> 6 == 1 else 12
        elif head[3] == 0xB9:
            at += 4
        elif head[3] >= 0xBB:
            at += 6 + int.from_bytes(head[4:6], "big")
        else:
            return at
    return min(at, len(data))


def _elementary(data: Readable) -> int | None:
    """Behind the last sequence end code of an MPEG video that is followed by no other code; None where there is none."""
    if not isinstance(data, bytes):
        return None
    at = data.find(b"\0\0\1\xb7")
    while at >= 0:
        at += 4
        following = at + _zeros(data, at)
        if data[max(at, following - 2) : following + 1] != b"\0\0\1":
            return at
        at = data.find(b"\0\0\1\xb7", at)
    return None


def _zeros(data: Readable, at: int) -> int:
    """How many zero bytes stand at `at`."""
    count = 0
    while piece := data[at + count : at + count + 4096]:
        rest = len(piece.lstrip(b"\0"))
        count += len(piece) - rest
        if rest:
            break
    return count


def _transport(data: Readable) -> int | None:
    """Behind the last packet of a transport stream; over damage it is gone where packets are found again soon. None for one
    that is not in memory: its packets are too many to be gone through one by one."""
    if not isinstance(data, bytes):
        return None
    layout = next(
        (
            (start, step)
            for start, step in ((0, 188), (4, 192), (0, 204))
            if set(data[start : start + 4 * step : step]) == {0x47}
        ),
        None,
    )
    if layout is None:
        return None
    at, step = layout
    whole = np.frombuffer(data, np.uint8)
    while True:
        lost = np.flatnonzero(whole[at::step] != 0x47)
        if not len(lost):
            return len(data)
        at += int(lost[0]) * step - layout[0]  # where the packet would begin
        near = whole[at : at + RESYNC + 5 * step] == 0x47
        last = len(near) - 4 * step
        again = (
            near[:last] & near[step : last + step] & near[2 * step : last + 2 * step] & near[3 * step : last + 3 * step]
        )
        if last <= 0 or not again.any():
            return at
        at += int(np.argmax(again))


_REAL_HEAD = 10
"""Bytes of a chunk's head, which FFmpeg counts twice in the length of the data: the first bytes of what lies behind them."""


def _real(data: Readable) -> int | None:
    """Behind the last chunk of a RealMedia file; None where the length of its data is not stated (a live recording)."""
    at, last = 0, b""
    while at + 8 <= len(data):
        head = data[at : at + 8]
        size = int.from_bytes(head[4:8], "big")
        if head[:4] not in (b".RMF", b"PROP", b"MDPR", b"CONT", b"DATA", b"INDX", b"RMMD", b"RJMD") or (
            at and head[:1] == b"."
        ):
            return at - _REAL_HEAD if last == b"DATA" else at
        if size < 10:
            return None
        at, last = at + size, head[:4]
    return min(at, len(data))


_DV_FRAMES = (120000, 144000, 240000, 288000, 480000, 576000)
"""Bytes of a frame of DV, by its profile (IEC 61834, SMPTE 314M, 370M)."""


def _dv(data: Readable) -> int | None:
    """Behind the last frame of raw DV, whose frames all have one of a few sizes."""
    at, size = 0, 0
    while data[at : at + 3] == b"\x1f\x07\0":
        size = next((n for n in _DV_FRAMES if data[at + n : at + n + 3] == b"\x1f\x07\0"), size)
        at += size or (144000 if data[at + 3 : at + 4] == b"\xbf" else 120000)
    return min(at, len(data))


_MXF_KEY = b"\x06\x0e\x2b\x34"
_MXF_HEADER = b"\x0d\x01\x02\x01\x01\x02"
"""In the key of a header partition, from its ninth byte on."""


def _mxf(data: Readable) -> int:
    """Behind the last key-length-value of an MXF file (SMPTE 377); a second header partition is another film."""
    at = 0
    while at + 17 <= len(data):
        head = data[at : at + 25]
        if head[:4] != _MXF_KEY or (at and head[8:14] == _MXF_HEADER):
            return at
        first = head[16]
        more = first & 0x7F if first & 0x80 else 0
        if more > 8:
            return at
        at += 17 + more + (int.from_bytes(head[17 : 17 + more], "big") if more else first)
    return min(at, len(data))


def _ogg(data: Readable) -> int:
    """Behind the last page of an Ogg file (RFC 3533, 6); a page that begins a stream behind pages with content is another film."""
    at, begun = 0, False
    while (head := data[at : at + 27])[:4] == b"OggS" and len(head) == 27:
        first = bool(head[5] & 2)
        if first and begun:
            return at
        begun = not first
        lacing = data[at + 27 : at + 27 + head[26]]
        at += 27 + head[26] + sum(lacing)
    return min(at, len(data))


WALKS: dict[str, Callable[[Readable], int | None]] = {
    "mp4": boxes,
    "mj2": boxes,
    "avi": _avi,
    "matroska": _matroska,
    "asf": _asf,
    "flv": _flv,
    "mpegps": _programme,
    "mpegts": _transport,
    "rm": _real,
    "dv": _dv,
    "mxf": _mxf,
    "ogg": _ogg,
}
"""By family of policy/fingerprint.yaml."""
