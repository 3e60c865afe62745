"""Media type by content: the first bytes decide, never the name."""

from __future__ import annotations

from dataclasses import dataclass

HEAD = 64
"""Bytes that are enough to tell every type below."""


@dataclass(frozen=True)
class MediaType:
    """`family` is the switch in policy/fingerprint.yaml `formats`, or None for what is never decoded;
    `decoder` the Pillow plug-in or FFmpeg demuxer that may read it."""

    name: str
    family: str | None = None
    decoder: str = ""
    video: bool = False


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
)
BY_NAME = {media.name: media for media in TYPES}
CODES = {media.name: code for code, media in enumerate(TYPES)}

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),
    (b"MM\0+", "image/tiff"),
    (b"\0\0\1\0", "image/x-icon"),
    (b"\0\0\2\0", "image/x-icon"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/jp2"),
    (b"8BPS", "image/vnd.adobe.photoshop"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\xff\x0a", "image/jxl"),
    (b"%PDF-", "application/pdf"),
    (b"PK\3\4", "application/zip"),
    (b"PK\5\6", "application/zip"),
    (b"ID3", "audio/unknown"),
    (b"OggS", "audio/unknown"),
    (b"fLaC", "audio/unknown"),
)
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
_OLD_QUICKTIME = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}


def media_type(head: bytes) -> MediaType:
    """Type of a content from its first HEAD bytes; application/octet-stream when nothing fits."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return BY_NAME[name]
    if head[:4] == b"RIFF":
        return BY_NAME[{b"WEBP": "image/webp", b"AVI ": "video/x-msvideo"}.get(head[8:12], "audio/unknown")]
    if head[:4] == b"\x1aE\xdf\xa3":
        return BY_NAME["video/webm" if b"webm" in head else "video/x-matroska"]
    if head[4:8] == b"ftyp":
        return BY_NAME[_brand(head)]
    if head[4:8] in _OLD_QUICKTIME:
        return BY_NAME["video/quicktime"]
    return BY_NAME[_text(head)]


def _brand(head: bytes) -> str:
    """Type of an ISO base media file from its major and compatible brands (ISO/IEC 14496-12, 4.3)."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12]] + [head[i : i + 4] for i in range(16, size - 3, 4)]
    if b"avif" in brands or b"avis" in brands:
        return "image/avif"
    if brands[0] in _HEIF_BRANDS:
        return "image/heif"
    return "video/quicktime" if brands[0] == b"qt  " else "video/mp4"


def _text(head: bytes) -> str:
    stripped = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if stripped[:4].lower() == b"<svg" or b"<svg" in head.lower():
        return "image/svg+xml"
    if head and all(byte >= 0x20 or byte in b"\t\r\n" for byte in head):
        return "text/plain"
    return "application/octet-stream"
