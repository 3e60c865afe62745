"""Small files that are read again and again."""

from __future__ import annotations

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
