from __future__ import annotations

import base64
import binascii
import io
import quopri
import zipfile
import zlib
from email.message import EmailMessage

import numpy as np
import pytest

from pipeline.fingerprint.decode.inside import containers
from pipeline.fingerprint.outcome import Reason, State
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.makers import decoded_here

TEXT = b"[synthetic message 12]\n" * 30


def jpeg() -> bytes:
    return samples.stills()["baseline.jpg"]


def zipped(first: str, **members: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(first, b"<Types/>")
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


def pdf(*objects: bytes) -> bytes:
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, text) for number, text in enumerate(objects, 1))
    return b"%PDF-1.7\n" + body + b"trailer <</Root 1 0 R>>\n%%EOF\n"


def stream(content: bytes, entries: bytes = b"", *, deflate: bool = True) -> bytes:
    packed = zlib.compress(content) if deflate else content
    how = b"/Filter /FlateDecode " if deflate else b""
    return b"<<%s%s/Length %d>>\nstream\n%s\nendstream" % (how, entries, len(packed), packed)


def letter(picture: bytes | None = None, subtype: str = "jpeg") -> bytes:
    message = EmailMessage()
    message["Subject"] = "[synthetic message 13]"
    message.set_content(TEXT.decode())
    if picture is not None:
        message.add_attachment(picture, maintype="image", subtype=subtype, filename="notes.txt")
    return message.as_bytes()


def tagged(frame: bytes) -> bytes:
    size = bytes((len(frame) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + frame + b"\xff\xfb\x90\0" + bytes(500)


PAGE = b"BT /F1 12 Tf (synthetic) Tj ET\n"
PLAIN = {
    "letter.docx": zipped("[Content_Types].xml", **{"word/document.xml": TEXT}),
    "sheet.ods": zipped("mimetype", **{"content.xml": TEXT}),
    "inner.docx": zipped("[Content_Types].xml", **{"word/embeddings/a.xlsx": zipped("xl/workbook.xml")}),
    "letter.pdf": pdf(b"<</Type /Catalog>>", stream(PAGE)),
    "small.pdf": pdf(stream(b"q BI /W 8 /H 8 /IM true ID " + bytes(8) + b" EI Q\n")),
    "mail.eml": letter(),
    "text.eml": letter(None) + b"\n\n" + base64.encodebytes(TEXT),
    "key.asc": b"-----BEGIN KEY-----\n\n" + base64.encodebytes(zlib.compress(TEXT * 9)[2:]) + b"-----END KEY-----\n",
    "hashes.txt": b"".join(b"%s  f%d.jpg\n" % (b"%064x" % (7**90 * n % 2**256), n) for n in range(200)),
    "rule.txt": (b"_" * 70 + b"\n" + b"-" * 70 + b"\n") * 40,
    "song.mp3": tagged(b"TIT2\0\0\0\5\0\0\0song"),
    "page.rtf": b"{\\rtf1\\ansi [synthetic message 14] \\picture\\par}",
}
HELD = {
    "picture.docx": zipped("[Content_Types].xml", **{"word/media/notes.txt": jpeg()}),
    "film.pptx": zipped("ppt/presentation.xml", **{"ppt/media/media1.mp4": samples.video("mp4", "libx264")}),
    "inner.docx": zipped("[Content_Types].xml", **{"a.xlsx": zipped("xl/workbook.xml", **{"b.bin": jpeg()})}),
    "archive.docx": zipped("mimetype", b=zipped("c.txt")),
    "damaged.docx": zipped("[Content_Types].xml", **{"word/document.xml": TEXT})[:-30],
    "picture.pdf": pdf(stream(jpeg(), b"/Type /XObject /Subtype /Image /Filter /DCTDecode ", deflate=False)),
    "raw.pdf": pdf(stream(bytes(30000), b"/Subtype\n/Image /Width 100 /Height 100 ")),
    "escaped.pdf": pdf(stream(bytes(30000), b"/Sub#74ype /Im#61ge /Width 100 /Height 100 ")),
    "inline.pdf": pdf(stream(b"q BI /W 100 /H 100 /BPC 8 /CS /G ID " + bytes(10000) + b" EI Q\n")),
    "attached.pdf": pdf(stream(b"<</Type /Filespec /EF <</F 3 0 R>> /EmbeddedFiles 4 0 R>>", b"/Type /ObjStm ")),
    "mail.eml": letter(jpeg()),
    "box.mbox": (b"From a@example.org\n" + letter()) * 3 + b"From b@example.org\n" + letter(jpeg()),
    "forwarded.eml": letter() + b"\n\n" + base64.encodebytes(letter(jpeg())),
    "document.eml": letter() + b"\n\n" + base64.encodebytes(zipped("word/a.xml", **{"word/media/b": jpeg()})),
    "quoted.eml": b"Content-Type: image/gif\nContent-Transfer-Encoding: quoted-printable\n\n" + quopri.encodestring(jpeg()),
    "page.html": b"<html><img src='data:image/jpeg;base64," + base64.b64encode(jpeg()) + b"'></html>",
    "export.json": b'{"photo": "' + base64.b64encode(jpeg()).replace(b"/", b"\\/") + b'"}',
    "wide.html": b"\xff\xfe" + ("<img src='data:," + base64.b64encode(jpeg()).decode() + "'>").encode("utf-16-le"),
    "wide.txt": b"\xff\xfe" + ("[synthetic message 15] " * 60).encode("utf-16-le") + jpeg(),
    "card.vcf": b"BEGIN:VCARD\nPHOTO;ENCODING=b:" + base64.encodebytes(jpeg()).replace(b"\n", b"\n ") + b"\nEND:VCARD\n",
    "post.txt": b"begin 644 notes.txt\n" + b"".join(
        binascii.b2a_uu(jpeg()[at : at + 45]) for at in range(0, 900, 45)) + b"end\n",
    "post.yenc": b"=ybegin line=128 size=9 name=a.jpg\n" + TEXT,
    "page.rtf": b"{\\rtf1\\ansi {\\pict\\jpegblip " + binascii.hexlify(jpeg()) + b"}}",
    "cover.mp3": tagged(b"APIC\0\0\0\x20\0\0\0image/jpeg\0\3\0" + jpeg().replace(b"\xff", b"\xff\0")),
    "cover.flac": b"fLaC\x06\0\x40\0" + bytes(40) + jpeg() + bytes(900),
    "cover.ogg": b"OggS\0\2" + bytes(22) + b"\x01\x1e\x01vorbis" + bytes(40) + b"metadata_block_picture=AAAA" + bytes(900),
    "end.mp3": b"\xff\xfb\x90\0" * 200 + b"APETAGEX" + bytes(24) + b"Cover Art (Front)\0a.jpg\0" + jpeg(),
    "scan.dcm": bytes(128) + b"DICM" + bytes(900),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_a_document_that_holds_no_picture_stays_out(name: str) -> None:
    one = decoded_here(PLAIN[name])
    assert (one.state, one.reason) == (State.DIGESTS_ONLY, Reason.NOT_MEDIA)


@pytest.mark.parametrize("name", HELD)
def test_a_picture_or_film_inside_is_said_to_be_unseen(name: str) -> None:
    one = decoded_here(HELD[name])
    assert (one.state, one.reason) == (State.DIGESTS_ONLY, Reason.UNSEEN_CONTENT)


def test_what_is_too_large_to_be_gone_through_is_said_to_be_unseen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    on_disk = io.BufferedReader(io.BytesIO(TEXT))
    assert decoded_here(TEXT, content=on_disk).reason is Reason.UNSEEN_CONTENT
    monkeypatch.setattr(containers, "UNPACKED", 1000)
    bomb = zipped("[Content_Types].xml", **{"word/document.xml": bytes(5000)})
    assert containers.holds("application/x-zipped-document", bomb)
    assert containers.holds("application/pdf", pdf(stream(PAGE * 1000)))
    monkeypatch.setattr(containers, "MEMBERS", 1)
    assert containers.holds("application/x-zipped-document", PLAIN["letter.docx"])


def test_no_content_makes_it_raise() -> None:
    rng = np.random.default_rng(12)
    for name, data in {**PLAIN, **HELD}.items():
        kind = decoded_here(data).media_type
        for _ in range(20):
            changed = bytearray(data[: int(rng.integers(1, len(data)))])
            for at in rng.integers(0, len(changed), 8):
                changed[at] = int(rng.integers(256))
            assert containers.holds(kind, bytes(changed)) in (True, False), name
