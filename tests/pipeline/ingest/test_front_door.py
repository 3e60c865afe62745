"""Hostile files through the front door: the right verdict each, nothing written outside, nothing else disturbed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pipeline.settings import Settings
from tests import factory
from tests.factory import form, ingest, land, picture, table


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(p.relative_to(folder)): (p.stat().st_mode, p.read_bytes() if p.is_file() else b"")
        for p in sorted(folder.rglob("*"))
    }


def test_every_json_trap_and_every_zip_slip_archive(settings: Settings, corpora: Path, tmp_path: Path) -> None:
    """As a report of its own, as the report of a folder, and as an archive, each marked ready."""
    traps = sorted((corpora / "hostile" / "json_parsing").glob("*.json"))
    slips = [p for p in sorted((corpora / "hostile" / "zip_slip").iterdir()) if p.suffix in {".zip", ".tar", ".md"}]
    assert len(traps) > 300
    assert len(slips) == 5
    other = settings.landing_dir / "other"
    other.mkdir(parents=True)
    for path in [*traps, *slips]:
        shutil.copyfile(path, other / path.name)
        (other / f"{path.name}.ready").touch()
    for path in traps[::10]:
        land(settings, {"referral.json": path.read_bytes(), "a.jpg": b"synthetic"}, f"folder-{path.stem}")
    land(settings, {"referral.json": form(files=[{"name": "a.jpg"}]), "a.jpg": picture(1)}, "good", how="zip-list")
    outside = snapshot(tmp_path.parent) if tmp_path.parent.name.startswith("pytest") else {}
    landed = snapshot(settings.landing_dir)
    report = ingest(settings)
    assert snapshot(settings.landing_dir) == landed
    written = {p.relative_to(settings.home).parts[0] for p in settings.home.rglob("*") if p.is_file()}
    assert written == {"landing", "lake", "quarantine", "ingest"}
    assert not Path("/tmp/evil.txt").exists()
    assert {n for n in outside if "home" not in n} <= set(snapshot(tmp_path.parent))
    rows = {row["container"]: row for row in table(settings, "packages")}
    assert rows["other/good.zip"]["state"] == "accepted"
    assert [m["state"] for m in table(settings, "media_files")] == ["present"]
    assert {r["state"] for name, r in rows.items() if name != "other/good.zip"} == {"quarantined"}
    assert all(r["reasons"] for r in rows.values() if r["state"] == "quarantined")
    assert len(rows) + report.rejected.get("waiting", 0) == len(traps) + len(slips) + len(traps[::10]) + 1
    assert report.balanced
    for name, row in rows.items():  # what is no JSON says so; what is JSON says that it is no form of ours
        if name.startswith("other/n_"):
            assert "not valid JSON" in row["reasons"][0] or "nested" in row["reasons"][0], name
        if name.startswith("other/y_"):
            assert row["reasons"] == ["a possible report has none of the known forms"], name


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
