"""What passes between the parent and a worker: one datagram per message on a Unix socket of type SOCK_SEQPACKET.

Requests come from us and are JSON. Answers come from a process that has read hostile input: they are fixed-size binary
records, and every field is checked here before anything uses it. Only digests, hashes, numbers, codes and a few short
printable texts can be said at all. Half an answer is a datagram of the wrong length.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any

from pipeline.algorithms import ALGORITHMS, DIGESTS
from pipeline.fingerprint.decode.sniff import CODES, TYPES
from pipeline.fingerprint.facts import CAPTURED, TEXT, TEXT_BYTES, Exif
from pipeline.fingerprint.outcome import Digests, Failure, Fingerprint, Frame, Hashes, Reason, State, Variant

MAGIC = b"TFW1"
LARGEST = 1 << 17
"""Largest datagram in bytes; a longer one is cut by the kernel and then has the wrong length."""
MAX_VARIANTS = 512
MAX_FRAMES = 1500
NAME_BYTES = 80
GEOMETRY_BYTES = 240
MAX_SIDE = 1 << 24

REASONS = tuple(Reason)
STATES = tuple(State)

_HEADER = struct.Struct("<4sBQI")  # magic, kind, job, largest resident KiB of the worker so far
_HELLO = struct.Struct("<II")  # layers, Landlock ABI
_TICK = struct.Struct("<Q")
_WIDTHS = "".join(f"{ALGORITHMS[name].width}s" for name in DIGESTS)
_DIGESTS = struct.Struct(f"<Q{_WIDTHS}64sB")  # size, the digests of every content, SHA-512, media type
_FAILED = struct.Struct("<B40s")
_REFINED = struct.Struct(f"<h{GEOMETRY_BYTES}sh")  # bits, geometry in words, weighed bits
_RESULT = struct.Struct(f"<BB40siiidB32sh32s8s8sBBB32s{TEXT_BYTES}s{TEXT_BYTES}s{TEXT_BYTES}sBHHII")
_VARIANT = struct.Struct(f"<{NAME_BYTES}s32sB")
_FRAME = struct.Struct("<id32sB")

_WORD = re.compile(r"[A-Za-z0-9_.]{0,40}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,+% -]*")
_GEOMETRY = re.compile(r"known picture[a-z0-9 ,.%-]*")


class Kind(IntEnum):
    """Kinds of answer."""

    HELLO = 1
    TICK = 2
    DIGESTS = 3
    RESULT = 4
    REFINED = 5
    FAILED = 6


class RubbishError(ValueError):
    """A worker's answer is not a valid record."""


@dataclass(frozen=True)
class Reply:
    """A checked answer. `body` is two ints for HELLO (layers, Landlock ABI), one for TICK (bytes read), (Digests, media type) for DIGESTS,
    a Fingerprint without its digests for RESULT, a list of (distance, geometry) for REFINED, a Failure for FAILED."""

    kind: Kind
    job: int
    resident_kib: int
    body: Any


def request(**fields: Any) -> bytes:
    """A request as bytes; values of type bytes are sent as hex."""
    return json.dumps(fields, default=bytes.hex).encode()


def _pack(kind: Kind, job: int, resident_kib: int, body: bytes) -> bytes:
    return _HEADER.pack(MAGIC, kind, job, min(resident_kib, 0xFFFFFFFF)) + body


def hello(layers: int, abi: int) -> bytes:
    return _pack(Kind.HELLO, 0, 0, _HELLO.pack(layers, abi))


def tick(job: int, size: int) -> bytes:
    return _pack(Kind.TICK, job, 0, _TICK.pack(size))


def digests(job: int, resident_kib: int, found: Digests, media_type: str) -> bytes:
    body = _DIGESTS.pack(found.size, *(getattr(found, name) for name in DIGESTS), found.sha512, CODES[media_type])
    return _pack(Kind.DIGESTS, job, resident_kib, body)


def failed(job: int, resident_kib: int, reason: Reason, detail: str) -> bytes:
    return _pack(Kind.FAILED, job, resident_kib, _FAILED.pack(REASONS.index(reason), _word(detail)))


def refined(job: int, resident_kib: int, found: Sequence[tuple[int, str, int]]) -> bytes:
    body = b"".join(_REFINED.pack(bits, _fitting(words, GEOMETRY_BYTES), weighed) for bits, words, weighed in found)
    return _pack(Kind.REFINED, job, resident_kib, body)


def result(job: int, resident_kib: int, found: Fingerprint) -> bytes:
    """The answer of a decoded file; its digests went ahead in their own record."""
    hashes, exif = found.hashes, found.exif
    fixed = _RESULT.pack(
        STATES.index(found.state),
        REASONS.index(found.reason),
        _word(found.detail),
        found.width or 0,
        found.height or 0,
        found.frames or 0,
        -1.0 if found.duration is None else found.duration,
        hashes is not None,
        *((hashes.pdq, hashes.pdq_quality, hashes.phash256, hashes.phash64, hashes.dhash64, hashes.low_information, hashes.mostly_flat)
          if hashes else (b"", 0, b"", b"", b"", False, False)),
        exif is not None,
        *((exif.captured.encode(), exif.make.encode(), exif.model.encode(), exif.software.encode(), exif.gps)
          if exif else (b"", b"", b"", b"", False)),
        len(found.variants),
        len(found.video_frames),
        min(found.skipped_packets, 0xFFFFFFFF),
        min(found.unseen, 0xFFFFFFFF),
    )  # fmt: skip
    items = [_VARIANT.pack(_fitting(v.name, NAME_BYTES), v.pdq, v.quality) for v in found.variants]
    items += [_FRAME.pack(f.number, f.seconds, f.pdq, f.quality) for f in found.video_frames]
    return _pack(Kind.RESULT, job, resident_kib, fixed + b"".join(items))


def _fitting(text: str, most: int) -> bytes:
    raw = text.encode()
    if len(raw) > most:
        raise ValueError(f"{text!r} is longer than the {most} bytes that a record has for it")
    return raw


def _word(text: str) -> bytes:
    return re.sub(r"[^A-Za-z0-9_.]", "", text)[:40].encode()


def parse(data: bytes) -> Reply:
    """Check an answer. Raises RubbishError for anything but a valid record."""
    if len(data) < _HEADER.size:
        raise RubbishError("short")
    magic, code, job, resident = _HEADER.unpack_from(data)
    if magic != MAGIC or code not in Kind._value2member_map_:
        raise RubbishError("header")
    kind, body = Kind(code), data[_HEADER.size :]
    if kind is Kind.RESULT:
        return Reply(kind, job, resident, _parse_result(body))
    try:
        return Reply(kind, job, resident, _SIMPLE[kind](body))
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise RubbishError(kind.name) from error


def _parse_hello(body: bytes) -> tuple[int, int]:
    layers, abi = _HELLO.unpack(body)
    return layers, abi


def _parse_tick(body: bytes) -> int:
    size: int = _TICK.unpack(body)[0]
    return size


def _parse_digests(body: bytes) -> tuple[Digests, str]:
    size, *made, sha512, media = _DIGESTS.unpack(body)
    more = sha512 if any(sha512) else b""  # not made: zeros
    return Digests(size=size, sha512=more, **dict(zip(DIGESTS, made, strict=True))), TYPES[media].name


def _parse_failed(body: bytes) -> Failure:
    reason, detail = _FAILED.unpack(body)
    return Failure(REASONS[reason], _text(detail, _WORD))


def _parse_refined(body: bytes) -> list[tuple[int, str, int]]:
    found = [(bits, _text(words, _GEOMETRY), weighed) for bits, words, weighed in _REFINED.iter_unpack(body)]
    if not all(0 <= bits <= 256 and 0 <= weighed <= 256 for bits, _, weighed in found):
        raise RubbishError("distance")
    return found


_SIMPLE = {
    Kind.HELLO: _parse_hello,
    Kind.TICK: _parse_tick,
    Kind.DIGESTS: _parse_digests,
    Kind.FAILED: _parse_failed,
    Kind.REFINED: _parse_refined,
}
_NO_DIGESTS = Digests(b"", b"", b"", 0)


def _parse_result(body: bytes) -> Fingerprint:
    if len(body) < _RESULT.size:
        raise RubbishError("short")
    (state, reason, detail, width, height, frames, duration, has_hashes, pdq, quality, phash256, phash64, dhash64, low, flat,
     has_exif, captured, make, model, software, gps, variants, video, skipped, unseen) = _RESULT.unpack_from(body)  # fmt: skip
    if variants > MAX_VARIANTS or video > MAX_FRAMES:
        raise RubbishError("counts")
    if len(body) != _RESULT.size + variants * _VARIANT.size + video * _FRAME.size:
        raise RubbishError("length")
    if state >= len(STATES) or reason >= len(REASONS) or {has_hashes, low, flat, has_exif, gps} - {0, 1}:
        raise RubbishError("code")
    if not (0 <= width <= MAX_SIDE and 0 <= height <= MAX_SIDE and frames >= 0 and 0 <= quality <= 100):
        raise RubbishError("number")
    if not (duration == -1.0 or (math.isfinite(duration) and 0 <= duration < 1e7)):
        raise RubbishError("duration")
    if (STATES[state] in (State.HASHED, State.PARTIAL)) != bool(has_hashes or video) or STATES[state] is State.REJECTED:
        raise RubbishError("state")
    try:
        maker, camera, program = (_text(raw, TEXT) for raw in (make, model, software))
        exif = Exif(_text(captured, CAPTURED), maker, camera, program, bool(gps)) if has_exif else None
        word = _text(detail, _WORD)
        start = _RESULT.size
        found_variants = tuple(_variant(body, start + i * _VARIANT.size) for i in range(variants))
        start += variants * _VARIANT.size
        found_frames = tuple(_frame(body, start + i * _FRAME.size) for i in range(video))
    except UnicodeDecodeError as error:
        raise RubbishError("text") from error
    if any(b.number <= a.number or b.seconds < a.seconds for a, b in itertools.pairwise(found_frames)):
        raise RubbishError("order")
    if len({v.name for v in found_variants}) != variants:
        raise RubbishError("names")
    return Fingerprint(
        _NO_DIGESTS,
        "",
        STATES[state],
        REASONS[reason],
        word,
        width or None,
        height or None,
        frames or None,
        None if duration == -1.0 else duration,
        Hashes(pdq, quality, phash256, phash64, dhash64, bool(low), bool(flat)) if has_hashes else None,
        exif,
        found_variants,
        found_frames,
        skipped,
        unseen,
    )


def _variant(body: bytes, at: int) -> Variant:
    name, pdq, quality = _VARIANT.unpack_from(body, at)
    if quality > 100:
        raise RubbishError("quality")
    return Variant(_variant_name(name), pdq, quality)


@lru_cache(maxsize=1024)
def _variant_name(raw: bytes) -> str:
    """Checked once: every picture has the same hundred and fifty names."""
    return _text(raw, _NAME)


def _frame(body: bytes, at: int) -> Frame:
    number, seconds, pdq, quality = _FRAME.unpack_from(body, at)
    if quality > 100 or number < 0 or not (math.isfinite(seconds) and 0 <= seconds < 1e7):
        raise RubbishError("frame")
    return Frame(number, seconds, pdq, quality)


def _text(raw: bytes, pattern: re.Pattern[str]) -> str:
    text = raw.rstrip(b"\0").decode("ascii")
    if not pattern.fullmatch(text):
        raise RubbishError("text")
    return text
