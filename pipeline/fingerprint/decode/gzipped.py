"""A gzip stream that can be read from any place: how a member of a .tar.gz is read without unpacking what lies before it again.

While the stream is read through the first time, the state of the decompressor is kept every few MiB. A place is then reached from
the kept state before it; `gzip.GzipFile` begins anew at the first byte for every step back, which takes the square of the
time for members that are asked for in another order than they lie in.
"""

from __future__ import annotations

import io
import zlib
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

SPACING = 4 << 20
"""Unpacked bytes between two kept states at first; doubled whenever there are MOST of them (each is about 40 KB)."""
MOST = 256
_CHUNK = 1 << 16
_GZIP = 31
"""zlib's window bits for a gzip stream: its header and checksum are checked."""


@dataclass(frozen=True)
class _Kept:
    """A state of the decompressor at byte `at` of what it gives; it goes on with byte `source` of the file."""

    at: int
    source: int
    state: Any


class SeekableGzip(io.RawIOBase):
    """Reads `file`. `tick(bytes_unpacked)` is called while new ground is covered; it may raise to stop.

    Raises zlib.error and EOFError for a damaged stream.
    """

    def __init__(self, file: BinaryIO, tick: Callable[[int], None]) -> None:
        self._file = file
        self._tick = tick
        self._spacing = SPACING
        self._kept: list[_Kept] = []
        self._covered = 0
        self._at = self._source = 0
        self._packed = b""
        self._state: Any = zlib.decompressobj(_GZIP)
        self._keep()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place counted from the beginning; the end cannot be told before it is reached."""
        if whence != io.SEEK_SET or offset < 0:
            raise OSError("only places counted from the beginning are known")
        nearest = self._kept[bisect_right(self._kept, offset, key=lambda kept: kept.at) - 1]
        if offset < self._at or nearest.at > self._at:
            self._at, self._source, self._state, self._packed = nearest.at, nearest.source, nearest.state.copy(), b""
        while self._at < offset and self._next(min(_CHUNK, offset - self._at)):
            continue
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _next(self, most: int) -> bytes:
        """Up to `most` further bytes; none at the end of the last stream of the file."""
        while True:
            if not self._packed:
                self._file.seek(self._source)
                self._packed = self._file.read(_CHUNK)
                ended = not self._packed
                if ended and not self._state.eof:
                    raise EOFError("the stream ends before its end mark")
                if ended:
                    return b""
            if self._state.eof and not self._another():
                continue
            data: bytes = self._state.decompress(self._packed, most)
            left: bytes = self._state.unconsumed_tail or self._state.unused_data
            self._source += len(self._packed) - len(left)
            self._packed = left
            if data:
                self._at += len(data)
                self._advance()
                return data

    def _another(self) -> bool:
        """Whether another stream begins in what was read; padding with zeros, which gzip takes, is passed over."""
        rest = self._packed.lstrip(b"\0")
        self._source += len(self._packed) - len(rest)
        self._packed = rest
        if rest:
            self._state = zlib.decompressobj(_GZIP)
        return bool(rest)

    def _advance(self) -> None:
        if self._at <= self._covered:
            return
        self._covered = self._at
        self._tick(self._at)
        if self._at - self._kept[-1].at >= self._spacing:
            self._keep()

    def _keep(self) -> None:
        self._kept.append(_Kept(self._at, self._source, self._state.copy()))
        if len(self._kept) > MOST:
            del self._kept[1::2]
            self._spacing *= 2
