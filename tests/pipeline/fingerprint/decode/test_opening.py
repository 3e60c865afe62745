"""Reading plain files and archive members in place, as the parent opened them: lies of archives, damage of every byte."""

from __future__ import annotations

import gzip
import io
import os
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.fingerprint.decode.digests import FileReading
from pipeline.fingerprint.decode.opening import Opener, holds_more, refusal
from pipeline.fingerprint.decode.sniff import HEAD
from pipeline.fingerprint.outcome import Reason, Refusal
from pipeline.fingerprint.sandbox.handover import Landing
from pipeline.locator import Locator

LIMITS = {"archive_members": 50, "member_ratio": 100}


class Both:
    """The parent's side and the worker's side of opening, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.landing = Landing(folder, [folder])
        self.opener = Opener(LIMITS)


@pytest.fixture
def opener(tmp_path: Path) -> Iterator[Both]:
    made = Both(tmp_path)
    yield made
    made.opener.close()


def read(both: Both, text: str) -> bytes:
    """The content, or the Refusal that is the outcome of the file."""
    locator = Locator.parse(text)
    with both.opener.open(both.landing.open(locator), locator.member, lambda _: None) as file:
        try:
            return b"".join(iter(lambda: file.read(1000), b""))
        except Exception as error:
            raise refusal(error, locator.member is not None) from error


def refused(opener: Both, text: str) -> Reason:
    with pytest.raises(Refusal) as caught:
        read(opener, text)
    return caught.value.reason


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def tarred(path: Path, members: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_plain_file(opener: Both, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.bin").write_bytes(b"content")
    assert read(opener, "a/b.bin") == b"content"


def test_what_is_no_plain_file(opener: Both, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "up").symlink_to("..")
    assert refused(opener, "pipe") is Reason.NOT_A_FILE
    assert refused(opener, "folder") is Reason.NOT_A_FILE
    assert refused(opener, "zero") is Reason.UNREADABLE
    assert refused(opener, "loop") is Reason.UNREADABLE
    assert refused(opener, "up/x") is Reason.UNREADABLE
    assert refused(opener, "../x") is Reason.UNREADABLE
    assert refused(opener, "nothing") is Reason.MISSING
    assert refused(opener, "folder/nothing") is Reason.MISSING
    assert refused(opener, "a\0b") is Reason.UNREADABLE
    assert refused(opener, "n" * 5000) in (Reason.UNREADABLE, Reason.MISSING)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_members(opener: Both, tmp_path: Path, method: int) -> None:
    zipped(tmp_path / "p.zip", {"m/1.bin": b"one" * 500, "m/2.bin": b"two", "../up": b"three", "/abs": b"four"}, method)
    assert read(opener, "p.zip!/m/1.bin") == b"one" * 500
    assert read(opener, "p.zip!/m/2.bin") == b"two"
    assert read(opener, "p.zip!/../up") == b"three", "a name is only a name: nothing is unpacked"
    assert read(opener, "p.zip!//abs") == b"four"
    assert refused(opener, "p.zip!/m") is Reason.MISSING
    assert refused(opener, "q.zip!/m") is Reason.MISSING
    assert not (tmp_path.parent / "up").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_tar_members(opener: Both, tmp_path: Path, mode: str) -> None:
    tarred(tmp_path / "p.tar", {"m/1.bin": b"one" * 500, "m/2.bin": b"two"}, mode)
    assert read(opener, "p.tar!/m/2.bin") == b"two"
    assert read(opener, "p.tar!/m/1.bin") == b"one" * 500
    assert refused(opener, "p.tar!/m/3.bin") is Reason.MISSING


def test_links_in_archives(opener: Both, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "l.tar", "w") as archive:
        for name, kind, target in (
            ("s", tarfile.SYMTYPE, "/etc/passwd"),
            ("h", tarfile.LNKTYPE, "s"),
            ("d", tarfile.DIRTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    link = zipfile.ZipInfo("s")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "l.zip", "w") as zipped_:
        zipped_.writestr(link, "/etc/passwd")
        zipped_.writestr("d/", b"")
    for member in ("l.tar!/s", "l.tar!/h", "l.tar!/d", "l.zip!/s", "l.zip!/d/"):
        assert refused(opener, member) is Reason.NOT_A_FILE


def test_two_of_one_name(opener: Both, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
        archive.writestr("b", b"3")
    assert refused(opener, "d.zip!/a") is Reason.AMBIGUOUS
    assert read(opener, "d.zip!/b") == b"3"


def test_limits_of_archives(opener: Both, tmp_path: Path) -> None:
    zipped(tmp_path / "ratio.zip", {"bomb": bytes(5 << 20), "small": bytes(500_000)})
    assert refused(opener, "ratio.zip!/bomb") is Reason.ARCHIVE_LIMIT
    assert len(read(opener, "ratio.zip!/small")) == 500_000, "a small black picture may grow a thousandfold"
    zipped(tmp_path / "many.zip", {f"{n}": b"" for n in range(51)})
    tarred(tmp_path / "many.tar", {f"{n}": b"" for n in range(51)})
    assert refused(opener, "many.zip!/1") is Reason.ARCHIVE_LIMIT
    assert refused(opener, "many.tar!/1") is Reason.ARCHIVE_LIMIT


def test_encrypted_and_foreign_methods(opener: Both, tmp_path: Path) -> None:
    zipped(tmp_path / "e.zip", {"a": b"secret"}, zipfile.ZIP_STORED)
    raw = bytearray((tmp_path / "e.zip").read_bytes())
    for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        raw[raw.index(header) + flags] |= 1
    (tmp_path / "e.zip").write_bytes(raw)
    zipped(tmp_path / "x.zip", {"a": b"data" * 100}, zipfile.ZIP_LZMA)
    assert refused(opener, "e.zip!/a") is Reason.ENCRYPTED
    assert refused(opener, "x.zip!/a") is Reason.ARCHIVE_DAMAGED


def test_no_archive(opener: Both, tmp_path: Path) -> None:
    (tmp_path / "n.zip").write_bytes(b"PK\3\4 and then nothing")
    (tmp_path / "n.tar").write_bytes(b"no archive at all")
    (tmp_path / "n.gz").write_bytes(gzip.compress(b"no tar")[:-4])
    (tmp_path / "empty.zip").write_bytes(b"")
    for name in ("n.zip", "n.tar", "n.gz", "empty.zip"):
        assert refused(opener, f"{name}!/a") in (Reason.ARCHIVE_DAMAGED, Reason.MISSING)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_damage_of_any_byte_is_an_outcome(opener: Both, tmp_path: Path, kind: str) -> None:
    """Damaged archives: the right bytes, or a reason; never another exception. A CRC guards zip members."""
    rng = random.Random(kind)
    members = {"a.bin": rng.randbytes(700), "b.bin": b"b" * 700}
    path = tmp_path / f"good.{kind}"
    if kind == "zip":
        zipped(path, members)
    else:
        tarred(path, members, "w:gz" if kind == "tar.gz" else "w")
    whole = path.read_bytes()
    seen = set()
    for _ in range(600):
        raw = bytearray(whole)
        if rng.random() < 0.2:
            del raw[rng.randrange(len(raw)) :]
        else:
            for _ in range(rng.randrange(1, 4)):
                raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        (tmp_path / f"bad.{kind}").write_bytes(raw)
        try:
            data = read(opener, f"bad.{kind}!/a.bin")
            assert kind != "zip" or data == members["a.bin"]
            seen.add(Reason.NONE)
        except Refusal as found:
            seen.add(found.reason)
    assert seen >= {Reason.NONE, Reason.ARCHIVE_DAMAGED}
    assert seen <= {
        Reason.NONE,
        Reason.ARCHIVE_DAMAGED,
        Reason.MISSING,
        Reason.ENCRYPTED,
        Reason.ARCHIVE_LIMIT,
        Reason.NOT_A_FILE,
        Reason.AMBIGUOUS,
        Reason.UNREADABLE,
    }


def test_archive_is_read_anew_when_it_changed(opener: Both, tmp_path: Path) -> None:
    zipped(tmp_path / "p.zip", {"a": b"first"})
    assert read(opener, "p.zip!/a") == b"first"
    zipped(tmp_path / "p.zip", {"a": b"second one"})
    assert read(opener, "p.zip!/a") == b"second one"


def test_reading_stops_where_it_is_told() -> None:
    class TooMuchError(Exception):
        pass

    def tick(size: int) -> None:
        if size > 3 << 20:
            raise TooMuchError

    with pytest.raises(TooMuchError):
        FileReading(io.BytesIO(bytes(5 << 20)), buffer=0, tick=tick)


def test_reading_makes_the_digests_of_the_standard_library() -> None:
    import hashlib

    data = random.Random(1).randbytes(2_500_000)
    one = FileReading(io.BytesIO(data), buffer=len(data), tick=lambda _: None)
    assert one.digests.md5 == hashlib.md5(data, usedforsecurity=False).digest()
    assert one.digests.sha1 == hashlib.sha1(data, usedforsecurity=False).digest()
    assert one.digests.sha256 == hashlib.sha256(data).digest()
    assert one.digests.size == len(data)
    assert one.head == data[:HEAD]
    assert one.content is not None and one.content.read() == data
    short = FileReading(io.BytesIO(data), buffer=len(data) - 1, tick=lambda _: None, names=["sha256"])
    assert short.content is None
    assert (short.digests.md5, short.digests.sha1) == (b"", b"")
    assert short.digests.sha256 == one.digests.sha256
    assert one.digests.sha512 == b""
    more = FileReading(io.BytesIO(data), buffer=0, tick=lambda _: None, names=["sha256", "sha512"])
    assert more.digests.sha512 == hashlib.sha512(data).digest()


def test_members_of_a_compressed_tar_in_any_order(opener: Both, tmp_path: Path) -> None:
    members = {f"{n}.bin": random.Random(n).randbytes(90_000) for n in range(40)}
    tarred(tmp_path / "p.tar.gz", members, "w:gz")
    for name in random.Random(1).sample(list(members), 40):
        assert read(opener, f"p.tar.gz!/{name}") == members[name]


def test_bytes_behind_the_end_of_a_deflated_stream(opener: Both, tmp_path: Path) -> None:
    """They are part of the member for the archive, and nobody unpacks them."""
    plain = bytes(100_000)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = packer.compress(plain) + packer.flush()
    for behind, wanted in ((b"", False), (bytes(100), False), (b"hidden " * 3000, True), (bytes(300_000), True)):
        zipped(tmp_path / "h.zip", {"a.bin": stream + behind}, zipfile.ZIP_STORED)
        raw = bytearray((tmp_path / "h.zip").read_bytes())
        for start, method, crc, size in ((0, 8, 14, 22), (raw.index(b"PK\1\2"), 10, 16, 24)):
            struct.pack_into("<H", raw, start + method, zipfile.ZIP_DEFLATED)
            struct.pack_into("<I", raw, start + crc, zlib.crc32(plain))
            struct.pack_into("<I", raw, start + size, len(plain))
        (tmp_path / "h.zip").write_bytes(raw)
        locator = Locator.parse("h.zip!/a.bin")
        with opener.opener.open(opener.landing.open(locator), locator.member, lambda _: None) as file:
            assert b"".join(iter(lambda: file.read(1000), b"")) == plain
            assert holds_more(file) is wanted
        opener.opener.close()
