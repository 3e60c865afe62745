from __future__ import annotations

import base64
import binascii

import pytest

from pipeline.fingerprint.decode.inside import written

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(200)) * 3
TEXT = b"[synthetic message 12]\n" * 30


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(PICTURE),
        b"> " + base64.urlsafe_b64encode(PICTURE),
        TEXT + base64.encodebytes(PICTURE).replace(b"\n", b"\r\n ") + TEXT,
        b"begin 644 a\n" + b"".join(binascii.b2a_uu(PICTURE[at : at + 45]) for at in range(0, 450, 45)) + b"end\n",
        base64.b64encode(b"%PDF-1.7\n" + TEXT),
    ],
)
def test_a_file_written_into_a_text(text: bytes) -> None:
    assert written.holds_file(text)


@pytest.mark.parametrize("width", [16, 20, 32, 39, 40, 64, 76])
@pytest.mark.parametrize("above", [b"", b"[synthetic message 12]\n", b"a_word_of_twenty_xxx_more\n"])
def test_lines_of_any_width_from_16(width: int, above: bytes) -> None:
    whole = base64.b64encode(PICTURE)
    lines = b"\n".join(whole[at : at + width] for at in range(0, len(whole), width))
    assert written.holds_file(above + lines + b"\n" + TEXT)


@pytest.mark.parametrize(
    "text",
    [b"", TEXT, base64.b64encode(TEXT), b"_" * 900, b"%064x\n" % 7**80 * 50, b"begin 644 a\n", b"%032x\n" % 7**40 * 50],
)
def test_texts_without_one(text: bytes) -> None:
    assert not written.holds_file(text)
