"""What goes between ingest and the process that reads packages: JSON in frames, every field with its type.

The other side parses what strangers wrote and may be taken over by it. So an answer is decoded against the types of the
record tables (schemas/records/): a value of another type, a digest of another length, a number out of range or a missing
column is refused before any of it is used. Only this package is concerned: an answer names no other.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Required, TypedDict, cast

import msgspec
from msgspec import Meta, Struct

from pipeline.settings import ROOT

_FRAME = 1 << 16
"""Bytes of one message of the channel, which keeps the bounds of messages."""
_LENGTH = struct.Struct("<Q")
DESCRIPTORS_AT_ONCE = 64
SAME = (
    *("referral", "times", "subjects", "identifiers", "facts", "narratives", "files", "defects", "prior", "personas"),
    *("hints", "force_stated", "given_identifiers", "unusable_identifiers", "withheld_identifiers", "restricted"),
)
"""Fields of a draft that go over the channel as they are."""


class Ask(Struct):
    """One package: what is known of it, and the roles and names of the files whose descriptors come with it. `overdue`
    asks for its report although it is not complete."""

    landing_folder: str
    container: str
    kind: str
    ready: bool
    overdue: bool
    faults: list[str]
    waits: list[str]
    members: list[tuple[str, int]]
    texts: list[tuple[str, str]]


Digest = Annotated[bytes, Meta(min_length=16, max_length=64)]
Count = Annotated[int, Meta(ge=0, lt=1 << 62)]


class Read(Struct, array_like=True):
    """Digests of a file that was read, in this order: SHA-256, MD5, SHA-1, SHA-512 (empty when nobody asks for it), and its size."""

    sha256: Annotated[bytes, Meta(min_length=32, max_length=32)]
    md5: Annotated[bytes, Meta(min_length=16, max_length=16)]
    sha1: Annotated[bytes, Meta(min_length=20, max_length=20)]
    size: Count
    sha512: Annotated[bytes, Meta(max_length=64)] = b""


class ListedMembers(Struct, array_like=True):
    """A member, in this order: name in the package, stated size, name in the archive (None: a plain file), digests if it was read."""

    name: str
    size: Count
    stored: str | None = None
    read: Read | None = None


def _columns(table: str, required: set[str], **extra: Any) -> Any:
    """A typed dictionary of a record table's columns. `required` are those that must be there and not null."""
    schema = json.loads((ROOT / "schemas" / "records" / f"{table}.json").read_text())
    kinds: dict[str, Any] = {}
    for name, spec in schema["properties"].items():
        kind = Any if spec.get("x-json") else _KINDS[spec["x-arrow"]]
        kinds[name] = Required[kind] if name in required else kind | None
    return cast("Any", TypedDict)(table, {**kinds, **extra}, total=False)


def _hash(size: int) -> Any:
    return Annotated[bytes, Meta(min_length=size, max_length=size)]


def _whole(bits: int) -> Any:
    return Annotated[int, Meta(ge=-(1 << bits - 1), lt=1 << bits - 1)]


_KINDS: dict[str, Any] = {
    "string": str,
    "bool": bool,
    "int16": _whole(16),
    "int32": _whole(32),
    "int64": Annotated[int, Meta(ge=-(1 << 62), lt=1 << 62)],
    "float64": float,
    "timestamp": datetime,
    "hash16": _hash(16),
    "hash20": _hash(20),
    "hash32": _hash(32),
    "strings": list[str],
    "binary": bytes,
}
_PLACE: Any = Required[Annotated[int, Meta(ge=0, lt=1 << 31)] | None]
_MARK = {"original": str, "zone": str, "ambiguous": bool}


@cache
def answer_type() -> Any:
    """The type of an answer; made when it is first asked for."""
    moment: Any = cast("Any", TypedDict)("moment", {name: Required[kind] for name, kind in _MARK.items()}, total=False)
    words: dict[str, Any] = {
        "alias": str | None,
        "sent": Required[str],
        "path": Required[str | None],
        "name": Required[str | None],
    }
    files = _columns("media_files", {"viewed_by_provider", "publicly_available", "annotations"}, **words)
    seen: dict[str, Any] = {"port": Required[_KINDS["int32"] | None], "seen_at": Required[datetime | None]}
    identifiers = _columns("identifiers", {"kind", "value", "original", "time_ambiguous"}, subject=_PLACE, **seen)
    persons = _columns("subjects", {"role"}, addresses=list[dict[str, str]] | None)
    told: list[tuple[Any, ...]] = [
        ("member", Annotated[int, Meta(ge=0)]),
        ("reader", str),
        ("referral", _columns("referrals", set())),
        ("times", dict[str, moment]),
        ("subjects", list[persons]),  # type: ignore[valid-type]
        ("identifiers", list[identifiers]),  # type: ignore[valid-type]
        ("facts", list[_columns("facts", {"name", "value", "source_path"}, subject=_PLACE, file=_PLACE)]),  # type: ignore[misc]
        ("narratives", list[_columns("narratives", {"kind", "position", "text"})]),  # type: ignore[misc]
        ("files", list[files]),  # type: ignore[valid-type]
        ("defects", list[_columns("defects", {"field", "problem"})]),  # type: ignore[misc]
        ("hints", list[dict[str, str]]),
        ("prior", list[str]),
        ("viewed", list[str]),
        ("force_stated", str | None),
        ("given_identifiers", Count),
        ("unusable_identifiers", Count),
        ("withheld_identifiers", Count),
        ("restricted", str),
        ("personas", list[str]),
        ("masked", bool),
    ]
    report = msgspec.defstruct("Told", told)
    return msgspec.defstruct(
        "Answer",
        [
            ("faults", list[str]),
            ("waits", list[str]),
            ("members", list[ListedMembers]),
            ("left_out", Count),
            ("wanted", dict[str, tuple[str, str]]),
            ("missing", list[str]),
            ("reasons", list[str]),
            ("report", report | None),
        ],
    )


@cache
def _decoder() -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(answer_type())


ASKED = msgspec.json.Decoder(Ask)
encode = msgspec.json.encode


class ReadingRubbishError(Exception):
    """The answer is not one; the text says in which place."""


def decode(data: bytes) -> Any:
    """An answer. Raises RubbishError for anything that is none."""
    if b"\\" in data and b"\\u0000" in data:  # no table of ours takes it; the reader never lets one through
        raise ReadingRubbishError("null")
    try:
        return _decoder().decode(data)
    except (msgspec.DecodeError, RecursionError, OverflowError) as error:
        raise ReadingRubbishError(str(error).rpartition("`$")[2].strip("`.")) from None


def send(channel: socket.socket, parts: Sequence[bytes], descriptors: Sequence[int] = ()) -> None:
    """Send some parts as one frame, with descriptors. Raises OSError."""
    data = b"".join([_LENGTH.pack(len(parts)), *(_LENGTH.pack(len(part)) for part in parts), *parts])
    first = data[:_FRAME]
    if descriptors:
        socket.send_fds(channel, [first], descriptors[:DESCRIPTORS_AT_ONCE])
    else:  # the limited process may not send any
        channel.send(first)
    for start in range(_FRAME, len(data), _FRAME):
        channel.send(data[start : start + _FRAME])


def receive(channel: socket.socket, most: int, deadline: float | None = None) -> tuple[list[bytes], list[int]] | None:
    """The parts of one frame, with its descriptors; None when the channel is closed.

    Raises RubbishError for a frame of more than `most` bytes or of another shape, TimeoutError at `deadline` (of
    time.monotonic), OSError.
    """
    _wait(channel, deadline)
    first, descriptors, _, _ = socket.recv_fds(channel, _FRAME, DESCRIPTORS_AT_ONCE)
    if not first:
        return None
    lengths = _lengths(first)
    whole = _LENGTH.size * (1 + len(lengths)) + sum(lengths)
    if whole > most or len(first) > whole:
        raise ReadingRubbishError("length")
    pieces, have = [first], len(first)
    while have < whole:
        _wait(channel, deadline)
        piece = channel.recv(_FRAME)
        if not piece:
            return None
        pieces.append(piece)
        have += len(piece)
    data = memoryview(b"".join(pieces) if len(pieces) > 1 else first)
    parts, at = [], _LENGTH.size * (1 + len(lengths))
    for length in lengths:
        parts.append(bytes(data[at : at + length]))
        at += length
    return parts, descriptors


def _lengths(first: bytes) -> list[int]:
    """The lengths at the head of a frame. Raises RubbishError."""
    if len(first) < _LENGTH.size:
        raise ReadingRubbishError("length")
    (count,) = _LENGTH.unpack_from(first)
    if not 1 <= count <= 2 or len(first) < _LENGTH.size * (1 + count):
        raise ReadingRubbishError("length")
    return [_LENGTH.unpack_from(first, _LENGTH.size * (1 + n))[0] for n in range(count)]


def _wait(channel: socket.socket, deadline: float | None) -> None:
    if deadline is not None:
        channel.settimeout(max(0.001, deadline - time.monotonic()))
