"""What a zip says of itself: names of other programs, and bytes that no member is made of."""

from __future__ import annotations

import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path

import pytest

from pipeline.ingest.landing.package import Package
from tests.pipeline.ingest.landing.test_archives import listed

JPEG = b"\xff\xd8\xff\xe0 synthetic " * 400


def written(
    path: Path, name: bytes, data: bytes, *, method: int = 0, size: int | None = None, extra: bytes = b""
) -> Path:
    """A zip of a report and one member, byte by byte; `size` is what the member says to hold. No mark of UTF-8."""
    body, directory = bytearray(), bytearray()
    for stored, held, stated in ((b"report.json", b"{}", None), (name, data, size)):
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(held) + packer.flush() if method and stored == name else held
        how = method if stored == name else 0
        more = extra if stored == name else b""
        facts = (zlib.crc32(held), len(packed), len(held) if stated is None else stated, len(stored), len(more))
        directory += struct.pack(
            "<IHHHHHHIIIHHHHHII", 0x02014B50, 0x31E, 20, 0, how, 0, 0x21, *facts, 0, 0, 0, 0, len(body)
        )
        directory += stored + more
        body += struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, how, 0, 0x21, *facts) + stored + more + packed
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2, 2, len(directory), len(body), 0)
    path.write_bytes(bytes(body + directory) + end)
    return path


def names(package: Package) -> list[str]:
    assert not package.faults
    return [member.name for member in package.members]


@pytest.mark.parametrize("name", ["caf\u00e9.jpg", unicodedata.normalize("NFD", "\u00fcber.jpg"), "\u5199\u771f.jpg"])
def test_utf8_without_its_mark_as_macos_writes_it(tmp_path: Path, name: str) -> None:
    package = listed(written(tmp_path / "a.zip", name.encode(), JPEG))
    assert names(package) == ["report.json", name]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:  # the media worker asks for it by the name that zipfile has
        assert archive.read(str(package.members[1].locator.member)) == JPEG


def test_a_name_in_another_code_page_with_one_in_utf8_beside_it(tmp_path: Path) -> None:
    stored, meant = "\u5199\u771f.jpg".encode("shift_jis"), "\u5199\u771f.jpg".encode()
    extra = struct.pack("<HHBI", 0x7075, 5 + len(meant), 1, zlib.crc32(stored)) + meant
    assert names(listed(written(tmp_path / "a.zip", stored, JPEG, extra=extra)))[1] == "\u5199\u771f.jpg"
    stale = struct.pack("<HHBI", 0x7075, 5 + len(meant), 1, 0) + meant
    assert names(listed(written(tmp_path / "a.zip", stored, JPEG, extra=stale)))[1] == stored.decode("cp437")
    assert names(listed(written(tmp_path / "a.zip", b"caf\xe9.jpg", JPEG)))[1] == b"caf\xe9.jpg".decode("cp437")


def test_content_in_the_entry_of_a_folder_or_behind_a_members_end(tmp_path: Path) -> None:
    wanted = ["the archive holds data behind a member's end or in a folder's entry; pack it anew"]
    assert listed(written(tmp_path / "a.zip", b"folder/", JPEG)).faults == wanted
    assert listed(written(tmp_path / "a.zip", b"folder/", JPEG, method=8)).faults == wanted
    assert listed(written(tmp_path / "a.zip", b"empty.jpg", JPEG, size=0)).faults == wanted
    assert listed(written(tmp_path / "a.zip", b"small.jpg", zlib.compress(JPEG * 9), method=8, size=1)).faults == []
    assert listed(written(tmp_path / "a.zip", b"empty/", b"")).faults == []
    assert listed(written(tmp_path / "a.zip", b"empty/", b"", method=8)).faults == []


def test_content_in_the_comment_or_behind_the_end(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zip", b"a.jpg", JPEG)
    plain = path.read_bytes()
    wanted = ["the archive holds data behind its end or in its comment; pack it anew"]
    path.write_bytes(plain + JPEG)
    assert listed(path).faults == wanted
    path.write_bytes(plain[:-2] + struct.pack("<H", len(JPEG)) + JPEG)
    assert listed(path).faults == wanted
    for harmless in (
        plain + bytes(9000),
        plain + b"\r\n",
        plain[:-2] + struct.pack("<H", 20) + b"packed by a program.",
    ):
        path.write_bytes(harmless)
        assert names(listed(path)) == ["report.json", "a.jpg"]


SMALL = JPEG[:900]
HELD = ["the archive holds a picture or film in bytes that belong to no member; pack it anew"]


def test_a_small_picture_in_bytes_that_belong_to_no_member(tmp_path: Path) -> None:
    """In a member's extra field, between two members, in a comment; other bytes of that size are a program's."""
    for held, faults in ((SMALL, HELD), (b"\0" * 900, [])):
        field = struct.pack("<HH", 0xCAFE, len(held)) + held
        path = written(tmp_path / "a.zip", b"a.jpg", b"x", extra=field)
        assert listed(path).faults == faults
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("report.json", b"{}")
            if archive.fp is not None:
                archive.fp.write(held)
                archive.start_dir = archive.fp.tell()
            archive.writestr("a.jpg", b"x")
            archive.getinfo("a.jpg").comment = b"scanned on a Monday " * 9
        assert listed(path).faults == faults
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.jpg", b"x")
            archive.comment = held
        assert listed(path).faults == faults


def test_a_small_picture_behind_the_deflated_stream_of_a_text(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(b"{}") + packer.flush()
    path = tmp_path / "a.zip"
    for behind, faults in ((SMALL, ["the archive holds data behind a member's end; pack it anew"]), (b"", [])):
        held = packed + behind
        facts = (zlib.crc32(b"{}"), len(held), 2, 11, 0)
        body = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 0x21, *facts) + b"report.json" + held
        entry = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 0x31E, 20, 0, 8, 0, 0x21, *facts, 0, 0, 0, 0, 0)
        end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(entry) + 11, len(body), 0)
        path.write_bytes(body + entry + b"report.json" + end)
        assert listed(path).faults == faults
