"""Media type by content: the first bytes decide, never the name.

A few letters that ordinary text may begin with are not enough: where a format has no long magic number, the sizes in its
header have to make sense too. What is recognised and not decoded keeps its true kind.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from pipeline.fingerprint import rarer

HEAD = 1024
"""Bytes that are enough to tell every type below (a transport stream shows by its fifth packet)."""


@dataclass(frozen=True)
class MediaType:
    """`family` is the switch in policy/fingerprint.yaml `formats`, or None for what is never decoded;
    `decoder` the Pillow plug-in or FFmpeg demuxer that may read it."""

    name: str
    family: str | None = None
    decoder: str = ""
    video: bool = False

    @property
    def undecoded(self) -> bool:
        """Whether it is, or may hold, pictures that nothing here decodes: nobody has looked at it."""
        return self.family is None and (self.name.startswith(("image/", "video/")) or self.name in ARCHIVES)


ARCHIVES = rarer.ARCHIVES | {
    f"application/{name}" for name in ("zip", "vnd.rar", "x-7z-compressed", "gzip", "x-bzip2", "x-xz", "x-tar")
}
"""Archives inside a package; it is opened as one itself, what lies in it is not."""
DOCUMENT = "application/x-zipped-document"
"""An office document or program that is a zip by its form: what its first member is called says so."""
_OTHERS: tuple[tuple[bytes, str], ...] = (  # the order is the code on the wire: only ever append
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"nut/multimedia container\0", "video/x-nut"),
    (b"DKIF\0\0", "video/x-ivf"),
    (b"YUV4MPEG2 ", "video/x-y4m"),
    (b"\0\nSMJPEG", "video/x-smjpeg"),
    (bytes.fromhex("b7d800203749da11a64e0007e95ead8d"), "video/x-wtv"),
    (bytes.fromhex("0000000001bc"), "video/x-gxf"),
    (b"\0\0\1\xb0", "video/x-m4v-es"),
    (b"BIKi", "video/x-bink"),
    (b"KB2", "video/x-bink2"),
    (b"REDV", "video/x-r3d"),
    (b"FWS", "video/x-swf"),
    (b"CWS", "video/x-swf"),
    (b"ZWS", "video/x-swf"),
    (b"\x12\0\x0a", "video/x-obu"),
    (b"qoif", "image/x-qoi"),
    (b"v/1\x01", "image/x-exr"),
    (b"#?RADIANCE\n", "image/vnd.radiance"),
    (b"#?RGBE\n", "image/vnd.radiance"),
    (b"\xd7\xcd\xc6\x9a\0\0", "image/wmf"),
    (b"gimp xcf ", "image/x-xcf"),
    (b"AT&TFORM", "image/vnd.djvu"),
    (b"II\xbc\x01", "image/jxr"),
    (b"FLIF", "image/x-flif"),
    (b"BPG\xfb", "image/x-bpg"),
    (b"\x8bJNG\r\n\x1a\n", "image/x-jng"),
    (b"\x8aMNG\r\n\x1a\n", "video/x-mng"),
    (b"\x59\xa6\x6a\x95", "image/x-sun-raster"),
    (b"\0MRM\0", "image/x-minolta-raw"),
    (b"SDPX", "image/x-dpx"),
    (b"XPDS", "image/x-dpx"),
    (b"PF\n", "image/x-pfm"),
    (b"Pf\n", "image/x-pfm"),
    (b"BLP1", "image/x-blp"),
    (b"BLP2", "image/x-blp"),
    (b"SIMPLE  =                    T", "image/fits"),
)
"""Pictures, films and archives that are told by their first bytes and not decoded: they keep their true kind, and count as unexamined."""
_SHORT = frozenset({"BZh", "FWS", "CWS", "ZWS", "BIKi", "KB2", "REDV", "FLIF", "SDPX", "XPDS", "BLP1", "BLP2", "qoif"})
"""Of those the ones with which a text may begin."""

TYPES: tuple[MediaType, ...] = (  # the order is the code on the wire: only ever append
    MediaType("application/octet-stream"),
    MediaType("image/jpeg", "jpeg", "JPEG"),
    MediaType("image/png", "png", "PNG"),
    MediaType("image/gif", "gif", "GIF"),
    MediaType("image/bmp", "bmp", "BMP"),
    MediaType("image/tiff", "tiff", "TIFF"),
    MediaType("image/webp", "webp", "WEBP"),
    MediaType("image/heif", "heif", "HEIF"),
    MediaType("image/avif", "avif", "AVIF"),
    MediaType("image/x-icon", "ico", "ICO"),
    MediaType("image/jp2", "jpeg2000", "JPEG2000"),
    MediaType("image/vnd.adobe.photoshop", "psd", "PSD"),
    MediaType("image/jxl", "jpegxl", "JXL"),
    MediaType("video/mp4", "mp4", "mov", video=True),
    MediaType("video/quicktime", "mp4", "mov", video=True),
    MediaType("video/x-matroska", "matroska", "matroska", video=True),
    MediaType("video/webm", "matroska", "matroska", video=True),
    MediaType("video/x-msvideo", "avi", "avi", video=True),
    MediaType("application/pdf"),
    MediaType("application/zip"),
    MediaType("image/svg+xml"),
    MediaType("text/plain"),
    MediaType("audio/unknown"),
    MediaType("video/mpeg", "mpegps", "mpeg", video=True),
    MediaType("video/mpeg-es", "mpegps", "mpegvideo", video=True),
    MediaType("video/mp2t", "mpegts", "mpegts", video=True),
    MediaType("video/x-flv", "flv", "flv", video=True),
    MediaType("video/x-ms-wmv", "asf", "asf", video=True),
    MediaType("video/ogg", "ogg", "ogg", video=True),
    MediaType("video/x-rm", "rm", "rm", video=True),
    MediaType("video/x-dv", "dv", "dv", video=True),
    MediaType("application/mxf", "mxf", "mxf", video=True),
    MediaType("image/x-tga", "tga", "TGA"),
    MediaType("image/x-pcx", "pcx", "PCX"),
    MediaType("image/x-portable-anymap", "ppm", "PPM"),
    MediaType("image/vnd-ms.dds", "dds", "DDS"),
    MediaType("image/x-raw", "raw", "JPEG"),
    MediaType("image/vnd.microsoft.cursor", "ico", "CUR"),
    MediaType("image/x-sgi", "sgi", "SGI"),
    MediaType("image/icns", "icns", "ICNS"),
    MediaType("video/x-mj2", "mj2", "mov", video=True),
    *(MediaType(name) for name in dict.fromkeys(name for _, name in _OTHERS)),
    MediaType("application/x-tar"),
    MediaType(DOCUMENT),
    MediaType("video/x-annexb"),
    MediaType("image/emf"),
    MediaType("application/dicom"),
    *(MediaType(name) for name in rarer.NAMES),
)
VAGUE = frozenset({"tga", "pcx", "sgi"})
"""Families that other bytes are easily taken for: not believed of what follows directly behind a picture."""
BY_NAME = {media.name: media for media in TYPES}
CODES = {media.name: code for code, media in enumerate(TYPES)}

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),
    (b"MM\0+", "image/tiff"),
    (b"IIU\0", "image/x-raw"),  # Panasonic RW2
    (b"IIRO", "image/x-raw"),  # Olympus ORF
    (b"IIRS", "image/x-raw"),
    (b"MMOR", "image/x-raw"),
    (b"II\x1a\0\0\0HEAPCCDR", "image/x-raw"),  # Canon CRW
    (b"FUJIFILMCCD-RAW ", "image/x-raw"),  # Fujifilm RAF
    (b"FOVb", "image/x-raw"),  # Sigma X3F
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/jp2"),
    (b"8BPS\0\1", "image/vnd.adobe.photoshop"),
    (b"8BPS\0\2", "image/vnd.adobe.photoshop"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\xff\x0a", "image/jxl"),
    (b"DDS \x7c\0\0\0", "image/vnd-ms.dds"),
    (b"icns\0", "image/icns"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", "video/x-ms-wmv"),
    (b"FLV\1", "video/x-flv"),
    (b".RMF\0\0\0", "video/x-rm"),
    (b"\0\0\1\xba", "video/mpeg"),
    (b"\0\0\1\xb3", "video/mpeg-es"),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02", "application/mxf"),
    (b"\x1f\x07\0\x3f", "video/x-dv"),
    (b"\x1f\x07\0\xbf", "video/x-dv"),
    (b"%PDF-", "application/pdf"),
    (b"PK\3\4", "application/zip"),
    (b"PK\5\6", "application/zip"),
    (b"ID3\2", "audio/unknown"),
    (b"ID3\3", "audio/unknown"),
    (b"ID3\4", "audio/unknown"),
    (b"fLaC", "audio/unknown"),
    (b".ra\xfd", "audio/unknown"),
)
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
_OLD_QUICKTIME = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
_BOX = re.compile(rb"[A-Za-z0-9 \xa9_-]{4}")
_PPM = re.compile(rb"P(?:[1-6]\s(?:\s*#[^\n]{0,200}\n)*\s*\d{1,6}\s+\d{1,6}\s|7\nWIDTH )")
_OGG_VIDEO = (b"\x80theora", b"fishead\0", b"BBCD\0", b"OVP80")
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}


def media_type(head: bytes) -> MediaType:
    """Type of a content from its first HEAD bytes; application/octet-stream when nothing fits."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return BY_NAME[DOCUMENT if _is_document(head) else name]
    for judge in (_riff, _iso, _matroska, _ogg, _bitmap, _icon, _transport, _plain_picture, _other):
        found = judge(head)
        if found:
            return BY_NAME[found]
    return BY_NAME[_text(head)]


_DOCUMENTS = (b"[Content_Types].xml", b"mimetype", b"_rels/", b"docProps/", b"word/", b"xl/", b"ppt/", b"META-INF/",
              b"AndroidManifest.xml")  # fmt: skip


def _is_document(head: bytes) -> bool:
    return head[:4] == b"PK\3\4" and head[30:].startswith(_DOCUMENTS)


def _other(head: bytes) -> str | None:
    """What is recognised and not decoded. Letters with which a text may begin are not enough."""
    if head[257:262] == b"ustar":
        return "application/x-tar"
    if head[40:44] == b" EMF" and head[:4] == b"\1\0\0\0":
        return "image/emf"
    if head[128:132] == b"DICM":
        return "application/dicom"
    start = head[1:] if head[:4] == b"\0\0\0\1" else head
    if (
        start[:3] == b"\0\0\1"
        and len(start) > 5
        and start[3] & 0x80 == 0
        and (start[3] & 0x1F == 7 or start[3] in (0x40, 0x46))
    ):
        return "video/x-annexb"  # H.264 (a sequence parameter set first) or HEVC (a video parameter set, a delimiter)
    for magic, name in _OTHERS:
        if head.startswith(magic) and (magic.decode("latin-1") not in _SHORT or _text(head) != "text/plain"):
            return name
    return rarer.by_mark(head, _text(head) == "text/plain")


def _riff(head: bytes) -> str | None:
    if head[:4] != b"RIFF":
        return None
    return {b"WEBP": "image/webp", b"AVI ": "video/x-msvideo", b"WAVE": "audio/unknown"}.get(head[8:12])


def _matroska(head: bytes) -> str | None:
    if head[:4] != b"\x1aE\xdf\xa3":
        return None
    return "video/webm" if b"webm" in head[:64] else "video/x-matroska"


def _ogg(head: bytes) -> str | None:
    """Ogg begins with a page of one packet that names its codec; a skeleton (fishead) stands before a video's."""
    if head[:4] != b"OggS":
        return None
    return "video/ogg" if any(mark in head for mark in _OGG_VIDEO) else "audio/unknown"


def _iso(head: bytes) -> str | None:
    """An ISO base media file, or a QuickTime film of before the `ftyp` box, whose first box has a size that makes sense."""
    if head[4:8] == b"ftyp":
        return _brand(head)
    return "video/quicktime" if head[4:8] in _OLD_QUICKTIME and _is_box(head) else None


def _is_box(head: bytes) -> bool:
    """Whether a first box `moov`, `mdat`, `wide`, `free`, `skip` or `pnot` has a size that makes sense, unlike four letters of a text."""
    size, kind = int.from_bytes(head[:4], "big"), head[4:8]
    if size < 8:  # 1: the size follows in eight bytes; 0: the box reaches to the end of the file
        return (size == 1 and head[8:12] == bytes(4)) or (size == 0 and kind == b"mdat")
    if kind in (b"moov", b"mdat"):
        return kind == b"mdat" or bool(_BOX.fullmatch(head[12:16]))
    letters = all(0x20 <= byte < 0x7F for byte in head[:4])
    return not letters or bool(_BOX.fullmatch(head[size + 4 : size + 8]))


def _brand(head: bytes) -> str:
    """Type of an ISO base media file from its major and compatible brands (ISO/IEC 14496-12, 4.3)."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12]] + [head[i : i + 4] for i in range(16, size - 3, 4)]
    if b"avif" in brands or b"avis" in brands:
        return "image/avif"
    if brands[0] in _HEIF_BRANDS:
        return "image/heif"
    if brands[0] == b"crx ":
        return "image/x-raw"  # Canon CR3
    if brands[0] in (b"mjp2", b"mj2s"):
        return "video/x-mj2"
    return "video/quicktime" if brands[0] == b"qt  " else "video/mp4"


def _bitmap(head: bytes) -> str | None:
    """BM, with a header size that exists and an offset of the pixels behind it."""
    if head[:2] != b"BM" or len(head) < 26:
        return None
    offset, size = struct.unpack_from("<II", head, 10)
    return "image/bmp" if size in _BMP_HEADERS and 14 + size <= offset < 1 << 24 else None


def _icon(head: bytes) -> str | None:
    """An icon or cursor directory: a number of entries, and a first entry whose picture lies behind the directory."""
    if head[:4] not in (b"\0\0\1\0", b"\0\0\2\0") or len(head) < 22:
        return None
    number = int.from_bytes(head[4:6], "little")
    size, offset = struct.unpack_from("<II", head, 14)
    if not number or head[9] or not size or offset < 6 + 16 * number:
        return None
    return "image/x-icon" if head[2] == 1 else "image/vnd.microsoft.cursor"


def _transport(head: bytes) -> str | None:
    """MPEG transport stream: the byte 0x47 every 188 bytes, or every 192 behind four bytes of time (MTS, M2TS)."""
    for start, step in ((0, 188), (4, 192), (0, 204)):
        places = head[start::step]
        if len(places) >= 4 and set(places[:5]) == {0x47}:
            return "video/mp2t"
    return None


def _plain_picture(head: bytes) -> str | None:
    """Pictures without a long magic number: PNM by its text header; PCX, SGI and TGA by every field that has few values."""
    if _PPM.match(head):
        return "image/x-portable-anymap"
    if len(head) < 64:
        return None
    if (
        head[0] == 10
        and head[1] in (0, 2, 3, 4, 5)
        and head[2] == 1
        and head[3] in (1, 2, 4, 8)
        and head[64:65] == b"\0"
    ):
        return "image/x-pcx"
    if head[:2] == b"\x01\xda" and head[2] in (0, 1) and head[3] in (1, 2) and head[4] == 0 and head[5] in (1, 2, 3):
        return "image/x-sgi"
    return "image/x-tga" if _is_targa(head) else None


def _is_targa(head: bytes) -> bool:
    """The 18 bytes of a TGA header (Truevision TGA 2.0, table 2): colour map, type, size and depth that fit together."""
    mapped, kind, first, length, entry = struct.unpack_from("<BBHHB", head, 1)
    width, height, depth, descriptor = struct.unpack_from("<HHBB", head, 12)
    if kind not in (1, 2, 3, 9, 10, 11) or mapped not in (0, 1) or not width or not height or descriptor & 0xC0:
        return False
    if kind in (1, 9):
        return bool(mapped == 1 and length and first < length and entry in (15, 16, 24, 32) and depth in (8, 16))
    if mapped == 0 and (first or length or entry):
        return False
    depths = {3: (8, 16), 11: (8, 16)}.get(kind, (15, 16, 24, 32))
    return depth in depths and descriptor & 0x0F in (0, 1, 8)


def _text(head: bytes) -> str:
    stripped = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if stripped[:4].lower() == b"<svg" or b"<svg" in head[:256].lower():
        return "image/svg+xml"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") and len(head) > 2:
        return "text/plain"  # UTF-16 says so at its beginning
    if head and all(byte >= 0x20 or byte in b"\t\r\n" for byte in head):
        return "text/plain"
    return "application/octet-stream"
