"""Complete only when a marker, a list or a bag says so, and when what they say is true."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

import pytest

from pipeline import policy
from pipeline.ingest.landing import completeness, discovery
from pipeline.ingest.landing.package import Package
from pipeline.sample.packages import WRAPPINGS, bagged, wrap
from pipeline.settings import Settings
from tests import factory

POLICY = policy.load(Settings(), "ingest").data
CONTENT = {"referral.json": factory.form(), "media/a.jpg": b"synthetic a", "media/b.jpg": b"synthetic b"}


def inspected(landing: Path) -> Package:
    entries, strange = discovery.entries(landing, POLICY)
    assert strange == 0
    return discovery.inspect(entries[0], POLICY)


def answers(package: Package) -> dict[str, object]:
    found = {
        m.key: factory.digests(CONTENT[m.name.removeprefix("data/")]) for m in package.payload if m.content is None
    }
    if package.kind == "archive":
        found[package.container] = factory.digests((LANDING / package.container).read_bytes())
    return dict(found)


LANDING = Path()


def reasons(landing: Path) -> list[str]:
    global LANDING  # noqa: PLW0603 - where `answers` looks
    LANDING = landing
    package = inspected(landing)
    assert not package.faults
    wanted, waits = completeness.expected(package)
    if waits or package.waits:
        return [*package.waits, *waits]
    return completeness.mismatches(package, wanted, answers(package))  # type: ignore[arg-type]


@pytest.mark.parametrize("how", WRAPPINGS)
def test_every_way_of_arriving_is_complete(tmp_path: Path, how: str) -> None:
    wrap(tmp_path / "other" / "p", how, CONTENT)
    assert reasons(tmp_path) == []


@pytest.mark.parametrize("how", ["folder-ready", "folder-list", "bag"])
def test_without_its_proof_it_waits(tmp_path: Path, how: str) -> None:
    wrap(tmp_path / "other" / "p", how, CONTENT)
    for name in (".ready", "package.sha256", "bagit.txt"):
        (tmp_path / "other" / "p" / name).unlink(missing_ok=True)
    assert reasons(tmp_path) == ["no checksum list and no .ready marker says that it is complete"]


@pytest.mark.parametrize("how", ["folder-list", "bag"])
def test_a_missing_file_waits(tmp_path: Path, how: str) -> None:
    wrap(tmp_path / "other" / "p", how, CONTENT)
    next((tmp_path / "other" / "p").rglob("b.jpg")).unlink()
    assert any("listed files are not there" in reason for reason in reasons(tmp_path))


@pytest.mark.parametrize("how", ["folder-list", "bag"])
def test_a_changed_report_waits(tmp_path: Path, how: str) -> None:
    wrap(tmp_path / "other" / "p", how, CONTENT)
    next((tmp_path / "other" / "p").rglob("referral.json")).write_bytes(b" " * len(CONTENT["referral.json"]))
    assert any("do not have their listed checksum" in reason for reason in reasons(tmp_path))


def test_a_bag_whose_payload_is_not_as_large_as_it_says(tmp_path: Path) -> None:
    made = bagged(CONTENT)
    made.pop("tagmanifest-sha256.txt")
    size = sum(map(len, CONTENT.values()))
    wrap(tmp_path / "other" / "p", "folder-x", {**made, "bag-info.txt": f"Payload-Oxum: {size}.3\n".encode()})
    assert reasons(tmp_path) == []
    (tmp_path / "other" / "p" / "bag-info.txt").write_text(f"Payload-Oxum: {size + 1}.3\n")
    assert reasons(tmp_path) == ["its payload is not as many bytes and files as its bag-info.txt states (Payload-Oxum)"]


def test_a_bag_with_a_tag_file_in_a_folder_of_its_own(tmp_path: Path) -> None:
    wrap(tmp_path / "other" / "p", "bag", CONTENT)
    folder = tmp_path / "other" / "p"
    note = b"synthetic note"
    (folder / "metadata").mkdir()
    (folder / "metadata" / "note.txt").write_bytes(note)
    lines = [f"{hashlib.sha256(note).hexdigest()}  metadata/note.txt"]
    for name in ("bagit.txt", "manifest-sha256.txt"):
        if (folder / name).is_file():
            lines.append(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}")
    (folder / "tagmanifest-sha256.txt").write_text("\n".join(lines) + "\n")
    CONTENT["metadata/note.txt"] = note
    try:
        assert reasons(tmp_path) == []
        assert "metadata/note.txt" in {member.name for member in inspected(tmp_path).payload}
    finally:
        del CONTENT["metadata/note.txt"]


def test_a_bag_whose_names_lie_decomposed_on_disk(tmp_path: Path) -> None:
    wrap(tmp_path / "other" / "p", "bag", CONTENT)
    folder = tmp_path / "other" / "p"
    composed = unicodedata.normalize("NFC", "média/é.jpg")
    manifest = folder / "manifest-sha256.txt"
    manifest.write_text(manifest.read_text() + f"{hashlib.sha256(b'synthetic a').hexdigest()}  data/{composed}\n")
    (folder / "tagmanifest-sha256.txt").unlink(missing_ok=True)
    path = folder / "data" / unicodedata.normalize("NFD", composed)
    path.parent.mkdir()
    path.write_bytes(b"synthetic a")
    info = folder / "bag-info.txt"
    if info.is_file():
        info.write_text("".join(line for line in info.read_text().splitlines(True) if "Oxum" not in line))
    name = unicodedata.normalize("NFD", composed)
    CONTENT[name] = b"synthetic a"
    try:
        assert reasons(tmp_path) == []
        path.write_bytes(b"synthetic b")
        CONTENT[name] = b"synthetic b"
        assert reasons(tmp_path) == ["1 of 4 files do not have their listed checksum"]
    finally:
        del CONTENT[name]


def test_a_bag_that_has_something_to_fetch(tmp_path: Path) -> None:
    made = bagged(CONTENT)
    made.pop("tagmanifest-sha256.txt")
    fetch = b"https://example.invalid/a 3 data/media/a.jpg\nhttps://example.invalid/z - data/z.jpg\n"
    wrap(tmp_path / "other" / "p", "folder-x", {**made, "fetch.txt": fetch})
    assert reasons(tmp_path) == ["its fetch.txt names 1 files that are in no manifest"]
    (tmp_path / "other" / "p" / "fetch.txt").write_bytes(b"nonsense\n")
    assert reasons(tmp_path) == ["its BagIt files cannot be read"]


def test_names_in_a_bag_end_where_the_line_ends(tmp_path: Path) -> None:
    """U+2028 and U+2029 are no ends of a line in RFC 8493."""
    content = {**CONTENT, "one\u2028two\u2029.txt": b"[synthetic message 1]\n"}
    wrap(tmp_path / "other" / "p", "bag", content)
    package = inspected(tmp_path)
    wanted, waits = completeness.expected(package)
    assert waits == [] and "data/one\u2028two\u2029.txt" in wanted


def test_a_changed_archive_waits(tmp_path: Path) -> None:
    wrap(tmp_path / "other" / "p", "zip-list", CONTENT)
    path = tmp_path / "other" / "p.zip"
    path.write_bytes(path.read_bytes() + b"\0")
    assert reasons(tmp_path) == ["1 of 1 files do not have their listed checksum"]


def test_a_file_that_a_bag_does_not_list(tmp_path: Path) -> None:
    wrap(tmp_path / "other" / "p", "bag", CONTENT)
    (tmp_path / "other" / "p" / "data" / "extra.jpg").write_bytes(b"x")
    assert reasons(tmp_path) == ["1 files of its payload are not in its BagIt manifest"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bagit.txt", b"BagIt-Version: 1.0\nBagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"),
        ("bagit.txt", b"BagIt-Version: 9.0\nTag-File-Character-Encoding: UTF-8\n"),
        ("bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: no-such\n"),
        ("bagit.txt", b"\xff\xfe"),
        ("manifest-sha256.txt", b"00  data/../../etc/passwd\n"),
        ("manifest-sha256.txt", b"00  ~/data\n"),
        ("manifest-sha256.txt", b"\xff\xff"),
        ("manifest-sha256.txt", b""),
    ],
)
def test_hostile_bag_files_wait_with_a_reason(tmp_path: Path, name: str, content: bytes) -> None:
    made = bagged(CONTENT)
    made.pop("tagmanifest-sha256.txt")
    wrap(tmp_path / "other" / "p", "folder-x", {**made, name: content})
    assert reasons(tmp_path)
    assert not completeness._tag_files  # nothing of a bag stays behind


def test_a_list_beside_a_folder_and_one_beside_a_single_report(tmp_path: Path) -> None:
    wrap(tmp_path / "other" / "p", "folder-x", CONTENT)
    lines = "".join(f"{factory.digests(data).sha256.hex()} *p/{name}\n" for name, data in CONTENT.items())
    (tmp_path / "other" / "p.sha256").write_text(lines)
    assert reasons(tmp_path) == []
    alone = tmp_path / "second"
    (alone / "other").mkdir(parents=True)
    (alone / "other" / "r.json").write_bytes(CONTENT["referral.json"])
    (alone / "other" / "r.json.sha256").write_text(factory.digests(CONTENT["referral.json"]).sha256.hex() + "\n")
    assert reasons(alone) == []
    (alone / "other" / "r.json").write_bytes(b"{}")
    assert reasons(alone) == ["1 of 1 files do not have their listed checksum"]


@pytest.mark.parametrize("content", [b"", b"no list\n", b"\xff\n", b"12  a\n"])
def test_a_list_that_is_none(tmp_path: Path, content: bytes) -> None:
    wrap(tmp_path / "other" / "p", "folder-x", {**CONTENT, "package.sha256": content})
    assert reasons(tmp_path)


@pytest.mark.parametrize(
    "form",
    ["SHA256 ({name}) = {digest}", "SHA256({name})= {digest}", "{digest}  {name}", "{digest} *{name}"],
)
def test_a_list_as_other_programs_write_it_that_lists_itself_too(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "other" / "p"
    (folder / "media").mkdir(parents=True)
    content = {**CONTENT, "media/one\u2028line.jpg": b"synthetic c"}
    for name, data in content.items():
        (folder / name).write_bytes(data)
    lines = [form.format(name=name, digest=hashlib.sha256(data).hexdigest()) for name, data in content.items()]
    lines.append(form.format(name="SHA256SUMS", digest=hashlib.sha256(b"").hexdigest()))
    (folder / "SHA256SUMS").write_bytes("\r\n".join(lines).encode())
    wanted, waits = completeness.expected(inspected(tmp_path))
    assert waits == []
    assert wanted.keys() == content.keys()


@pytest.mark.parametrize("escaped", [True, False])
def test_a_percent_sign_in_a_name_of_a_bag(tmp_path: Path, escaped: bool) -> None:
    """RFC 8493 has it written as %25; many tools do not, and a name may hold %25 itself."""
    folder = tmp_path / "other" / "p"
    content = {"referral.json": factory.form(), "100%.jpg": b"synthetic a", "50%25.jpg": b"synthetic b"}
    for name, data in bagged(content).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    listed = folder / "manifest-sha256.txt"
    plain = listed.read_text()
    assert "data/100%.jpg" in plain
    if escaped:
        listed.write_text(plain.replace("%", "%25"))
    wanted, waits = completeness.expected(inspected(tmp_path))
    assert waits == []
    assert {"data/100%.jpg", "data/50%25.jpg"} <= wanted.keys()
