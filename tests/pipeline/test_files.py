"""Small files that are read again and again, and large ones that are written behind one another."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from pipeline import files

OLD = time.time_ns() - 2 * files.SETTLED_NANOSECONDS


def test_a_file_is_read_again_only_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"first")
    monkeypatch.setattr(files, "SETTLED_NANOSECONDS", -(10**18))  # every file counts as left alone for long
    assert files.unchanged(path) is files.unchanged(path)
    path.write_bytes(b"second, of another size")
    assert files.unchanged(path) == b"second, of another size"
    os.utime(path, ns=(OLD, OLD))
    path.write_bytes(b"third, which is as long.")
    assert files.unchanged(path) == b"third, which is as long."
    replaced = tmp_path / "new"
    replaced.write_bytes(b"fourth, which is as long")
    replaced.replace(path)
    assert files.unchanged(path) == b"fourth, which is as long"


def test_what_was_changed_a_moment_ago_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two changes within one tick of the file system's clock would look like one."""
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"first")
    monkeypatch.setattr(files, "SETTLED_NANOSECONDS", 10**18)
    assert files.unchanged(path) == b"first"
    assert path not in files._READ


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.unchanged(tmp_path / "nothing")


@pytest.mark.parametrize("refused", [None, errno.EXDEV])
def test_one_file_is_written_behind_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int | None
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(refused, "refused")

    if refused:
        monkeypatch.setattr(os, "copy_file_range", refuse)
    (tmp_path / "lines").write_bytes(b"one\r\ntwo\r\n" * 40_000)
    with files.atomic_writer(tmp_path / "all") as sink:
        sink.write(b"head\r\n")
        for _ in range(2):
            with (tmp_path / "lines").open("rb") as lines:
                files.append(sink, lines)
        sink.write(b"end")
    assert (tmp_path / "all").read_bytes() == b"head\r\n" + b"one\r\ntwo\r\n" * 80_000 + b"end"


def test_a_full_disk_is_told_while_one_file_is_written_behind_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "copy_file_range", full)
    (tmp_path / "lines").write_bytes(b"one")
    with (
        pytest.raises(OSError, match="full"),
        files.atomic_writer(tmp_path / "all") as sink,
        (tmp_path / "lines").open("rb") as lines,
    ):
        files.append(sink, lines)
    assert not (tmp_path / "all").exists()
