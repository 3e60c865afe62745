"""Reports and archives that are made to stop whoever reads them: small or plain, harmless, and all of our own making."""

from __future__ import annotations

import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

MIB = 1 << 20


def key_twice(folder: Path, name: str) -> None:
    """A report with one key given twice among 20,000."""
    keys = "".join(f',"k{n}":1' for n in range(20_000))
    text = f'{{"form":"referral/1","reference":"{name}","reference":"{name} again"{keys}}}'
    (folder / f"{name}.json").write_text(text)


def zip_of_spaces(folder: Path, name: str) -> None:
    """Two members of 31 MiB of spaces in 64 KiB."""
    with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for member in ("00.json", "01.json"):
            archive.writestr(member, b" " * (31 * MIB))


def csv_of_newlines(folder: Path, name: str) -> None:
    """32 MiB of newlines."""
    (folder / f"{name}.csv").write_bytes(b"\n" * (32 * MIB - 1))


def json_of_lists(folder: Path, name: str) -> None:
    """Ten million empty lists."""
    (folder / f"{name}.json").write_bytes(b"[" + b"[]," * (10 * MIB) + b"[]]")


def json_of_files(folder: Path, name: str, count: int = 4 * 10**6) -> None:
    """So many files without anything: four million unless told otherwise."""
    (folder / f"{name}.json").write_bytes(b'{"form":"referral/1","files":[' + b"{}," * count + b"{}]}")


def xml_of_elements(folder: Path, name: str) -> None:
    """Seven million empty elements."""
    (folder / f"{name}.xml").write_bytes(b"<report>" + b"<a/>" * (7 * 10**6) + b"</report>")


def tar_with_a_large_header(folder: Path, name: str) -> None:
    """A pax header that states 3 GiB."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 3 << 30
    with (folder / f"{name}.tar").open("wb") as file:
        file.write(info.tobuf(tarfile.USTAR_FORMAT))
        file.truncate(8 * MIB)  # a hole


def zip_with_a_false_count(folder: Path, name: str) -> None:
    """1.2 million entries, of which the end record states one."""
    entry = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    count = 1_200_000
    with (folder / f"{name}.zip").open("wb") as file:
        file.write(b"PK\x03\x04".ljust(30, b"\0") + b"a" + entry * count)
        file.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(entry) * count, 31, 0))


def empty_zip(folder: Path, name: str) -> None:
    """An archive with nothing in it."""
    zipfile.ZipFile(folder / f"{name}.zip", "w").close()


def many_reports(folder: Path, name: str) -> None:
    """Four reports nested four million levels deep."""
    with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_STORED) as archive:
        for n in range(4):
            archive.writestr(f"{n}.json", b"[1," * (4 * MIB) + b"1" + b"]" * (4 * MIB))


BOMBS: dict[Callable[[Path, str], None], str] = {
    key_twice: "",
    zip_of_spaces: "grows too much",
    csv_of_newlines: "first line of the CSV",
    json_of_lists: "more than 4000000 values",
    json_of_files: "more than 4000000 values",
    xml_of_elements: "more than 4000000 values",
    tar_with_a_large_header: "absurdly large",
    zip_with_a_false_count: "longer than the number of members",
    empty_zip: "holds no files",
    many_reports: "",
}
"""Each bomb with words of the reason for which it is returned; empty for what is taken in, or differs."""


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content with a few bytes turned, a piece cut out, doubled or moved, or cut off."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        if len(data) < 2:
            break
        at, other = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
        other = min(other, at + rng.choice((1, 4, 64, 4096)))
        how = rng.randrange(6)
        if how == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[at:other] = rng.randbytes(other - at)
        elif how == 2:
            del data[at:other]
        elif how == 3:
            data[at:at] = data[at:other]
        elif how == 4:
            data[at:other] = bytes(other - at)
        else:
            del data[rng.randrange(len(data)) :]
    return bytes(data)
