"""Finding packages, and not looking twice at what was not touched."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import policy
from pipeline.ingest.landing import discovery
from pipeline.ingest.landing.noise import Noise
from pipeline.ingest.landing.package import Member, all_plain, collision_faults, is_transport, last_change, name_faults
from pipeline.locator import Locator
from pipeline.settings import Settings

POLICY = policy.load(Settings(), "ingest").data


def put(landing: Path, name: str, data: bytes = b"x") -> Path:
    path = landing / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def found(landing: Path) -> dict[str, str]:
    return {entry.container: entry.kind for entry in discovery.entries(landing, POLICY)[0]}


def test_kinds(tmp_path: Path) -> None:
    put(tmp_path, "nca/folder/report.json")
    for name in ("nca/b.zip", "ucol/c.tar.gz", "other/d.csv", "other/e.txt", "hashsets/x/y.json"):
        put(tmp_path, name)
    put(tmp_path, "nca/.DS_Store", b"\0\0\0\1Bud1 synthetic")
    put(tmp_path, "nca/Thumbs.db", b"\x89PNG a picture under another name")
    put(tmp_path, "nca/b.zip.ready")
    put(tmp_path, "nca/gone.zip.sha256")
    (tmp_path / "nca" / "link").symlink_to("/etc")
    put(tmp_path, "elsewhere/x.zip")
    put(tmp_path, "stray.txt")
    entries, strange = discovery.entries(tmp_path, POLICY)
    assert {e.container: e.kind for e in entries} == {
        "nca/folder": "folder",
        "nca/b.zip": "archive",
        "nca/link": "link",
        "nca/Thumbs.db": "other",
        "ucol/c.tar.gz": "archive",
        "other/d.csv": "report",
        "other/e.txt": "other",
    }
    assert {e.container: set(e.beside) for e in entries if e.beside} == {"nca/b.zip": {".ready"}}
    assert strange == 2
    assert [e.container for e in entries] == sorted(found(tmp_path), key=lambda c: (c.split("/")[0], c))


def test_no_landing_folder_is_no_package(tmp_path: Path) -> None:
    assert discovery.entries(tmp_path / "none", POLICY) == ([], 0)


def test_the_stat_key_sees_every_change(tmp_path: Path) -> None:
    put(tmp_path, "nca/p/report.json")
    deep = put(tmp_path, "nca/p/media/deep/a.jpg", b"aaaa")
    entry = discovery.entries(tmp_path, POLICY)[0][0]
    seen = {discovery.stat_key(entry, 1000)}
    assert {discovery.stat_key(entry, 1000)} == seen
    stat = deep.stat()
    deep.write_bytes(b"bbbb")
    os.utime(deep, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    seen.add(discovery.stat_key(entry, 1000))
    put(tmp_path, "nca/p/media/deep/b.jpg")
    seen.add(discovery.stat_key(entry, 1000))
    deep.rename(deep.with_name("c.jpg"))
    seen.add(discovery.stat_key(entry, 1000))
    assert len(seen) == 4


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path, "nca/p/report.json")
    (tmp_path / "nca/p/passwd.json").symlink_to("/etc/passwd")
    (tmp_path / "nca/p/etc").symlink_to("/etc")
    package = discovery.inspect(discovery.entries(tmp_path, POLICY)[0][0], POLICY)
    assert package.faults == ["the package holds links or devices"]
    assert [m.name for m in package.members] == ["report.json"]


def test_a_folder_that_looks_like_an_archive_member(tmp_path: Path) -> None:
    put(tmp_path, "nca/p/evil!/a.jpg")
    put(tmp_path, "nca/q!/a.jpg")
    for entry in discovery.entries(tmp_path, POLICY)[0]:
        assert discovery.inspect(entry, POLICY).faults, entry.container


def test_too_deep_and_too_many(tmp_path: Path) -> None:
    put(tmp_path, "nca/deep/" + "d/" * 30 + "a.jpg")
    put(tmp_path, "nca/many/report.json")
    for number in range(30):
        put(tmp_path, f"nca/many/{number}.jpg")
    few = {**POLICY, "caps": {**POLICY["caps"], "members": 20}}
    faults = {e.name: discovery.inspect(e, few).faults for e in discovery.entries(tmp_path, few)[0]}
    assert any("too many folders deep" in fault for fault in faults["deep"])
    assert faults["many"] == ["the package has too many files"]


@pytest.mark.parametrize("name", ["report.json", "media/a b (1).jpg", "média/é.jpg", ".hidden", "a/.b/c"])
def test_ordinary_names(name: str) -> None:
    assert name_faults(name, POLICY["caps"]) == []


@pytest.mark.parametrize("name", ["", "..", "a/..", "/a", "a\\b", "C:/a", "c:", "a\nb", "a//b", "a/.", "\udc80"])
def test_names_that_are_refused(name: str) -> None:
    assert name_faults(name, POLICY["caps"])


@given(
    st.lists(st.text(st.sampled_from("ab.-/\\\n\0 é:_"), max_size=9), max_size=4), st.integers(1, 5), st.integers(1, 9)
)
def test_names_judged_at_once_are_judged_as_one_by_one(names: list[str], depth: int, length: int) -> None:
    caps = {**POLICY["caps"], "depth": depth, "part_bytes": length, "name_bytes": 2 * length}
    if all_plain(names, caps):
        assert names
        assert all(name_faults(name, caps) == [] for name in names)
    assert all_plain(names, caps) == (names != [] and all(all_plain([name], caps) for name in names))


@pytest.mark.parametrize("how", ["grown", "same size", "replaced", "added", "removed", "renamed", "deeper", "gone"])
def test_every_change_after_listing_is_seen(tmp_path: Path, how: str) -> None:
    put(tmp_path, "nca/p/report.json", b"{}")
    deep = put(tmp_path, "nca/p/media/deep/a.jpg", b"aaaa")
    for path in (*deep.parents[:3], deep):
        os.utime(path, ns=(0, 0))  # long ago, as a package that was copied is
    package = discovery.inspect(discovery.entries(tmp_path, POLICY)[0][0], POLICY)
    assert not discovery.is_touched(package)
    if how == "grown":
        deep.write_bytes(b"aaaaa")
    elif how == "same size":
        deep.write_bytes(b"bbbb")
    elif how == "replaced":
        other = put(tmp_path, "nca/p/media/deep/b.jpg", b"bbbb")
        other.rename(deep)
        for path in (deep.parent, deep):
            os.utime(path, ns=(0, 0))
    elif how == "added":
        put(tmp_path, "nca/p/media/b.jpg")
    elif how == "removed":
        deep.unlink()
    elif how == "renamed":
        deep.rename(deep.with_name("c.jpg"))
    elif how == "deeper":
        put(tmp_path, "nca/p/media/deep/er/b.jpg")
    else:
        (tmp_path / "nca/p").rename(tmp_path / "nca/q")
    assert discovery.is_touched(package)


@pytest.mark.parametrize("stated", [0, 4_000_000_000])
def test_the_age_of_a_package_is_not_what_its_sender_says(tmp_path: Path, stated: int) -> None:
    """Times of modification of 1970 and of 2096: the time of change is the system's."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    put(tmp_path, "nca/p/report.json", b"{}")
    for path in (tmp_path / "nca/p", tmp_path / "nca/p/report.json"):
        os.utime(path, (stated, stated))
    package = discovery.inspect(discovery.entries(tmp_path, POLICY)[0][0], POLICY)
    assert before.timestamp() <= package.changed / 1e9 <= datetime.now(UTC).timestamp()
    assert 25 <= package.hours(before + timedelta(hours=26)) <= 26
    assert package.hours(before - timedelta(days=1)) == 0


def test_a_package_of_which_nothing_can_be_looked_at_has_no_age(tmp_path: Path) -> None:
    put(tmp_path, "nca/p.json", b"{}")
    [entry], _ = discovery.entries(tmp_path, POLICY)
    (tmp_path / "nca/p.json").unlink()
    package = discovery.inspect(entry, POLICY)
    assert (package.changed, package.hours(datetime.now(UTC))) == (0, 0.0)


def test_the_last_change_is_that_of_the_system(tmp_path: Path) -> None:
    path = put(tmp_path, "nca/p.json", b"{}")
    os.utime(path, (7, 7))
    status = path.stat()
    assert (status.st_mtime_ns, last_change(status)) == (7 * 10**9, status.st_ctime_ns)


def member(name: str, size: int = 0, content: bytes | None = b"") -> Member:
    return Member(name, size, Locator(f"nca/p/{name}"), content)


def test_transport_and_collisions() -> None:
    assert is_transport(member(".ready"), False)
    assert is_transport(member("package.sha256"), False)
    assert not is_transport(member("report.json"), False)
    assert not is_transport(member("data/report.json"), True)
    assert is_transport(member("bag-info.txt"), True)
    assert not is_transport(member("meta/extra.xml"), True), "what a bag's format does not name is content"
    assert not is_transport(member("evil.ready", 100_000, None), False), "a marker is small"
    assert not is_transport(member("evil.sha256", 10**9, None), False), "a list is read"
    assert collision_faults(["a", "b"]) == []
    assert collision_faults(["Straße", "STRASSE"])


def test_a_folder_that_cannot_be_listed_makes_its_package_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "nca/p/report.json")
    put(tmp_path, "nca/p/media/a.jpg")
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("media"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    entry = discovery.entries(tmp_path, POLICY)[0][0]
    monkeypatch.setattr(discovery.os, "scandir", refusing)
    assert discovery.inspect(entry, POLICY).waits == ["it cannot be read (Permission denied)"]


def test_what_goes_or_is_closed_while_landing_is_listed_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A marker is taken away between the listing and the look at it; a desktop's folder may not be looked into."""
    put(tmp_path, "nca/a.json")
    put(tmp_path, "nca/b.json.sha256", b"list")
    put(tmp_path, "nca/__MACOSX/._a.json")
    scandir, head = os.scandir, discovery._head

    def refusing(path: str) -> object:
        if str(path).endswith("__MACOSX"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    def going(path: str, size: int) -> bytes:
        Path(path).unlink()
        raise FileNotFoundError(path)

    monkeypatch.setattr(discovery.os, "scandir", refusing)
    monkeypatch.setattr(discovery, "_head", going)
    assert found(tmp_path) == {"nca/a.json": "report", "nca/__MACOSX": "folder"}
    monkeypatch.setattr(discovery, "_head", head)
    [closed] = [entry for entry in discovery.entries(tmp_path, POLICY)[0] if entry.kind == "folder"]
    assert discovery.inspect(closed, POLICY).waits == ["it cannot be read (Permission denied)"]


@given(st.lists(st.lists(st.sampled_from(["a", "/", ".", "_", "__MACOSX", "Thumbs.db", "\n", "x._"])).map("".join)))
def test_names_of_which_none_can_be_of_a_desktop_have_none_that_is(names: list[str]) -> None:
    noise = Noise(POLICY)
    assert noise.any_named(names) or not any(map(noise.named, names))
    assert not noise.any_named(["report.json", "media/a_1.jpg"])
