"""MD5, SHA-1, SHA-256 and, if asked, SHA-512 of a content in one read, never holding more of it than is asked for."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from typing import BinaryIO

from pipeline.algorithms import DIGESTS
from pipeline.fingerprint.decode.sniff import HEAD
from pipeline.fingerprint.outcome import Digests

CHUNK = 1 << 20


class FileReading:
    """One read of `file` to its end: `digests`, the first bytes as `head`, and `content` if it fitted in `buffer` bytes.

    `tick(bytes_read)` is called after every chunk; it may raise to stop. `names` are the digests to make; the others are
    empty.
    """

    def __init__(
        self, file: BinaryIO, *, buffer: int, tick: Callable[[int], None], names: Sequence[str] = DIGESTS
    ) -> None:
        hashers = {name: hashlib.new(name, usedforsecurity=False) for name in names}
        kept: io.BytesIO | None = io.BytesIO() if buffer else None
        self.head = b""
        size = 0
        while chunk := file.read(CHUNK):
            size += len(chunk)
            tick(size)
            for hasher in hashers.values():
                hasher.update(chunk)
            if len(self.head) < HEAD:
                self.head = (self.head + chunk[:HEAD])[:HEAD]
            if kept is not None:
                if size > buffer:
                    kept = None
                else:
                    kept.write(chunk)
        made = {name: hasher.digest() for name, hasher in hashers.items()}
        self.digests = Digests(size=size, **{name: made.get(name, b"") for name in (*DIGESTS, "sha512")})
        if kept is not None:
            kept.seek(0)
        self.content = kept
