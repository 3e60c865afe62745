"""Cuts a large JSON document into the objects of one array, in constant memory.

A numba kernel walks the bytes once and reports where the objects at a given depth begin and end; whole runs of
objects are then decoded at once by orjson. What lies between the runs (the envelope) is kept as a skeleton in
which each run is one marker, and is decoded at the end: so every byte of the file passes a strict JSON parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numba
import numpy as np
import orjson
from numpy.typing import NDArray

CHUNK = 4 << 20
SPANS = 1 << 15
MAX_OBJECT = 64 << 20
MAX_SKELETON = 16 << 20
MAX_DEPTH = 64
MARKER = "\x01run"
_MARKER = orjson.dumps(MARKER)
_ARRAY = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*:\s*\[\s*$')
_GOES_ON = re.compile(re.escape(_MARKER) + rb"\s*,\s*$")


class SplitError(Exception):
    """The document is not JSON, or is nested or sized beyond the limits. `offset` is a byte position in the file."""

    def __init__(self, message: str, offset: int, record: int) -> None:
        super().__init__(message)
        self.offset = offset
        self.record = record


@dataclass
class Run:
    """Consecutive objects of one array: decoded, with the number of members each was written with."""

    objects: list[Any]
    members: NDArray[np.int64]
    first: int
    opens: bool


@dataclass
class Envelope:
    """What stands outside the objects; complete only after the last run."""

    skeleton: bytearray = field(default_factory=bytearray)
    done: int = 0

    def value(self) -> Any:
        """The decoded envelope, each run of objects replaced by MARKER. Raises SplitError if it is not JSON."""
        try:
            return orjson.loads(self.skeleton)
        except orjson.JSONDecodeError as error:
            raise SplitError(f"the text around the records is not JSON ({error.msg})", self.done, 0) from None


@numba.njit(cache=True, nogil=True)
def _scan(data, begin, end, state, target, spans, members, breaks):  # type: ignore[no-untyped-def]  # noqa: PLR0917  # pragma: no cover
    """Walk data[begin:end]. state = depth, in string, escaped, start of the open object, its members, array left.

    Fills spans (begin, end), members (colons outside strings, at any depth) and breaks (the array was left before
    this object). Returns (objects found, where it stopped, deepest level).
    """
    depth, quoted, escaped, start, colons, left = state[0], state[1], state[2], state[3], state[4], state[5]
    found = 0
    deepest = depth
    i = begin
    while i < end and found < len(spans):
        c = data[i]
        if quoted:
            if escaped:
                escaped = 0
            elif c == 92:
                escaped = 1
            elif c == 34:
                quoted = 0
        elif c == 34:
            quoted = 1
        elif c == 58:
            colons += 1
        elif c == 123 or c == 91:  # noqa: PLR1714 - numba compiles no set
            if depth == target and c == 123 and start < 0:
                start = i
                colons = 0
            depth += 1
            deepest = max(deepest, depth)
        elif c == 125 or c == 93:  # noqa: PLR1714
            depth -= 1
            if depth == target and start >= 0:
                spans[found, 0] = start
                spans[found, 1] = i + 1
                members[found] = colons
                breaks[found] = left
                left = 0
                start = -1
                found += 1
            elif depth < target:
                left = 1
        i += 1
    state[0], state[1], state[2], state[3], state[4], state[5] = depth, quoted, escaped, start, colons, left
    return found, i, deepest


def split(file: BinaryIO, target: int, array: bytes, envelope: Envelope, chunk: int = CHUNK) -> Iterator[Run]:
    """Runs of the objects that open at depth `target` inside arrays of the key `array`.

    Depth 2 is `{"value": [ {...} ]}`, depth 4 `{"value": [ {"Media": [ {...} ]} ]}`. `envelope` fills as reading
    goes on. Raises SplitError for anything that is not JSON or beyond the limits.
    """
    cutter = _Cutter(target, array, envelope)
    first = True
    while True:
        data = file.read(chunk)
        if first and data.startswith(b"\xef\xbb\xbf"):
            data = data[3:]
            cutter.offset += 3
        first = False
        if not data:
            break
        yield from cutter.feed(data)
        envelope.done = cutter.offset + len(cutter.kept)
    cutter.finish()


class _Cutter:
    """The state between two chunks: bytes of an unfinished object, and the scanner's registers."""

    def __init__(self, target: int, array: bytes, envelope: Envelope) -> None:
        self.target, self.array, self.envelope = target, array, envelope
        self.state = np.array([0, 0, 0, -1, 0, 1], np.int64)
        self.spans = np.empty((SPANS, 2), np.int64)
        self.members = np.empty(SPANS, np.int64)
        self.breaks = np.empty(SPANS, np.int64)
        self.kept = b""
        self.offset = 0
        self.records = 0

    def feed(self, data: bytes) -> Iterator[Run]:
        begin = len(self.kept)
        buffer = self.kept + data if begin else data
        view = np.frombuffer(buffer, np.uint8)
        written = 0  # up to where the buffer has gone to a run or the skeleton
        while begin < len(buffer):
            found, begin, deepest = _scan(
                view, begin, len(buffer), self.state, self.target, self.spans, self.members, self.breaks
            )
            if deepest > MAX_DEPTH:
                raise SplitError(f"it is nested deeper than {MAX_DEPTH} levels", self.offset + begin, self.records)
            cuts = np.flatnonzero(self.breaks[:found]).tolist() if found else []
            if found and (not cuts or cuts[0] != 0):
                cuts.insert(0, 0)
            for low, high in zip(cuts, [*cuts[1:], found], strict=True):
                written = yield from self._run(buffer, written, low, high)
        start = int(self.state[3])
        end = start if start >= 0 else len(buffer)
        self._keep_outside(buffer[written:end])
        self.kept = buffer[end:]
        self.offset += end
        if start >= 0:
            self.state[3] = 0
        if len(self.kept) > MAX_OBJECT:
            raise SplitError(f"one record is larger than {MAX_OBJECT >> 20} MiB", self.offset, self.records + 1)

    def _run(self, buffer: bytes, written: int, low: int, high: int) -> Any:
        begin, end = int(self.spans[low, 0]), int(self.spans[high - 1, 1])
        self._keep_outside(buffer[written:begin])
        tail = bytes(self.envelope.skeleton[-4096:])
        opened = _ARRAY.search(tail)
        if not (opened and opened.group(1) == self.array) and not _GOES_ON.search(tail):
            self._keep_outside(buffer[begin:end])
            return end
        objects = self._decode(buffer, low, high)
        self.envelope.skeleton += _MARKER
        yield Run(objects, self.members[low:high].copy(), self.records + 1, bool(opened))
        self.records += high - low
        return end

    def _decode(self, buffer: bytes, low: int, high: int) -> list[Any]:
        begin, end = int(self.spans[low, 0]), int(self.spans[high - 1, 1])
        try:
            objects: list[Any] = orjson.loads(b"[%b]" % buffer[begin:end])
        except orjson.JSONDecodeError as whole:
            for k in range(low, high):
                try:
                    orjson.loads(buffer[int(self.spans[k, 0]) : int(self.spans[k, 1])])
                except orjson.JSONDecodeError as error:
                    place = self.offset + int(self.spans[k, 0]) + error.pos
                    raise SplitError(f"not JSON ({error.msg})", place, self.records + 1 + k - low) from None
            raise SplitError(
                f"the text between records is not JSON ({whole.msg})", self.offset + begin + whole.pos, self.records + 1
            ) from None
        if len(objects) != high - low:
            raise SplitError("something between the records is no record", self.offset + begin, self.records + 1)
        return objects

    def _keep_outside(self, data: bytes) -> None:
        self.envelope.skeleton += data
        if len(self.envelope.skeleton) > MAX_SKELETON:
            raise SplitError("there is too much text outside the records", self.offset, self.records)

    def finish(self) -> None:
        """After the last chunk. Raises SplitError when an object is not closed."""
        if self.state[3] >= 0:
            raise SplitError("the file ends inside a record", self.offset + len(self.kept), self.records + 1)
        self.envelope.done = self.offset
