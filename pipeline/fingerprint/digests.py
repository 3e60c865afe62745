"""MD5, SHA-1 and SHA-256 of a content in one read, never holding more of it than is asked for."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import BinaryIO

from pipeline.fingerprint.outcome import Digests
from pipeline.fingerprint.sniff import HEAD

CHUNK = 1 << 20


class Reading:
    """One read of `file` to its end: `digests`, the first bytes as `head`, and `content` if it fitted in `buffer` bytes.

    `tick(bytes_read)` is called after every chunk; it may raise to stop. With `only_sha256` the other two are empty.
    """

    def __init__(self, file: BinaryIO, *, buffer: int, tick: Callable[[int], None], only_sha256: bool = False) -> None:
        names = ("sha256",) if only_sha256 else ("sha256", "md5", "sha1")
        hashers = [hashlib.new(name, usedforsecurity=False) for name in names]
        kept: io.BytesIO | None = io.BytesIO() if buffer else None
        self.head = b""
        size = 0
        while chunk := file.read(CHUNK):
            size += len(chunk)
            tick(size)
            for hasher in hashers:
                hasher.update(chunk)
            if len(self.head) < HEAD:
                self.head = (self.head + chunk[:HEAD])[:HEAD]
            if kept is not None:
                if size > buffer:
                    kept = None
                else:
                    kept.write(chunk)
        values = [hasher.digest() for hasher in hashers] + [b"", b""]
        self.digests = Digests(values[0], values[1], values[2], size)
        if kept is not None:
            kept.seek(0)
        self.content = kept
