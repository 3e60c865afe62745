"""What senders deliver neither stops ingest nor hides in it: bombs, pipes, names of desktops; the others are taken in."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.bombs import BOMBS, MIB, json_of_files, key_twice
from pipeline.contract import Night
from pipeline.settings import Settings
from tests.factory import form, ingest, land, picture, table


def good(settings: Settings, name: str, report: bytes) -> None:
    land(settings, {"report.json": report}, name)


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_a_bomb_is_returned_and_what_lies_beside_it_is_taken_in(
    settings: Settings, bomb: Callable[[Path, str], None]
) -> None:
    good(settings, "a-good", form(reference="G-1"))
    folder = settings.landing_dir / "other"
    bomb(folder, "bomb")
    [path] = [p for p in folder.iterdir() if p.name.startswith("bomb")]
    path.with_name(f"{path.name}.ready").touch()
    good(settings, "z-good", form(reference="G-2"))
    report = ingest(settings)
    rows = {row["container"]: row for row in table(settings, "packages")}
    assert rows["other/a-good"]["state"] == rows["other/z-good"]["state"] == "accepted"
    found = rows[f"other/{path.name}"]
    if bomb is key_twice:
        assert found["state"] == "accepted"
        assert any("given 2 times" in row["problem"] for row in table(settings, "defects"))
    else:
        assert found["state"] == "quarantined"
        assert BOMBS[bomb] in " ".join(found["reasons"])
    assert report.balanced
    assert report.counts["readers_ended"] == 0, "refused before it could harm the process"


def test_a_process_that_comes_to_its_limits_is_replaced(settings: Settings, tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.mkdir()
    for source in settings.policy.iterdir():
        (policy / source.name).symlink_to(source)
    text = (settings.policy / "ingest.yaml").read_text()
    (policy / "ingest.yaml").unlink()
    text = text.replace("memory_mb: 768", "memory_mb: 192").replace("marks: 4000000", "marks: 400000000")
    (policy / "ingest.yaml").write_text(text)
    small = replace(settings, policy=policy)
    good(small, "a-good", form(reference="G-1"))
    json_of_files(small.landing_dir / "other", "bomb", 10**7)  # needs more than 320 MiB; what is good less than 70
    (small.landing_dir / "other" / "bomb.json.ready").touch()
    good(small, "z-good", form(reference="G-2"))
    report = ingest(small)
    rows = {row["container"]: row for row in table(small, "packages")}
    assert rows["other/a-good"]["state"] == rows["other/z-good"]["state"] == "accepted"
    assert rows["other/bomb.json"]["reasons"] == ["reading it takes too much memory"]
    assert report.counts["readers_ended"] == 1
    assert "too much memory" in (small.quarantine_dir / f"{rows['other/bomb.json']['package_id']}.txt").read_text()


@pytest.mark.parametrize("name", ["fm.sha256", "fm.ready", "other.json", "fm/pipe.json"])
def test_a_pipe_is_never_waited_for(settings: Settings, name: str) -> None:
    good(settings, "fm", form(reference="G-1"))
    os.mkfifo(settings.landing_dir / "other" / name)
    ingest(settings)
    [row] = [r for r in table(settings, "packages") if r["container"] == "other/fm"]
    if name in {"fm.ready", "other.json"}:
        assert row["state"] == "accepted"
    else:
        assert row["state"] == "quarantined"
        assert any("pipe" in reason or "links or devices" in reason for reason in row["reasons"])


def test_a_zip_with_a_member_without_a_name_and_a_list_with_nulls_are_returned(settings: Settings) -> None:
    folder = settings.landing_dir / "other"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "nameless.zip", "w") as archive:
        archive.writestr("report.json", form(reference="N-1"))
        archive.writestr("aa", b"x")
    content = (folder / "nameless.zip").read_bytes()
    at = content.rindex(b"PK\x01\x02")
    short = content[: at + 28] + b"\0\0" + content[at + 30 :]  # the length of the name of the last entry
    (folder / "nameless.zip").write_bytes(short)
    (folder / "nameless.zip.ready").touch()
    land(settings, {"report.json": form(reference="N-2"), "package.sha256": b"0" * 64 + b"  a\0b\n"}, "nulls")
    report = ingest(settings, Night("late", datetime.now(UTC) + timedelta(hours=25)))
    rows = {row["container"]: row for row in table(settings, "packages")}
    assert rows["other/nulls"]["state"] == rows["other/nameless.zip"]["state"] == "quarantined"
    assert any("null characters" in reason for reason in rows["other/nulls"]["reasons"])
    assert report.counts["readers_ended"] == 0


NAMES = ["Thumbs.db", "desktop.ini", "media/.DS_Store", "media/__MACOSX/p.png", "media/__MACOSX/._p.png", "._q.png"]
BEGINNINGS = {"x/desktop.ini": b"[\r\n", "x/.DS_Store": b"\0\0\0\1Bud1", "x/._p.png": bytes.fromhex("0005160700020000")}


@pytest.mark.parametrize("zipped", [False, True])
def test_a_picture_under_a_desktop_s_name_is_a_picture(settings: Settings, zipped: bool) -> None:
    whole = {name: picture(n) for n, name in enumerate(NAMES)}
    whole |= {name: begins + picture(9) for name, begins in BEGINNINGS.items()}
    left = {
        "deep/Thumbs.db": bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 100,
        "deep/.DS_Store": b"\0\0\0\1Bud1 synthetic",
        "deep/desktop.ini": b"[.ShellClassInfo]",
        "__MACOSX/._a.jpg": bytes.fromhex("0005160700020000") + b"synthetic",
    }
    files = {"report.json": form(reference="N-1"), **whole, **left}
    folder = settings.landing_dir / "other"
    folder.mkdir(parents=True, exist_ok=True)
    if zipped:
        with zipfile.ZipFile(folder / "p.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        for name, content in files.items():
            (folder / "p" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "p" / name).write_bytes(content)
    (folder / ("p.zip.ready" if zipped else "p.ready")).touch()
    report = ingest(settings)
    assert sorted(row["name"] for row in table(settings, "media_files")) == sorted(whole)
    assert report.counts["desktop_files_left_out"] == len(left)
    assert any("4 files that a desktop left behind" in row["problem"] for row in table(settings, "defects"))


@pytest.mark.parametrize("reference", ["R" * 201, "R\r\nSet-Cookie: x", "a\u202eb"])
def test_a_reference_that_is_none_is_a_defect(settings: Settings, reference: str) -> None:
    good(settings, "p", form(reference=reference, earlier_references=[reference, "E-1"]))
    ingest(settings)
    [row] = table(settings, "referrals")
    assert row["source_reference"] is None
    assert any(d["problem"].startswith("This is no reference") for d in table(settings, "defects"))


def test_this_process_stays_small(settings: Settings) -> None:
    good(settings, "a-good", form(reference="G-1"))
    folder = settings.landing_dir / "other"
    for n in range(6):
        with zipfile.ZipFile(folder / f"b{n}.zip", "w", zipfile.ZIP_STORED) as archive:
            data = io.BytesIO()
            data.write(json.dumps({"form": "referral/1", "narrative": "x" * (9 * MIB)}).encode())
            archive.writestr("report.json", data.getvalue())
        (folder / f"b{n}.zip.ready").touch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = ingest(settings)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    assert report.kept == 7
    assert grown < 300


def tar_of(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def zip_of(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_what_lies_behind_or_before_the_members_of_an_archive_is_not_lost(settings: Settings, kind: str) -> None:
    """Two archives one after the other are one file whose second, or first, half no reader shows."""
    pack = zip_of if kind == "zip" else tar_of
    report, hidden = pack({"report.json": form(reference="R-1")}), pack({"hidden.jpg": picture(1)})
    whole = {"zip": hidden + report, "tar": report + hidden, "tar.gz": gzip.compress(report) + gzip.compress(hidden)}
    folder = settings.landing_dir / "other"
    folder.mkdir(parents=True)
    for name, content in {"two": whole[kind], "one": gzip.compress(report) if kind == "tar.gz" else report}.items():
        (folder / f"{name}.{kind}").write_bytes(content)
        (folder / f"{name}.{kind}.ready").touch()
    ingest(settings)
    rows = {row["container"]: row for row in table(settings, "packages")}
    assert rows[f"other/one.{kind}"]["state"] == "accepted"
    assert rows[f"other/two.{kind}"]["state"] == "quarantined"
    assert any("pack it anew" in reason for reason in rows[f"other/two.{kind}"]["reasons"])


def test_a_picture_under_a_marker_s_name_is_a_picture(settings: Settings) -> None:
    """A marker holds nothing, or a line. Only its name is the sender's, or the suspect's, to choose."""
    small = picture(1)[:900]
    land(settings, {"report.json": form(reference="R-1"), "seen.ready": small, "line.ready": b"complete\n"}, "inside")
    beside = land(settings, {"report.json": form(reference="R-2")}, "beside").with_name("beside.ready")
    beside.write_bytes(picture(2))
    alone = beside.with_name("alone.zip.ready")
    alone.write_bytes(small)
    ingest(settings)
    rows = {row["container"]: row for row in table(settings, "packages")}
    assert rows["other/inside"]["state"] == "accepted"
    assert [row["name"] for row in table(settings, "media_files")] == ["seen.ready"]
    waiting = json.loads((settings.home / "ingest" / "waiting.json").read_text())["packages"]
    assert {row["container"] for row in waiting} == {"other/beside.ready", "other/alone.zip.ready"}


def test_a_picture_under_the_name_of_a_tag_file_that_no_bag_has_today_is_a_picture(settings: Settings) -> None:
    land(settings, {"report.json": form(reference="R-1")}, "bag", how="bag")
    (settings.landing_dir / "other" / "bag" / "package-info.txt").write_bytes(picture(1))
    ingest(settings)
    assert [row["name"] for row in table(settings, "media_files")] == ["package-info.txt"]
