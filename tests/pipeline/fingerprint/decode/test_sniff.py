"""Media types by their first bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fingerprint.decode.sniff import BY_NAME, CODES, TYPES, media_type

BITMAP = struct.pack("<2sIIIIii", b"BM", 822, 0, 54, 40, 16, 16)
ICON = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, 100, 22)
TARGA = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 64, 48, 24, 0).ljust(128, b"\7")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF87a", "image/gif"),
        (BITMAP, "image/bmp"),
        (b"II*\x00", "image/tiff"),
        (b"MM\x00+", "image/tiff"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0AVI LIST", "video/x-msvideo"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/unknown"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/heif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "image/avif"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "video/mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "video/quicktime"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "video/quicktime"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "video/webm"),
        (b"\x1aE\xdf\xa3\xa3B\x86\x81\x01B\x82\x88matroska", "video/x-matroska"),
        (ICON, "image/x-icon"),
        (b"\0\0\2\0" + ICON[4:], "image/vnd.microsoft.cursor"),
        (b"8BPS\0\1", "image/vnd.adobe.photoshop"),
        (b"\xff\x0a\xfa", "image/jxl"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
        (b"%PDF-1.7", "application/pdf"),
        (b"PK\3\4\x14\0", "application/zip"),
        (b'<?xml version="1.0"?><svg xmlns=', "image/svg+xml"),
        (b"plain words", "text/plain"),
        (b"The free day was nice and we talked about [synthetic message 12]", "text/plain"),
        (b"Nothing wide open here, [synthetic message 13]", "text/plain"),
        (b"BM of the month: [synthetic message 14]", "text/plain"),
        (b"P1 is the first place, P2 the second", "text/plain"),
        (b"FLVs are old films", "text/plain"),
        ("[synthetic message 15]".encode("utf-16"), "text/plain"),
        (b"\0\0\0\x10free\0\0\0\0\0\0\0\0\0\0\1\0mdat", "video/quicktime"),
        (b"\0\0\x0c\0moov\0\0\0\x6cmvhd", "video/quicktime"),
        (b"\0\0\0\1mdat\0\0\0\0\x80\0\0\0", "video/quicktime"),
        (b"\0\0\1\xbaD\0", "video/mpeg"),
        (b"\0\0\1\xb3\x14\0", "video/mpeg-es"),
        ((b"G" + bytes(187)) * 5, "video/mp2t"),
        ((bytes(4) + b"G" + bytes(187)) * 5, "video/mp2t"),
        (b"FLV\1\5\0\0\0\x09", "video/x-flv"),
        (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "video/x-ms-wmv"),
        (b"OggS" + bytes(24) + b"\x80theora", "video/ogg"),
        (b"OggS" + bytes(24) + b"\1vorbis", "audio/unknown"),
        (b".RMF\0\0\0\x12", "video/x-rm"),
        (b"\x1f\x07\0\xbf\xf8\x78", "video/x-dv"),
        (bytes.fromhex("060e2b34020501010d0102010102"), "application/mxf"),
        (b"\0\0\0\x14ftypmjp2", "video/x-mj2"),
        (TARGA, "image/x-tga"),
        (b"\x0a\5\1\x08" + bytes(124), "image/x-pcx"),
        (b"P6\n# made here\n64 48\n255\n", "image/x-portable-anymap"),
        (b"DDS \x7c\0\0\0", "image/vnd-ms.dds"),
        (b"FUJIFILMCCD-RAW 0201", "image/x-raw"),
        (b"IIU\0\x18\0\0\0", "image/x-raw"),
        (b"II\x1a\0\0\0HEAPCCDR", "image/x-raw"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "image/x-raw"),
        (b"\x01\xda\x01\x01\0\3" + bytes(100), "image/x-sgi"),
        (b"icns\0\0\1\0", "image/icns"),
        (b"Rar!\x1a\x07\1\0", "application/vnd.rar"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "application/x-7z-compressed"),
        (b"a.jpg".ljust(257, b"\0") + b"ustar\x0000", "application/x-tar"),
        (b"PK\3\4".ljust(30, b"\0") + b"a.jpg", "application/zip"),
        (b"PK\3\4".ljust(30, b"\0") + b"[Content_Types].xml", "application/x-zipped-document"),
        (b"DKIF\0\0\x20\0AV01", "video/x-ivf"),
        (b"\0\0\0\1\x67\x42\0\x1e", "video/x-annexb"),
        (b"\0\0\1\x40\1\x0c\1", "video/x-annexb"),
        (b"qoif\0\0\1\0", "image/x-qoi"),
        (b"qoif is how this text begins", "text/plain"),
        (b"CWS, said the text", "text/plain"),
        (b"ID3 is how this text begins", "text/plain"),
        (b"ID3\4\0\0", "audio/unknown"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "image/x-eps"),
        (b"%!PS-Adobe-3.0\n", "text/plain"),
        (b"\xc5\xd0\xd3\xc6\x1e\0\0\0", "image/x-eps"),
        (b"/* XPM */\nstatic char", "image/x-xpixmap"),
        (b"#define a_width 16\n#define a_height 16\n", "image/x-xbitmap"),
        (b"#define width is how this text begins", "text/plain"),
        (b"DanM\x10\0\x10\0", "image/x-msp"),
        (b"DanMark is how this text begins", "text/plain"),
        (struct.pack("<IiiHHI", 40, 16, -16, 1, 24, 0) + bytes(30), "image/x-dib"),
        (b"FORM\0\0\1\0ILBMBMHD", "image/x-ilbm"),
        (b"RIFF\0\0\0\0CDXAfmt ", "video/x-cdxa"),
        (b"RIFF\0\0\0\0ACONanih", "image/x-ani"),
        (b"\x84\x10\xff\xff\xff\xff\x1e\0", "video/x-roq"),
        (b"DHAV\xfd\0\1\0", "video/x-dhav"),
        (b"IMKH\1\1\0\0", "video/x-imkh"),
        (b"\0\0\1\0\0\0\1\x20\0\xc4", "video/x-m4v-es"),
        (b"\0\0\1\xb5\x89\x13", "video/x-m4v-es"),
        (b"\x28\xb5\x2f\xfd\x04\0", "application/zstd"),
        (b"\x04\x22\x4d\x18\x64\x40", "application/x-lz4"),
        (b"LZIP\1\x0c", "application/x-lzip"),
        (b"LZIP is how this text begins", "text/plain"),
        (b"\x5d\0\0\x80\0" + b"\xff" * 8 + b"\0", "application/x-lzma"),
        (b"\x5d\0\0\x01\0" + (5000).to_bytes(8, "little") + b"\0", "application/x-lzma"),
        (b"\x1f\x9d\x90\x61", "application/x-compress"),
        (b"\x1f\x9d\xff\x61", "application/octet-stream"),
        (b"MSCF\0\0\0\0\x40", "application/vnd.ms-cab-compressed"),
        (b"MSWIM\0\0\0\xd0", "application/x-ms-wim"),
        (b"xar!\0\x1c\0\1", "application/x-xar"),
        (b"\x5a\x11\x31\0\0\0\x90**ACE**\x14", "application/x-ace"),
        (b"a text **ACE** in bold", "text/plain"),
        (b"\x60\xea\x2b\0\x22\x0b\1", "application/x-arj"),
        (b"\x24\x75-lh5-\x10\0", "application/x-lzh"),
        (b"EVF\x09\x0d\x0a\xff\0\1", "application/x-ewf"),
        (b"LUKS\xba\xbe\0\2", "application/x-luks"),
        (b"!BDN\x9a\x01\0\0", "application/vnd.ms-outlook-pst"),
        (b"!BDN is how this text begins", "text/plain"),
        (b"\x00\x01\x02", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_types(head: bytes, name: str) -> None:
    assert media_type(head).name == name


@given(st.binary(max_size=80))
def test_any_bytes_have_a_type(head: bytes) -> None:
    assert media_type(head) in TYPES


def test_codes_are_unique_and_families_are_in_the_policy(tmp_path: object) -> None:
    from pipeline import policy
    from pipeline.settings import Settings

    assert len(BY_NAME) == len(CODES) == len(TYPES) < 256
    formats = policy.load(Settings(), "fingerprint").data["formats"]
    assert {t.family for t in TYPES if t.family} == set(formats)
