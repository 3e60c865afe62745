"""Opening media for a worker: this process opens the file and passes the descriptor; the worker cannot open any.

Only a regular file below the root, and below what the caller named as readable, is opened: for reading, without waiting
(a FIFO would hold us up), and without following a link that was put there after the path was judged. Nothing is read here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError
from pipeline.fingerprint.machine import OPENING
from pipeline.fingerprint.outcome import Reason, Refusal
from pipeline.locator import Locator

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Landing:
    """Opens locators below `root` that lie in one of `readable` (folders or files)."""

    def __init__(self, root: Path, readable: Sequence[Path]) -> None:
        self.root = root.resolve()
        self.readable = [path.resolve() for path in readable]

    def open(self, locator: Locator) -> int:
        """Descriptor of the plain file or archive, for the caller to close. Raises Refusal, and OSError where the machine lacks
        what every file needs: the stage fails then, and no file is said to be unreadable."""
        try:
            path = locator.path(self.root).resolve()
            if not any(path.is_relative_to(allowed) for allowed in self.readable):
                raise Refusal(Reason.UNREADABLE, "outside")
            descriptor = _open(path)
        except (FileNotFoundError, NotADirectoryError):
            raise Refusal(Reason.MISSING) from None
        except InputError:
            raise Refusal(Reason.UNREADABLE, "outside") from None
        except (OSError, ValueError, RuntimeError) as error:  # no permission, a name with NUL, a loop of links
            if isinstance(error, OSError) and error.errno in OPENING:
                raise
            raise Refusal(Reason.UNREADABLE, type(error).__name__) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Refusal(Reason.NOT_A_FILE)
        return descriptor


def _open(path: Path) -> int:
    """Open a path that has no links in it, folder by folder, so that none can come in between."""
    folder = os.open("/", _FOLDER)
    try:
        for name in path.parts[1:-1]:
            inner = os.open(name, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(path.name or ".", _FILE, dir_fd=folder)
    finally:
        os.close(folder)
