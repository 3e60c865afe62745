"""Hostile files through the front door: the right verdict each, nothing written outside, nothing else disturbed."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from pipeline.ingest.reports.report import UNKNOWN_FORM
from pipeline.settings import Settings
from tests import factory
from tests.factory import form, ingest, land, picture, table

Seen = tuple[int, int, bytes]
"""Mode, time of the last change in ns and content (of a link, where it leads)."""


def watched(path: Path) -> Seen | None:
    """What can be seen of one path without following it; None when nothing is there."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
    return status.st_mode, status.st_mtime_ns, content


def snapshot(folder: Path, leave_out: Path | None = None) -> dict[str, Seen | None]:
    """Everything below `folder` but `leave_out` and what lies below it."""
    paths = [p for p in sorted(folder.rglob("*")) if leave_out not in (p, *p.parents)]
    return {str(p.relative_to(folder)): watched(p) for p in paths}


EVIL = ("evil.txt", "tmp/evil.txt", "Temp/evil.txt", "good.txt")
"""Names that the corpus' archives and ours would write."""


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of decoys with the home four levels below it, so that `..` from anywhere in the home ends in it. It holds
    the working folder too. Every level has a file of each name in EVIL that must stay as it is."""
    top = tmp_path / "around"
    for level in ("", "1", "1/2", "1/2/3", "1/2/3/4", "working"):
        for name in EVIL:
            decoy = top / level / name
            decoy.parent.mkdir(parents=True, exist_ok=True)
            decoy.write_text("decoy")
    monkeypatch.chdir(top / "working")
    return top


def leading_out(around: Path) -> dict[str, bytes]:
    """Archives of our own, zip and tar, whose members lead out by 1 to 8 steps, absolutely, or through a link."""
    names = ["../" * steps + name for steps in range(1, 9) for name in (*EVIL, "new.txt")]
    names += [f"{around}/{name}" for name in (*EVIL, "new.txt")]
    made = {}
    for number, name in enumerate(names):
        packed, taped = io.BytesIO(), io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("referral.json", form(reference="bad"))
            archive.writestr(name, "evil")
        with tarfile.open(fileobj=taped, mode="w") as tape:
            for member, data in (("referral.json", form(reference="bad")), (name, b"evil")):
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tape.addfile(info, io.BytesIO(data))
        made[f"out-{number}.zip"], made[f"out-{number}.tar"] = packed.getvalue(), taped.getvalue()
    taped = io.BytesIO()
    with tarfile.open(fileobj=taped, mode="w") as tape:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(around)
        tape.addfile(link)
        through = tarfile.TarInfo("link/new.txt")
        through.size = 4
        tape.addfile(through, io.BytesIO(b"evil"))
    return {**made, "out-link.tar": taped.getvalue()}


def test_every_json_trap_and_every_zip_slip_archive(corpora: Path, around: Path) -> None:
    """As a report of its own, as the report of a folder, and as an archive, each marked ready."""
    settings = Settings(home=around / "1" / "2" / "3" / "4" / "home", threads=2)
    traps = sorted((corpora / "hostile" / "json_parsing").glob("*.json"))
    slips = [p for p in sorted((corpora / "hostile" / "zip_slip").iterdir()) if p.suffix in {".zip", ".tar", ".md"}]
    assert len(traps) > 300
    assert len(slips) == 5
    own = leading_out(around)
    other = settings.landing_dir / "other"
    other.mkdir(parents=True)
    for name, content in [*((p.name, p.read_bytes()) for p in (*traps, *slips)), *own.items()]:
        (other / name).write_bytes(content)
        (other / f"{name}.ready").touch()
    for path in traps[::10]:
        land(settings, {"referral.json": path.read_bytes(), "a.jpg": b"synthetic"}, f"folder-{path.stem}")
    land(settings, {"referral.json": form(files=[{"name": "a.jpg"}]), "a.jpg": picture(1)}, "good", how="zip-list")
    absolute = [Path("/", name) for name in EVIL]
    outside, landed = snapshot(around, settings.home), snapshot(settings.landing_dir)
    before = [watched(path) for path in absolute]
    report = ingest(settings)
    assert snapshot(around, settings.home) == outside
    assert [watched(path) for path in absolute] == before
    assert snapshot(settings.landing_dir) == landed
    written = {p.relative_to(settings.home).parts[0] for p in settings.home.rglob("*") if p.is_file()}
    assert written == {"landing", "lake", "quarantine", "ingest", "cache"}
    assert not [p for p in settings.home.rglob("*evil*") if settings.landing_dir not in p.parents]
    rows = {row["container"]: row for row in table(settings, "packages")}
    assert rows["other/good.zip"]["state"] == "accepted"
    assert [m["state"] for m in table(settings, "media_files")] == ["present"]
    assert {r["state"] for name, r in rows.items() if name != "other/good.zip"} == {"quarantined"}
    assert all(r["reasons"] for r in rows.values() if r["state"] == "quarantined")
    landed_packages = len(traps) + len(slips) + len(own) + len(traps[::10]) + 1
    assert len(rows) + report.rejected.get("waiting", 0) == landed_packages
    assert report.balanced
    for name, row in rows.items():  # what is no JSON says so; what is JSON says that it is no form of ours
        if name.startswith("other/n_"):
            assert "not valid JSON" in row["reasons"][0] or "nested" in row["reasons"][0], name
        if name.startswith("other/y_"):
            assert row["reasons"] == [UNKNOWN_FORM], name
        if name.startswith("other/out-"):
            assert any(w in " ".join(row["reasons"]) for w in ("leads out", "absolute path", "links")), name


@pytest.mark.parametrize("how", ["folder-ready", "zip-ready", "tar-ready", "targz-list", "bag"])
def test_a_hostile_neighbour_disturbs_nobody(settings: Settings, how: str) -> None:
    good = {"referral.json": form(reference="good", files=[{"name": "a.jpg"}]), "a.jpg": picture(1)}
    land(settings, good, "b-good", how=how)
    land(settings, {"../evil": b"x", "referral.json": form(reference="bad")}, "a-bad", how="zip-ready")
    land(settings, {"referral.json": b"[" * 100_000}, "c-bad", how=how)
    land(settings, {"referral.xml": b'<!DOCTYPE a [<!ENTITY b "c">]><report>&b;</report>'}, "d-bad", how=how)
    ingest(settings)
    assert [r["source_reference"] for r in table(settings, "referrals")] == ["good"]
    assert sorted(r["state"] for r in table(settings, "packages")) == ["accepted", *["quarantined"] * 3]
    assert not (settings.landing_dir / "evil").exists()


def test_links_in_landing(settings: Settings, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "referral.json").write_bytes(form(reference="outside"))
    (secret / ".ready").touch()
    (settings.landing_dir / "other").mkdir(parents=True)
    (settings.landing_dir / "other" / "link").symlink_to(secret)
    (settings.landing_dir / "ucol").symlink_to(secret)
    path = land(settings, {"referral.json": form(reference="inside")}, "p")
    (path / "more").symlink_to(secret)
    report = ingest(settings)
    assert table(settings, "referrals") == []
    assert report.rejected == {"quarantined": 2}
    assert report.counts["landing_entries_of_no_source"] == 1


def test_names_that_are_no_text(settings: Settings) -> None:
    """A name that is not UTF-8, of a package and of a file in one, is refused without stopping the night."""
    land(settings, {"referral.json": form(reference="good")}, "good")
    bad = land(settings, {"referral.json": form()}, "bad")
    other = os.fsencode(settings.landing_dir / "other")
    for name in (b"\xff.zip", b"\xfe\nx.json", b"a\x1b[2J.tar"):
        for ending in (b"", b".ready"):
            with open(os.path.join(other, name + ending), "wb") as file:  # noqa: PTH118, PTH123 - bytes paths
                file.write(b"{}")
    with open(os.path.join(os.fsencode(bad), b"\xff.jpg"), "wb") as file:  # noqa: PTH118, PTH123
        file.write(b"x")
    ingest(settings)
    assert [r["source_reference"] for r in table(settings, "referrals")] == ["good"]
    rows = table(settings, "packages")
    assert len(rows) == 5
    assert len({r["package_id"] for r in rows}) == 5
    assert all(r["reasons"] for r in rows if r["state"] == "quarantined")
    assert ingest(settings).counts["packages_seen_before"] == 5


def test_media_that_the_worker_cannot_read_is_counted(settings: Settings) -> None:
    land(settings, {"referral.json": form(files=[{"name": "empty.jpg"}, {"name": "gone.jpg"}]), "empty.jpg": b""})
    ingest(settings)
    files = {row["name"]: row["state"] for row in table(settings, "media_files")}
    assert files["gone.jpg"] == "missing"
    assert files["empty.jpg"] in {"present", "unreadable"}
    assert factory.NIGHT.run_id == table(settings, "packages")[0]["run_id"]
