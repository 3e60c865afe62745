"""Lists the members of zip and tar archives and reads small ones, without unpacking anything to disk.

Refused as a whole, with every reason: names that lead out of the package, links, devices, encrypted members, members
that overlap, collide or grow beyond the caps. A tar's compressed stream is counted while it is read.
"""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from functools import partial
from typing import IO, Any, BinaryIO, cast

from pipeline.errors import InputError
from pipeline.fingerprint.decode.opening import BROKEN, holds_more
from pipeline.ingest.landing import zipforms
from pipeline.ingest.landing.noise import Noise
from pipeline.ingest.landing.package import (
    Member,
    Package,
    all_plain,
    collision_faults,
    is_list,
    is_sidecar,
    is_small_text,
    name_faults,
    reading_order,
    without_top_folder,
)
from pipeline.locator import Locator

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

_LABEL = b"V"
"""Type of the header in which GNU tar keeps a volume's name; it has no content."""


def list_archive(package: Package, file: IO[bytes], policy: dict[str, Any]) -> None:
    """Fill `package.members`, `package.left_out` and `package.faults` from an open archive.

    A damaged archive is one fault; raises nothing for any content of the file.
    """
    caps, noise = policy["caps"], Noise(policy)
    try:
        magic = file.read(4)
        file.seek(0)
        if magic[:2] == b"PK":
            _list_zip(package, file, caps, noise)
        else:
            _list_tar(package, file, caps, noise)
    except InputError as error:
        package.faults.append(str(error))
    except BROKEN as error:
        package.faults.append(f"the archive cannot be read ({type(error).__name__})")
        package.waits.append("the archive is not complete or is damaged")
    package.faults.extend(f for f in collision_faults([m.name for m in package.members]) if f not in package.faults)
    without_top_folder(package.members)


def _refuse(package: Package, faults: list[str]) -> bool:
    if faults:
        package.faults.extend(f for f in faults if f not in package.faults)
    return bool(faults)


def _list_zip(package: Package, file: IO[bytes], caps: dict[str, Any], noise: Noise) -> None:
    size = file.seek(0, io.SEEK_END)
    zipforms.check_directory(file, size, caps)
    with zipfile.ZipFile(file) as archive:
        infos = [i for i in archive.infolist() if not i.is_dir() or _kind(i) == stat.S_IFLNK]
        packed, unpacked = sum(i.compress_size for i in infos), sum(i.file_size for i in infos)
        if packed > size:
            raise InputError("members of the archive overlap")
        _check_sizes(len(infos), unpacked, size, caps)
        zipforms.check_hidden(archive)
        names = zipforms.names(infos)
        plain, noisy = all_plain(names, caps), noise.any_named(names)
        for info, name in zip(infos, names, strict=True):
            faults = [] if plain else name_faults(name, caps)
            if info.external_attr >> 16 and _kind(info) not in (0, stat.S_IFREG):
                faults.append("the archive holds links or devices")
            if info.flag_bits & 0x1:
                faults.append("the archive is encrypted")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                faults.append("a member is compressed in a way that is not read; use plain zip")
            if info.file_size > caps["member_bytes"]:
                faults.append("a member is too large")
            if faults and _refuse(package, faults):
                continue
            if (
                noisy
                and noise.named(name)
                and noise.is_noise(name, info.file_size, partial(_zip_content, archive, info))
            ):
                package.left_out += 1
                continue
            member = Member(name, info.file_size, Locator(package.container, info.filename))
            package.members.append(member)
        if package.faults:
            return
        by_stored_name = {info.filename: info for info in infos}
        room = caps["text_bytes"]
        for member in _to_read(package.members, caps):
            info = by_stored_name[str(member.locator.member)]
            _check_text(member.size, info.compress_size, room, caps)
            with archive.open(info) as stream:
                member.hold(_read(stream, member, caps))
                if holds_more(cast("BinaryIO", stream)):
                    raise InputError("the archive holds data behind a member's end; pack it anew")
            room -= member.size


def _zip_content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as stream:
        return stream.read(info.file_size + 1)


def _check_text(size: int, packed: int, room: int, caps: dict[str, Any]) -> None:
    """Refuse a text that would be read here before a byte of it is unpacked. Raises InputError."""
    if size > room:
        raise InputError("the texts of the archive are too large to be read")
    if size > caps["text_ratio_above"] and size > caps["ratio"] * max(packed, 1):
        raise InputError("a text of the archive grows too much when it is unpacked")


def _kind(info: zipfile.ZipInfo) -> int:
    """File type bits of a Unix entry, 0 where there are none."""
    return stat.S_IFMT(info.external_attr >> 16)


def _check_sizes(count: int, unpacked: int, packed: int, caps: dict[str, Any]) -> None:
    if count > caps["members"]:
        raise InputError("the archive has too many members")
    if unpacked > caps["unpacked_bytes"]:
        raise InputError("the archive is too large when it is unpacked")
    if unpacked > caps["ratio_above"] and unpacked > caps["ratio"] * max(packed, 1):
        raise InputError("the archive grows too much when it is unpacked")


def _to_read(members: list[Member], caps: dict[str, Any]) -> list[Member]:
    """Members that ingest reads: small text files, as many as the caps admit."""
    found = [m for m in members if is_small_text(m.name) or is_small_text(m.name.partition("/")[2])]
    found.sort(key=lambda m: reading_order(m.name))
    return [m for m in found if m.size <= caps["report_bytes"]][: caps["reports"] * 4]


def _read(stream: IO[bytes], member: Member, caps: dict[str, Any]) -> bytes:
    content = stream.read(caps["report_bytes"] + 1)
    if len(content) > caps["report_bytes"] or len(content) != member.size:
        raise InputError("a member does not have the size that the archive states")
    return content


class _Counted(io.RawIOBase):
    """A decompressing stream that stops at the caps."""

    def __init__(self, inner: IO[bytes], packed: int, caps: dict[str, Any]) -> None:
        self._inner = inner
        self._packed = packed
        self._caps = caps
        self._position = 0

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        _check_sizes(0, self._position, self._packed, self._caps)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Forward by reading on, so that skipped data counts too."""
        if whence != io.SEEK_SET or offset < self._position:
            raise InputError("the archive is not a plain sequence of files")
        skipped = bytearray(1 << 16)
        while self._position < offset:
            if not self.readinto(memoryview(skipped)[: offset - self._position]):
                break
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class _Blocks(io.BufferedReader):
    """Hands out what is behind it; refuses to read as much at once as only a forged header asks for: more than `limit`."""

    def __init__(self, raw: io.RawIOBase, limit: int) -> None:
        super().__init__(raw, 1 << 16)
        self.limit = limit

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0 or size > self.limit:
            raise InputError("a header of the archive is absurdly large")
        return super().read(size)


class _Header(tarfile.TarInfo):
    """A tar header, read quickly where it is the plainest there is: a file with a short name in a ustar header."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Any:
        """As tarfile does; the few fields that are used are taken from plain headers directly."""
        plain = len(buf) == 512 and buf[156:157] == b"0" and buf[257:263] == b"ustar\0" and not any(buf[345:])
        size, checksum = buf[124:135], buf[148:154]
        if not plain or (size + checksum).translate(None, b"01234567") or buf[135] or buf[154:156] != b"\0 ":
            return super().frombuf(buf, encoding, errors)
        if int(checksum, 8) != 256 + sum(buf[:148].translate(None, b"\0")) + sum(buf[156:345].translate(None, b"\0")):
            return super().frombuf(buf, encoding, errors)
        info = cls(buf[:100].split(b"\0", 1)[0].decode(encoding, errors))
        info.size, info.type = int(size, 8), tarfile.REGTYPE
        return info


def _tar_content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(info)
    return b"" if stream is None else b"".join(iter(partial(stream.read, 1 << 16), b""))


class _Streams(gzip._GzipReader):  # the only place where each header is met
    """The streams of a gzip file one behind another, as `gzip` reads them, each header judged before."""

    def _read_gzip_header(self) -> Any:
        head = self._fp.read(_GZIP_HEAD)  # type: ignore[attr-defined]
        self._fp.prepend(head)  # type: ignore[attr-defined]
        _check_gzip(head)
        return super()._read_gzip_header()  # type: ignore[misc]


def _check_gzip(head: bytes) -> None:
    """Refuse a gzip stream whose header (RFC 1952: extra field, name, comment) holds content. Raises InputError."""
    flags, at = head[3] if len(head) > 3 else 0, 10
    if flags & 4:
        at += 2 + int.from_bytes(head[10:12], "little")
    for flag in (8, 16):
        if flags & flag:
            end = head.find(b"\0", at)
            at = len(head) if end < 0 else end + 1
    if at > 10 + zipforms.COMMENT:
        raise InputError("the archive holds data in its gzip header; pack it anew")
    zipforms.check_slack(head[10:at])


_GZIP_HEAD = 4096


def _opened(file: IO[bytes]) -> tuple[IO[bytes], bool]:
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return io.BufferedReader(_Streams(file)), True
    if magic.startswith((b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf", b"Rar!")):
        raise InputError("this kind of archive is not read; send a zip, tar or tar.gz")
    return file, False


def _list_tar(package: Package, file: IO[bytes], caps: dict[str, Any], noise: Noise) -> None:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    inner, compressed = _opened(file)
    raw: Any = _Counted(inner, size, caps) if compressed else getattr(file, "raw", file)
    raw.seek(0)
    source: Any = _Blocks(raw, caps["header_bytes"])
    try:
        _walk_tar(package, source, size, caps, noise)
        while block := source.read(1 << 16):  # to the end of the stream, where its checksum is
            if block.strip(b"\0"):
                raise InputError("the archive holds data behind its end, perhaps another archive; pack it anew")
    finally:
        source.detach()  # the file is not ours to close


def _check_header(info: tarfile.TarInfo) -> None:
    """Refuse a member whose pax header holds content. Raises InputError."""
    values = "\n".join(info.pax_headers.values())
    if len(values) > zipforms.SLACK:
        raise InputError("the archive holds data in a header that belongs to no member; pack it anew")
    zipforms.check_slack(values.encode("utf-8", "surrogateescape"))


def _walk_tar(package: Package, source: Any, size: int, caps: dict[str, Any], noise: Noise) -> None:
    count = unpacked = 0
    room, to_read = caps["text_bytes"], caps["reports"] * 4
    with tarfile.open(fileobj=source, mode="r:", tarinfo=_Header) as archive:
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # tarfile keeps every header it has met
            count += 1
            if info.isdir() or (info.type == _LABEL and not info.size):
                _refuse(package, name_faults(info.name.removeprefix("./").rstrip("/") or "x", caps))
                continue
            if info.pax_headers:
                _check_header(info)
            unpacked += info.size
            _check_sizes(count, unpacked, size, caps)
            name = info.name.removeprefix("./")
            faults = [] if all_plain([name], caps) else name_faults(name, caps)
            if not info.isreg() or info.issparse():
                faults.append("the archive holds links or devices")
            if info.size > caps["member_bytes"]:
                faults.append("a member is too large")
            if faults and _refuse(package, faults):
                continue
            if noise.named(name) and noise.is_noise(name, info.size, partial(_tar_content, archive, info)):
                package.left_out += 1
                continue
            member = Member(name, info.size, Locator(package.container, info.name))
            package.members.append(member)
            if not (is_small_text(name) or is_small_text(name.partition("/")[2])):
                continue  # nearly every member
            kept = 0 if is_list(name) else caps["reports"] if is_sidecar(name) or name.lower().endswith(".txt") else 1
            if info.size <= caps["report_bytes"] and to_read >= kept:
                if info.size > room:
                    raise InputError("the texts of the archive are too large to be read")
                stream = archive.extractfile(info)
                if stream is not None:
                    source.limit = caps["report_bytes"] + 1
                    member.hold(_read(stream, member, caps))
                    source.limit = caps["header_bytes"]
                    room -= info.size
                    to_read -= kept > 0  # of the rest some reading is kept for what is more likely a report
        # next() has read one block of zeros, the mark of the end; without it the tar was cut between two members
        if source.tell() <= archive.offset:
            raise tarfile.ReadError("cut off")
