"""Media types by their first bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fingerprint.decode.sniff import BY_NAME, CODES, TYPES, media_type


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF87a", "image/gif"),
        (b"BM6\x00", "image/bmp"),
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
        (b"\0\0\1\0\1\0", "image/x-icon"),
        (b"8BPS\0\1", "image/vnd.adobe.photoshop"),
        (b"\xff\x0a\xfa", "image/jxl"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
        (b"%PDF-1.7", "application/pdf"),
        (b"PK\3\4\x14\0", "application/zip"),
        (b'<?xml version="1.0"?><svg xmlns=', "image/svg+xml"),
        (b"plain words", "text/plain"),
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
