"""Errors of the machine while a file is looked at: they say nothing about the file."""

from __future__ import annotations

import errno

_EXHAUSTED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ENFILE, errno.EROFS})
OPENING = _EXHAUSTED | {errno.EMFILE, errno.ENOMEM}
"""Codes of the system with which opening any file would fail. Not EIO: one bad place of a disk costs the file that lies there."""
DECODING = _EXHAUSTED | {errno.EIO}
"""Codes that decoding in memory does not bring about. Not EMFILE and ENOMEM: a file can exhaust the worker's own limits."""


class MachineError(BaseException):
    """The worker ends, and the file is tried again by another. No Exception: no decoder's handler may take it for damage."""


def blame_file(error: Exception) -> None:
    """Return where the file can be to blame for an error of its decoding; raises MachineError where it cannot.

    Those are errors of the system that decoding in memory does not bring about, and code that cannot be loaded. Decoders give
    errors of damaged data no number of the system (Pillow), or raise classes of their own for them (PyAV).
    """
    system = isinstance(error, OSError) and not type(error).__module__.startswith("av.")
    if isinstance(error, ImportError) or (system and getattr(error, "errno", None) in DECODING):
        raise MachineError(f"{type(error).__name__}: {error}") from error
