"""Whether a document, an e-mail or a sound file, which nothing here opens, holds a picture, a film or an archive.

What it holds is not looked at: the file is marked, and counts as unexamined. So a letter stays a letter, and a picture pasted
into one does not count as nothing. What cannot be gone through within the bounds below is marked too, since nobody can say what it holds.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable

from pipeline.fingerprint.decode import embedded
from pipeline.fingerprint.decode.inside import written
from pipeline.fingerprint.decode.opening import BROKEN
from pipeline.fingerprint.decode.sniff import DOCUMENT, HEAD, VAGUE, media_type

UNPACKED = 64 << 20
"""Bytes of a document that are unpacked to look through it."""
MEMBERS = 20_000
"""Members of a zipped document that are looked at."""
DEEP = 3
"""Documents inside documents that are gone into."""
INLINE_PIXELS = 4096
"""A picture inside a page's own drawing is one from this size on; smaller ones are letters and lines."""


def holds(name: str, data: bytes, deep: int = DEEP) -> bool:
    """Whether a content of media type `name` holds a picture, film or archive, or too much to tell. Raises nothing for any
    content but MemoryError."""
    if deep <= 0 or name == "application/dicom":
        return True
    if name in _ALONE:
        return _ALONE[name](data)
    return (name == DOCUMENT and _in_zip(data, deep)) or (name == "text/plain" and _in_text(data, deep))


def _is_media(data: bytes, deep: int) -> bool:
    """Whether a part of a container is a picture, film or archive, or a container that holds one."""
    media = media_type(data[:HEAD])
    if media.family is not None or media.undecoded:
        return media.family not in VAGUE
    return holds(media.name, data, deep - 1)


# -- documents that are zips by their form -----------------------------------------------------------------------------


def _in_zip(data: bytes, deep: int) -> bool:
    room = UNPACKED
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            if len(infos) > MEMBERS:
                return True
            for info in infos:
                with archive.open(info) as stream:
                    part = stream.read(room + 1)
                room -= len(part)
                if room < 0 or _is_media(part, deep):
                    return True
    except BROKEN:  # nobody can say what lies in it
        return True
    return False


# -- PDF ---------------------------------------------------------------------------------------------------------------

_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
_IN_PDF = re.compile(
    rb"/Subtype\s*/Image(?![A-Za-z])|/(?:DCTDecode|JPXDecode|JBIG2Decode|CCITTFaxDecode|EmbeddedFiles?|RichMedia\w*|Movie|Screen"
    rb"|Rendition|3D|U3D)(?![A-Za-z])"
)
"""Pictures of a PDF stand in the clear, as streams never lie inside others (ISO 32000-1, 7.5.7); so do files and films."""
_STREAM = re.compile(rb"stream\r?\n")
_INLINE = re.compile(rb"(?<!\S)BI\s(.{1,600}?)\sID\s", re.DOTALL)
_SIDE = re.compile(rb"/(?:W|Width|H|Height)\s+(\d{1,6})")


def _in_pdf(data: bytes) -> bool:
    plain = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), data) if _ESCAPED.search(data) else data
    if _IN_PDF.search(plain):
        return True
    room = UNPACKED
    for found in _STREAM.finditer(data):
        content = _inflated(data, found.end(), room)
        room -= len(content)
        if room <= 0 or any(map(_is_large, _INLINE.findall(content))) or _IN_PDF.search(content):
            return True
    return embedded.holds(data)


def _inflated(data: bytes, at: int, most: int) -> bytes:
    """A deflated stream that begins at `at`, as far as it can be read; what is no such stream is nothing."""
    state = zlib.decompressobj()
    pieces, size = [], 0
    try:
        while size < most and not state.eof and at < len(data):
            piece = state.decompress(state.unconsumed_tail or data[at : at + (1 << 16)], most - size)
            at += 0 if state.unconsumed_tail else 1 << 16
            pieces.append(piece)
            size += len(piece)
    except zlib.error:  # the end of what can be read of it
        return b"".join(pieces)
    return b"".join(pieces)


def _is_large(entries: bytes) -> bool:
    sides = [int(side) for side in _SIDE.findall(entries)]
    return len(sides) != 2 or sides[0] * sides[1] >= INLINE_PIXELS


# -- sound -------------------------------------------------------------------------------------------------------------

_COVER = re.compile(rb"METADATA_BLOCK_PICTURE=|COVERART=", re.IGNORECASE)


def _in_sound(data: bytes) -> bool:
    """Covers: of ID3 as a frame, which may be written so that its bytes are not those of the picture; of Ogg as base64; of
    others as they are."""
    if data[:3] == b"ID3":
        size = sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True)) + 10
        tag = data[:size]
        if b"APIC" in tag or b"GEOB" in tag or (data[3:4] == b"\2" and b"PIC" in tag):
            return True
    return _COVER.search(data) is not None or embedded.holds(data)


# -- texts: e-mails, web pages, rich text --------------------------------------------------------------------------------

_YENC = re.compile(rb"^=ybegin .*\bname=", re.MULTILINE)
_RICH = re.compile(rb"\\(?:pict|objdata)(?![a-z])")
_QUOTED = re.compile(rb"^content-type:\s*(?:image|video)/[^\n]*\n(?:[^\n]{1,998}\n){0,20}?content-transfer-encoding:\s*quoted",
                     re.MULTILINE | re.IGNORECASE)  # fmt: skip


def _in_text(data: bytes, deep: int) -> bool:
    text = data
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", "replace").encode("ascii", "replace")
    if b"\0" in data and embedded.holds(data):  # no text to its end
        return True
    text = text.replace(b"\\/", b"/")  # as some programs write JSON
    if text.lstrip()[:5] == b"{\\rtf" and _RICH.search(text):
        return True
    if _YENC.search(text) or _QUOTED.search(text):
        return True
    return any(_is_media(part, deep) for part in written.parts(text))


_ALONE: dict[str, Callable[[bytes], bool]] = {
    "application/octet-stream": embedded.holds,
    "application/pdf": _in_pdf,
    "audio/unknown": _in_sound,
}
"""What holds no documents that are gone into, by media type."""
