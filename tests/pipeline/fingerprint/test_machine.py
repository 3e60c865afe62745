"""What an error says of the file, and what only of the machine."""

from __future__ import annotations

import errno
from typing import Any

import av
import pytest

from pipeline.fingerprint.decode import sampler
from pipeline.fingerprint.hashes import picture
from pipeline.fingerprint.machine import MachineError, blame_file
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.makers import decoded_here

MACHINE = [
    OSError(errno.ENOSPC, "full"),
    OSError(errno.EIO, "broken"),
    OSError(errno.ENFILE, "none left"),
    ImportError("a part of the program is gone"),
]
FILE = [
    OSError("image file is truncated"),
    OSError(errno.EINVAL, "a place before the beginning"),
    OSError(errno.EMFILE, "the worker's own limit"),
    av.error.OSError(errno.EIO, "as FFmpeg says of a stream that ends early"),
    ValueError("damaged"),
]


@pytest.mark.parametrize("error", MACHINE, ids=repr)
def test_the_machine_is_no_fault_of_the_file(error: Exception) -> None:
    with pytest.raises(MachineError):
        blame_file(error)


@pytest.mark.parametrize("error", FILE, ids=repr)
def test_damage_is_the_files(error: Exception) -> None:
    blame_file(error)
    assert not isinstance(error, MachineError)


def failing(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, call: int) -> None:
    """The function fails as on a full disk at its `call`-th call, and works before and after it."""
    whole, calls = getattr(place, name), 0

    def once(*given: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(*given, **more)

    monkeypatch.setattr(place, name, once)


@pytest.mark.parametrize(
    ("name", "call"), [("baseline.jpg", 1), ("pages.tif", 1), ("pages.tif", 2), ("animated.gif", 2)]
)
def test_a_full_disk_makes_no_picture_partial(monkeypatch: pytest.MonkeyPatch, name: str, call: int) -> None:
    """Wherever it is met: at the picture itself or at a further one in the same file."""
    failing(monkeypatch, picture, "hash_picture", call)
    with pytest.raises(MachineError):
        decoded_here(samples.stills()[name])


def test_a_full_disk_skips_no_frame_of_a_film(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, sampler.Sampler, "see", 3)
    with pytest.raises(MachineError):
        decoded_here(samples.videos()["clip.mp4"])
