"""Archives: what is hostile or damaged is refused with every reason, nothing is written, the good is listed."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline import policy
from pipeline.ingest.landing import archives
from pipeline.ingest.landing.archives import list_archive
from pipeline.ingest.landing.package import Package
from pipeline.settings import Settings

POLICY = policy.load(Settings(), "ingest").data
CAPS = POLICY["caps"]


def listed(path: Path, **caps: int) -> Package:
    package = Package("nca", f"nca/{path.name}", "archive")
    with path.open("rb") as file:
        list_archive(package, file, {**POLICY, "caps": {**CAPS, **caps}})
    return package


def zipped(path: Path, names: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in names.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


def tarred(path: Path, infos: list[tarfile.TarInfo], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info in infos:
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return path


def entry(name: str, size: int = 1, **columns: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for key, value in columns.items():
        setattr(info, key, value)
    return info


TRAVERSAL = [
    "/etc/evil",
    "//etc/evil",
    "../evil",
    "a/../../evil",
    "..\\evil",
    "C:/evil",
    "a/\x01b",
    "a//b",
    "a/./b",
    "x" * 300,
    "/".join("abcdefghijklmnopqrst"),
]


@pytest.mark.parametrize("name", TRAVERSAL)
def test_names_that_lead_out_are_refused_in_zip_and_tar(tmp_path: Path, name: str) -> None:
    before = sorted(tmp_path.parent.iterdir())
    for path in (
        zipped(tmp_path / "a.zip", {"report.json": b"{}", name: b"x"}),
        tarred(tmp_path / "a.tar", [entry("report.json"), entry(name)]),
    ):
        package = listed(path)
        assert package.faults, path.name
        assert not package.waits
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar", "a.zip"]
    assert sorted(tmp_path.parent.iterdir()) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    path = tarred(tmp_path / "a.tar", [entry("report.json"), entry("link", 0, type=kind, linkname="/etc/passwd")])
    assert listed(path).faults == ["the archive holds links or devices"]


def test_a_directory_link_and_what_would_go_through_it(tmp_path: Path) -> None:
    infos = [entry("d", 0, type=tarfile.SYMTYPE, linkname="/tmp"), entry("d/evil")]
    assert listed(tarred(tmp_path / "a.tar", infos)).faults


def test_a_link_in_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert listed(path).faults == ["the archive holds links or devices"]


def test_every_reason_at_once(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"../a": b"", "/b": b"", "c\\d": b""})
    assert len(listed(path).faults) == 3


@pytest.mark.parametrize("names", [("a", "A"), ("\u00e9", "e\u0301")])
def test_names_that_a_file_system_confuses(tmp_path: Path, names: tuple[str, str]) -> None:
    path = zipped(tmp_path / "a.zip", dict.fromkeys(names, b""))
    assert any("same name" in fault for fault in listed(path).faults)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_name_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("a", "2")
    assert any("same name" in fault for fault in listed(path).faults)


def test_bombs(tmp_path: Path) -> None:
    zeros = zipped(tmp_path / "zeros.zip", {"a": b"\0" * 3_000_000})
    assert listed(zeros, ratio_above=1_000_000).faults == ["the archive grows too much when it is unpacked"]
    assert listed(zeros, unpacked_bytes=1000).faults == ["the archive is too large when it is unpacked"]
    many = zipped(tmp_path / "many.zip", {str(n): b"" for n in range(50)})
    assert listed(many, members=20).faults == ["the archive has too many members"]
    squeezed = tarred(tmp_path / "a.tar.gz", [entry("a", 5_000_000)], "w:gz")
    assert listed(squeezed, ratio_above=1_000_000).faults == ["the archive grows too much when it is unpacked"]
    hidden = tmp_path / "header.tar.gz"  # a header that wants to be read whole into memory
    info = entry("a", 0)
    info.pax_headers = {"comment": "x" * 3_000_000}
    tarred(hidden, [info], "w:gz")
    assert listed(hidden, manifest_bytes=100_000).faults == ["a header of the archive is absurdly large"]


def test_members_that_overlap(tmp_path: Path) -> None:
    """The quoted-overlap bomb: many entries of the directory share one compressed body."""
    path = zipped(tmp_path / "a.zip", {f"{n}": os.urandom(5000) for n in range(4)})
    data = bytearray(path.read_bytes())
    place = data.find(b"PK\x01\x02")
    while place >= 0:  # every entry claims the size of all
        data[place + 20 : place + 24] = (20_000).to_bytes(4, "little")
        place = data.find(b"PK\x01\x02", place + 4)
    path.write_bytes(data)
    assert listed(path).faults == ["members of the archive overlap"]


def test_encrypted_and_exotic_compression(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": b"x"})
    data = bytearray(path.read_bytes())
    data[data.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert listed(path).faults == ["the archive is encrypted"]
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", "x")
    assert "compressed in a way" in listed(tmp_path / "b.zip").faults[0]
    (tmp_path / "c.tar").write_bytes(b"BZh91AY")
    assert "send a zip" in listed(tmp_path / "c.tar").faults[0]


def test_a_common_top_folder_is_taken_off(tmp_path: Path) -> None:
    for path in (
        zipped(tmp_path / "a.zip", {"top/report.json": b"{}", "top/media/a.jpg": b"x"}),
        tarred(tmp_path / "a.tar", [entry("./top/report.json"), entry("./top/media/a.jpg")]),
    ):
        package = listed(path)
        assert sorted(package.by_name) == ["media/a.jpg", "report.json"]
        assert package.by_name["report.json"].content is not None
        assert package.by_name["media/a.jpg"].content is None
        assert str(package.by_name["media/a.jpg"].locator.member).endswith("top/media/a.jpg")


def test_published_zip_slip_archives(corpora: Path) -> None:
    paths = sorted((corpora / "hostile" / "zip_slip").glob("*.zip")) + sorted(
        (corpora / "hostile" / "zip_slip").glob("*.tar")
    )
    assert len(paths) == 4
    for path in paths:
        assert listed(path).faults, path.name


MAKERS: list[Callable[[Path], Path]] = [
    lambda p: zipped(p / "a.zip", {"report.json": b'{"form": 1}', "m/a.jpg": b"y" * 300}),
    lambda p: tarred(p / "a.tar", [entry("report.json", 9), entry("m/a.jpg", 700)]),
    lambda p: tarred(p / "a.tar.gz", [entry("report.json", 9), entry("m/a.jpg", 700)], "w:gz"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, bytes]]:
    folder = tmp_path_factory.mktemp("whole")
    return [(path, path.read_bytes()) for make in MAKERS for path in [make(folder)]]


@hypothesis_settings(max_examples=400, deadline=None)
@given(
    which=st.integers(0, 2),
    cut=st.integers(0, 2000),
    flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 7)), max_size=4),
)
def test_damage_never_raises(
    whole: list[tuple[Path, bytes]], which: int, cut: int, flips: list[tuple[int, int]]
) -> None:
    path, data = whole[which]
    damaged = bytearray(data[: max(0, len(data) - cut)])
    for place, bit in flips:
        if damaged:
            damaged[place % len(damaged)] ^= 1 << bit
    path.write_bytes(damaged)
    package = listed(path)
    for member in package.members:
        assert ".." not in member.name.split("/")
    path.write_bytes(data)


def test_a_cut_archive_waits(tmp_path: Path) -> None:
    for path in (make(tmp_path) for make in MAKERS):
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 4])
        assert listed(path).waits, path.name


def test_a_gzip_without_end_is_no_endless_loop(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(b"\0" * 100_000)[:-8])
    assert listed(path).waits
    tarred(path, [entry("a", 100_000)], "w:gz")
    path.write_bytes(path.read_bytes()[:-4])
    assert listed(path).waits


@given(
    name=st.text(st.sampled_from("abé/. "), min_size=1, max_size=130),
    size=st.integers(0, 2**33),
    kind=st.sampled_from([tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.CONTTYPE]),
    form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT]),
    flip=st.none() | st.tuples(st.integers(0, 511), st.integers(1, 255)),
)
def test_a_tar_header_is_read_as_tarfile_reads_it(
    name: str, size: int, kind: bytes, form: int, flip: tuple[int, int] | None
) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.type = size if kind == tarfile.REGTYPE else 0, kind
    try:
        header = bytearray(info.tobuf(form, "utf-8", "surrogateescape")[-512:])
    except ValueError:
        return  # this form has no room for the name or the size
    if flip:
        header[flip[0]] ^= flip[1]

    def read(reader: type[tarfile.TarInfo]) -> object:
        try:
            found = reader.frombuf(bytes(header), "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            return type(error)
        return found.name, found.size, found.type, found.isreg(), found.isdir()

    assert read(archives._Header) == read(tarfile.TarInfo)


def test_what_other_tars_hold_beside_files(tmp_path: Path) -> None:
    """A volume's label has no content, and macOS writes an AppleDouble file beside each file; one that holds a picture is no
    such file."""
    double = bytes.fromhex("0005160700020000") + b"Mac OS X        "
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(entry("LABEL", 0, type=b"V"))
        for name, data in {"report.json": b"{}", "._a.jpg": double, "._b.jpg": double + b"\xff\xd8\xff\xe0"}.items():
            archive.addfile(entry(name, len(data)), io.BytesIO(data))
    package = listed(path)
    assert (package.faults, package.waits, package.left_out) == ([], [], 1)
    assert [m.name for m in package.members] == ["report.json", "._b.jpg"]


def test_a_picture_in_a_header_of_a_tar(tmp_path: Path) -> None:
    for size, faults in (
        (200, []),
        (20_000, ["the archive holds data in a header that belongs to no member; pack it anew"]),
    ):
        info = entry("a.txt", 1, pax_headers={"comment": "x" * size})
        assert listed(tarred(tmp_path / "a.tar", [entry("report.json"), info])).faults == faults

    held = "\xff\xd8\xff".encode("latin-1").decode("utf-8", "surrogateescape") + "x" * 200
    info = entry("a.txt", 1, pax_headers={"comment": held})
    wanted = ["the archive holds a picture or film in bytes that belong to no member; pack it anew"]
    assert listed(tarred(tmp_path / "a.tar", [entry("report.json"), info])).faults == wanted


def test_content_in_the_header_of_a_gzip(tmp_path: Path) -> None:
    """RFC 1952 has an extra field, a name and a comment there, which no program shows."""
    packed = gzip.compress(tarred(tmp_path / "a.tar", [entry("report.json")]).read_bytes(), mtime=0)
    picture, path = b"\xff\xd8\xff\xe0" + b"\1" * 800, tmp_path / "a.tar.gz"
    large = ["the archive holds data in its gzip header; pack it anew"]
    small = ["the archive holds a picture or film in bytes that belong to no member; pack it anew"]
    for flags, header, faults in (
        (4, (len(picture)).to_bytes(2, "little") + picture, small),
        (4, (40_000).to_bytes(2, "little") + bytes(40_000), large),
        (8, picture + b"\0", small),
        (16, b"x" * 5000 + b"\0", large),
        (4 | 8, b"\x06\0BC\x02\0ab" + b"report.tar\0", []),
    ):
        path.write_bytes(packed[:3] + bytes([flags]) + packed[4:10] + header + packed[10:])
        assert listed(path).faults == faults, (flags, faults)
    plain = (tmp_path / "a.tar").read_bytes()
    two = [gzip.compress(part, mtime=0) for part in (plain[:700], plain[700:])]
    path.write_bytes(b"".join(two))
    assert [m.name for m in listed(path).members] == ["report.json"]
    path.write_bytes(two[0] + two[1][:3] + b"\4" + two[1][4:10] + b"\x20\3" + picture[:800] + two[1][10:])
    assert listed(path).faults == small


@pytest.mark.parametrize(
    "sidecar", ["IMG_{n}.jpg.json", "IMG_{n}.HEIC.supplemental-metadata.json", "IMG_{n}.mp4(1).json"]
)
def test_what_programs_write_beside_each_picture_keeps_nobody_from_the_report(tmp_path: Path, sidecar: str) -> None:
    """Only so many texts are read here; those that say whether the package is complete, and the report, are among them."""
    names = [*(f"data/{sidecar.format(n=n)}" for n in range(60)), "data/z.json", "bagit.txt", "manifest-sha256.txt"]
    packed = [
        listed(zipped(tmp_path / "a.zip", dict.fromkeys(names, b"{}"))),
        listed(tarred(tmp_path / "a.tar", [entry(name) for name in names])),
    ]
    for package in packed:
        read = {m.name for m in package.members if m.content is not None}
        assert set(names[-3:]) <= read
        assert len(read) <= 32 + 2
