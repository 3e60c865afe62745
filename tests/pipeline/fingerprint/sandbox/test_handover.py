"""What this process opens for a worker: regular files below what was named, without waiting and without following links."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from pipeline.fingerprint.outcome import Reason, Refusal
from pipeline.fingerprint.sandbox import handover
from pipeline.fingerprint.sandbox.handover import Landing
from pipeline.locator import Locator


def refused(landing: Landing, text: str) -> Reason:
    with pytest.raises(Refusal) as caught:
        landing.open(Locator.parse(text))
    return caught.value.reason


def test_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.bin").write_bytes(b"content")
    descriptor = Landing(tmp_path, [tmp_path]).open(Locator("a/b.bin"))
    try:
        assert os.read(descriptor, 100) == b"content"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(descriptor, b"x")
    finally:
        os.close(descriptor)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    landing = Landing(tmp_path, [tmp_path])
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
        assert refused(landing, "socket") is Reason.UNREADABLE
    assert refused(landing, "pipe") is Reason.NOT_A_FILE
    assert refused(landing, "folder") is Reason.NOT_A_FILE


def test_only_below_what_was_named(tmp_path: Path) -> None:
    for name in ("yes", "no"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.bin").write_bytes(b"content")
    (tmp_path / "yes" / "out").symlink_to(tmp_path / "no" / "a.bin")
    landing = Landing(tmp_path, [tmp_path / "yes"])
    os.close(landing.open(Locator("yes/a.bin")))
    assert refused(landing, "no/a.bin") is Reason.UNREADABLE
    assert refused(landing, "yes/out") is Reason.UNREADABLE
    assert refused(landing, "../yes/a.bin") is Reason.UNREADABLE


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EMFILE, errno.ENFILE])
def test_what_the_machine_lacks_is_said_of_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """The stage fails and is run again; a file that nobody could open would count as unreadable for ever."""
    (tmp_path / "a.bin").write_bytes(b"content")

    def lacking(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(handover, "_open", lacking)
    with pytest.raises(OSError, match=os.strerror(code)):
        Landing(tmp_path, [tmp_path]).open(Locator("a.bin"))


def test_a_bad_place_of_the_disk_costs_the_file_that_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.bin").write_bytes(b"content")

    def broken(*_: object, **__: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(handover, "_open", broken)
    assert refused(Landing(tmp_path, [tmp_path]), "a.bin") is Reason.UNREADABLE


def test_a_link_that_comes_in_between_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is exchanged for a link to another after the path was judged."""
    for name in ("in", "secret"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.bin").write_bytes(name.encode())
    opened = handover._open

    def exchange(path: Path) -> int:
        (tmp_path / "in").rename(tmp_path / "was")
        (tmp_path / "in").symlink_to("secret")
        return opened(path)

    monkeypatch.setattr(handover, "_open", exchange)
    assert refused(Landing(tmp_path, [tmp_path / "in"]), "in/a.bin") in (Reason.MISSING, Reason.UNREADABLE)
