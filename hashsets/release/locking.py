"""The lock of the releases folder: one process builds or publishes at a time; the kernel frees it when that one dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from pipeline import files
from pipeline.errors import ConflictError
from pipeline.settings import Settings


@contextlib.contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Hold the releases folder for writing. Raises ConflictError when another process does."""
    files.make_folder(settings.releases_dir)
    descriptor = os.open(settings.releases_dir / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(
                "Another process is building or publishing a known-hash release.", "Wait until it has ended."
            ) from None
        yield
    finally:
        os.close(descriptor)
