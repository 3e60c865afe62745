"""What a worker asks of a decoder, and what a decoder may answer."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.fingerprint.decode.sniff import MediaType
from pipeline.fingerprint.outcome import Digests, Fingerprint


@dataclass
class Task:
    """What a decoder gets: the content as a seekable file, and what is known of it.

    `known_pdqs` is set for a refinement; `channel` is there for planted faults in tests only.
    """

    content: BinaryIO
    digests: Digests
    media: MediaType
    policy: dict[str, Any]
    variants: bool
    known_pdqs: list[bytes]
    in_memory: bool
    channel: socket.socket
    raw: bytes = b""
    """The whole of a camera's raw file, whose `content` is a preview in it."""


@dataclass(frozen=True)
class Refinement:
    """Answer of a decoder to a refinement: for each known hash the PDQ distance in bits, the geometry in words,
    and the weighed bits of frames that are mostly guessed (256 without one)."""

    found: tuple[tuple[int, str, int], ...]


Decoder = Callable[[Task], Fingerprint | Refinement]
