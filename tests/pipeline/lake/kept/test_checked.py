"""A file of the lake is checked once on a machine, and again whenever anything wrote to it."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline import files
from pipeline.errors import IntegrityError
from pipeline.lake import Lake
from pipeline.lake.kept import checked
from tests.pipeline.lake.test_lake import variants


@pytest.fixture(autouse=True)
def _small_and_young_files_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked, "LEAST", 0)
    monkeypatch.setattr(files, "SETTLED_NANOSECONDS", 0)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read to be checked."""
    found: list[str] = []
    real = files.sha256

    def noted(path: Path) -> str:
        found.append(path.parent.name)
        return real(path)

    monkeypatch.setattr(files, "sha256", noted)
    return found


def opened(root: Path) -> Lake:
    """As a process opens it that begins."""
    return Lake(root / "lake", cache=root / "cache")


def test_another_process_does_not_read_it_again(tmp_path: Path, hashed: list[str]) -> None:
    opened(tmp_path).commit("f", "one", {"variants": variants()}, run_id="n")
    assert opened(tmp_path).read("variants").num_rows == 3
    assert "variants" in hashed
    hashed.clear()
    assert opened(tmp_path).read("variants").num_rows == 3
    assert "variants" not in hashed


def test_whatever_was_written_to_it_is_found(tmp_path: Path, hashed: list[str]) -> None:
    """Its size and its time are put back: the time of change tells."""
    opened(tmp_path).commit("f", "one", {"variants": variants()}, run_id="n")
    [part] = opened(tmp_path).parts("variants")
    opened(tmp_path).verified(part)
    before, content = part.path.stat(), bytearray(part.path.read_bytes())
    content[len(content) // 2] ^= 1
    part.path.write_bytes(content)
    while part.path.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of a file system may be coarse
        part.path.write_bytes(content)
    os.utime(part.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(IntegrityError, match="not what was written"):
        opened(tmp_path).read("variants")


def test_of_a_file_that_was_changed_this_moment_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SETTLED_NANOSECONDS", 3_600_000_000_000)
    opened(tmp_path).commit("f", "one", {"variants": variants()}, run_id="n")
    assert opened(tmp_path).read("variants").num_rows == 3
    assert not list((tmp_path / "cache").glob(f"*{checked.SUFFIX}"))


def test_the_round_goes_by_no_note(tmp_path: Path, hashed: list[str]) -> None:
    opened(tmp_path).commit("f", "one", {"variants": variants()}, run_id="n")
    opened(tmp_path).read("variants")
    hashed.clear()
    assert opened(tmp_path).verify() == 1
    assert "variants" in hashed


def test_notes_are_thrown_away_at_will_and_go_with_their_files(tmp_path: Path, hashed: list[str]) -> None:
    for n in range(6):
        opened(tmp_path).commit("f", f"k{n}", {"variants": variants(2, n)}, run_id="n")
    lake = opened(tmp_path)
    rows = lake.read("variants").num_rows
    for note in (tmp_path / "cache").glob(f"*{checked.SUFFIX}"):
        note.write_bytes(b"\xff torn")
    assert opened(tmp_path).read("variants").num_rows == rows
    lake.merge("n")
    opened(tmp_path).read("variants")
    lake.vacuum(timedelta(0))
    named = {part.sha256 for part in lake.everything()}
    assert {p.name.partition(".")[0] for p in (tmp_path / "cache").glob(f"*{checked.SUFFIX}")} == named
