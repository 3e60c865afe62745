"""Files that are written into a text: as base64, as mail, web pages and exports have them, or uuencoded."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from itertools import islice, pairwise

from pipeline.fingerprint.decode.sniff import HEAD, VAGUE, media_type

BLOCKS = 20_000
"""Blocks of base64 of one text that are looked at."""
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{40,}(?:\r?\n[ \t]{0,8}[A-Za-z0-9+/_-]{2,})*")
_NARROW = re.compile(
    rb"(?<![\w+/-])[A-Za-z0-9+/_-]{16,39}(?:\r?\n[ \t]{0,8}[A-Za-z0-9+/_-]{16,39}){2,}(?:\r?\n[ \t]{0,8}[A-Za-z0-9+/_-]{2,15})?"
)
"""The same in lines of 16 to 39 characters, three of them or more."""
_UNPADDED = re.compile(rb"[^A-Za-z0-9+/]")
_UUENCODED = re.compile(rb"^begin [0-7]{3,4} [^\r\n]{1,255}\r?\n((?:[!-`][ -`]{1,84}\r?\n){1,40})", re.MULTILINE)


def parts(text: bytes) -> Iterator[bytes]:
    """What a text holds as base64 or uuencoded."""
    for found in islice(_BASE64.finditer(text), BLOCKS):
        yield _decoded(found[0])
    for found in islice(_NARROW.finditer(text), BLOCKS):
        lines = found[0].split()
        same = (number for number, (one, two) in enumerate(pairwise(lines)) if len(one) == len(two))
        yield _decoded(b"".join(lines[next(same, 0) :]))  # a word of another length may stand above them
    for found in _UUENCODED.finditer(text):
        yield b"".join(_uudecoded(line) for line in found[1].splitlines())


def _decoded(block: bytes) -> bytes:
    bare = _UNPADDED.sub(b"", block.translate(_URL_SAFE))
    return binascii.a2b_base64(bare[: len(bare) // 4 * 4])


_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def _uudecoded(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:  # a line of something else
        return b""


_NO_FILE = frozenset({"text/plain", "application/octet-stream"})


def holds_file(text: bytes) -> bool:
    """Whether a picture, film, sound, document or archive is written into a text."""
    kinds = (media_type(part[:HEAD]) for part in parts(text))
    return any(kind.name not in _NO_FILE and kind.family not in VAGUE for kind in kinds)
