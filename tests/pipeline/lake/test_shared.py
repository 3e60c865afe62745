"""Files that machines without a common folder keep for each other: what one sends, the other brings, whole or not at all."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.errors import IntegrityError, SettingsError
from pipeline.lake.places import LakePlace
from pipeline.lake.shared import OBJECTS, SharedFile, SharedFiles
from pipeline.settings import Settings

BELOW = ["runs", "releases"]


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[SharedFiles, SharedFiles]]:
    yield machine(tmp_path, "a"), machine(tmp_path, "b")


def machine(folder: Path, name: str) -> SharedFiles:
    home = folder / name
    home.mkdir(exist_ok=True)
    return SharedFiles(LakePlace(folder / "store", home / "cache" / "shared"), home)


def written(shared: SharedFiles, name: str, text: str) -> Path:
    path = shared.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def lying(shared: SharedFiles) -> dict[str, tuple[str, int]]:
    found = (p for root in BELOW for p in (shared.home / root).rglob("*") if p.is_file())
    return {p.relative_to(shared.home).as_posix(): (p.read_text(), p.stat().st_mtime_ns) for p in found}


def test_what_one_machine_wrote_changed_and_removed_another_has(machines: tuple[SharedFiles, SharedFiles]) -> None:
    a, b = machines
    written(a, "runs/n/run.json", "one")
    written(a, "releases/1/manifest.json", "m")
    written(a, "releases/CURRENT", "1")
    written(a, "cache/x", "its own")
    assert a.send(BELOW) == 3 and a.send(BELOW) == 0
    assert b.fetch(BELOW) == 3 and b.fetch(BELOW) == 0
    assert lying(b) == lying(a) and not (b.home / "cache" / "x").exists()
    written(b, "runs/n/run.json", "two")
    (b.home / "releases" / "1" / "manifest.json").unlink()
    assert b.send(BELOW) == 2 and a.fetch(BELOW) == 2
    assert lying(a) == lying(b) and (a.home / "runs" / "n" / "run.json").read_text() == "two"
    assert not (a.home / "releases" / "1").exists(), "a folder that holds nothing goes with its last file"


def test_only_what_is_asked_for_is_brought_and_sent(machines: tuple[SharedFiles, SharedFiles]) -> None:
    a, b = machines
    written(a, "runs/n/run.json", "one")
    written(a, "runs-of-before/n", "another folder")
    written(a, "releases/CURRENT", "1")
    written(a, "releases/.tmp-1-build/part", "half")
    written(a, "releases/.lock", "")
    assert a.send(["runs"]) == 1 and a.send(["releases/CURRENT"]) == 1 and a.send(BELOW) == 0
    assert b.fetch(["releases"]) == 1 and not (b.home / "runs").exists()
    assert b.fetch(BELOW) == 1


def test_a_change_that_was_not_sent_stays_unless_another_machine_changed_it_too(
    machines: tuple[SharedFiles, SharedFiles],
) -> None:
    a, b = machines
    path = written(a, "runs/n/run.json", "one")
    a.send(BELOW)
    b.fetch(BELOW)
    path.write_text("not sent: its process was killed")
    assert a.fetch(BELOW) == 0 and path.read_text().startswith("not sent")
    written(b, "runs/n/run.json", "two")
    b.send(BELOW)
    assert a.fetch(BELOW) == 1 and path.read_text() == "two"
    path.write_text("three")
    assert a.send(BELOW) == 1 and b.fetch(BELOW) == 1 and lying(b) == lying(a)


def test_what_is_known_can_be_thrown_away(machines: tuple[SharedFiles, SharedFiles]) -> None:
    a, b = machines
    for number in range(5):
        written(a, f"runs/{number}/run.json", f"run {number}")
    a.send(BELOW)
    b.fetch(BELOW)
    before = lying(b)
    (b.home / "cache" / "shared" / "state.sqlite").unlink()
    (b.home / "runs" / "3" / "run.json").write_text("changed by nobody we know")
    (b.home / "runs" / "4" / "run.json").unlink()
    b.fetch(BELOW)
    assert lying(b) == before and b.send(BELOW) == 0 and a.fetch(BELOW) == 0


def test_a_file_that_is_not_what_was_sent_is_refused_and_the_old_one_stays(
    machines: tuple[SharedFiles, SharedFiles], tmp_path: Path
) -> None:
    a, b = machines
    written(a, "releases/CURRENT", "1")
    a.send(BELOW)
    b.fetch(BELOW)
    written(a, "releases/CURRENT", "2")
    a.send(BELOW)
    for path in (tmp_path / "store" / OBJECTS).iterdir():
        path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(IntegrityError, match="not what was sent"):
        b.fetch(BELOW)
    assert (b.home / "releases" / "CURRENT").read_text() == "1"
    for path in (tmp_path / "store" / OBJECTS).iterdir():
        path.unlink()
    with pytest.raises(IntegrityError, match="cannot be fetched"):
        b.fetch(BELOW)
    written(a, "releases/CURRENT", "3")
    a.send(BELOW)
    assert b.fetch(BELOW) == 1 and (b.home / "releases" / "CURRENT").read_text() == "3"


def test_pointers_come_after_what_they_point_at_and_removals_last(machines: tuple[SharedFiles, SharedFiles]) -> None:
    a, b = machines
    for name in ("CURRENT", "1.json", "1/manifest.json", "1/index/pdq/ids"):
        written(a, f"releases/{name}", name)
    a.send(BELOW)
    b.fetch(BELOW)
    for name in ("CURRENT", "2.json", "2/manifest.json", "2/index/pdq/ids"):
        written(a, f"releases/{name}", f"another {name}")
    for name in ("1.json", "1/manifest.json", "1/index/pdq/ids"):
        (a.home / "releases" / name).unlink()
    a.send(BELOW)
    order: list[str] = []
    bring = b._bring
    b._bring = lambda connection, file: (order.append(file.name), bring(connection, file))[1]  # type: ignore[method-assign]
    b.fetch(BELOW)
    assert order == [
        "releases/2/index/pdq/ids", "releases/2/manifest.json", "releases/2.json", "releases/CURRENT",
        "releases/1/index/pdq/ids", "releases/1/manifest.json", "releases/1.json",
    ]  # fmt: skip
    assert lying(a) == lying(b)


def test_upkeep_removes_what_no_name_has_and_merges_small_files(
    machines: tuple[SharedFiles, SharedFiles], tmp_path: Path
) -> None:
    a, b = machines
    for number in range(8):
        written(a, "runs/n/run.json", f"{number}")
        a.send(BELOW)
    assert len(list((tmp_path / "store" / OBJECTS).iterdir())) == 8
    assert a.sweep(timedelta(hours=1)) == 0, "another machine may be sending it"
    assert a.sweep(timedelta(0)) == 7 and a.merge() == 8 and a.merge() == 0
    assert b.fetch(BELOW) == 1 and lying(b) == lying(a)
    written(a, "runs/m/run.json", "after the merge")
    assert a.send(BELOW) == 1 and b.fetch(BELOW) == 1 and lying(b) == lying(a)


@pytest.mark.parametrize(
    "name", ["../outside", "/outside", "runs/../../outside", "runs//x", "runs/.ssh", "runs/\0x", ""]
)
def test_a_name_that_lies_outside_a_home_is_refused(machines: tuple[SharedFiles, SharedFiles], name: str) -> None:
    a, b = machines
    a._append([SharedFile(name, "0" * 64, 1, 1)])
    with pytest.raises(IntegrityError, match="which no machine sends"):
        b.fetch(BELOW)


def test_a_damaged_state_is_said_with_its_remedy(machines: tuple[SharedFiles, SharedFiles]) -> None:
    a, b = machines
    written(a, "runs/n/run.json", "one")
    a.send(BELOW)
    b.fetch(BELOW)
    (b.home / "cache" / "shared" / "state.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(IntegrityError, match="Remove cache/shared"):
        b.fetch(BELOW)


def test_any_order_of_writes_sends_and_fetches_ends_alike(tmp_path: Path) -> None:
    """Two machines take turns as the stages do: whoever works has brought everything first. The obvious twin is one dictionary."""
    for seed in range(4):
        chance, folder = random.Random(seed), tmp_path / str(seed)
        folder.mkdir()
        pair, truth = (machine(folder, "a"), machine(folder, "b")), {}
        for step in range(12):
            at_work = chance.choice(pair)
            at_work.fetch(BELOW)
            name = f"{chance.choice(BELOW)}/{chance.randrange(4)}"
            if chance.random() < 0.3 and name in truth:
                (at_work.home / name).unlink()
                del truth[name]
            else:
                text = chance.choice(["x", f"{step}"])
                os.utime(written(at_work, name, text), ns=(step, step))
                truth[name] = (text, step)
            at_work.send(BELOW)
        for shared in pair:
            shared.fetch(BELOW)
            assert {name: text for name, (text, _) in lying(shared).items()} == {n: t for n, (t, _) in truth.items()}


def test_the_setting_is_checked_and_there_is_none_by_default(tmp_path: Path) -> None:
    assert SharedFiles.of(Settings(home=tmp_path)) is None
    with pytest.raises(SettingsError, match=r"TRIAGE_SHARED.*no supported kind"):
        SharedFiles.of(Settings(home=tmp_path, shared="ftp://host/folder"))
    shared = SharedFiles.of(Settings(home=tmp_path, shared="s3://bucket/home/"))
    assert shared is not None and shared.place.root == "s3://bucket/home"
