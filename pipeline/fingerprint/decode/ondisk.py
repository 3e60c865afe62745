"""Bytes by their place, in memory or on disk: a film may be too large to be held."""

from __future__ import annotations

import io
import time
from typing import BinaryIO, Protocol


class Readable(Protocol):
    """Bytes by their place, in memory or on disk."""

    def __getitem__(self, span: slice) -> bytes: ...
    def __len__(self) -> int: ...


class TooLongError(Exception):
    """Going through a film on disk took more than its seconds."""


class OnDisk:
    """Bytes of a file that is not held in memory, read where they are asked for within some processor seconds."""

    def __init__(self, file: BinaryIO, seconds: float) -> None:
        self._file = file
        self._size = file.seek(0, io.SEEK_END)
        self._end = time.process_time() + seconds

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, span: slice) -> bytes:
        """Raises TooLongError, and what reading raises."""
        if time.process_time() > self._end:
            raise TooLongError
        start, stop, _ = span.indices(self._size)
        self._file.seek(start)
        pieces = []
        while start < stop and (piece := self._file.read(stop - start)):
            pieces.append(piece)
            start += len(piece)
        return b"".join(pieces)
