"""Cuts a large JSON document into the objects of one array, in constant memory.

Kernels walk the bytes once (hashsets/readers/kernel.py): flat objects are read straight into columns, any other is
handed to orjson whole. What lies outside the objects (the envelope) is kept as a skeleton in which each run of objects
is one marker, and is decoded by orjson at the end. So every byte of a file is accepted by a strict parser or refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import orjson
from numpy.typing import NDArray

from hashsets.readers import kernel
from hashsets.readers.columns import Table

CHUNK = 4 << 20
MAX_OBJECT = 64 << 20
MAX_SKELETON = 16 << 20
MAX_DEPTH = 64
MARKER = "\x01run"
_MARKER = orjson.dumps(MARKER)
_ARRAY = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*:\s*\[\s*$')
_GUARD = b'"' * 64
"""Beyond the end of the buffer: quotes stop every walk of the kernels."""


class SplitError(Exception):
    """The document is not JSON, or is nested or sized beyond the limits. `offset` is a byte position in the file."""

    def __init__(self, message: str, offset: int, record: int) -> None:
        super().__init__(message)
        self.offset = offset
        self.record = record


@dataclass
class Pass:
    """Some consecutive objects of one array, as `table` holds them: valid until the next pass is asked for.

    `array` counts the arrays opened so far, `first` is the number of the first object in the file, from 1.
    """

    table: Table
    data: NDArray[np.uint8]
    buffer: bytes
    offset: int
    count: int
    first: int
    array: int

    def decode(self, chosen: NDArray[np.bool_]) -> tuple[list[Any], list[int], list[int]]:
        """The chosen objects by orjson, their numbers in the file, and how many members each was written with.

        Raises SplitError with the place of the first that is not JSON, or nested too deep.
        """
        spans = self.table.rows[: self.count][chosen]
        numbers = (np.flatnonzero(chosen) + self.first).tolist()
        shape = np.zeros((len(spans), 2), np.int64)
        kernel.measure(self.data, spans, shape)
        deep = np.flatnonzero(shape[:, 1] > MAX_DEPTH)
        if len(deep):
            row = int(deep[0])
            raise SplitError(
                f"it is nested deeper than {MAX_DEPTH} levels", self.offset + int(spans[row, 0]), numbers[row]
            )
        pieces = [self.buffer[b:e] for b, e in spans[:, :2].tolist()]
        try:
            return orjson.loads(b"[%b]" % b",".join(pieces)), numbers, shape[:, 0].tolist()
        except orjson.JSONDecodeError:
            for piece, begin, number in zip(pieces, spans[:, 0].tolist(), numbers, strict=True):
                try:
                    orjson.loads(piece)
                except orjson.JSONDecodeError as error:
                    raise SplitError(f"not JSON ({error.msg})", self.offset + begin + error.pos, number) from None
            raise


@dataclass
class Envelope:
    """What stands outside the objects; complete only after the last pass. `runs` counts the markers in it."""

    skeleton: bytearray = field(default_factory=bytearray)
    done: int = 0
    runs: int = 0

    def value(self) -> Any:
        """The decoded envelope, each run of objects replaced by MARKER. Raises SplitError if it is not JSON."""
        try:
            return orjson.loads(self.skeleton)
        except orjson.JSONDecodeError as error:
            raise SplitError(f"the text around the records is not JSON ({error.msg})", self.done, 0) from None


def split(
    file: BinaryIO, target: int, array: bytes, table: Table, envelope: Envelope, *, chunk: int = CHUNK
) -> Iterator[Pass]:
    """Passes over the objects that open at depth `target` inside arrays of the key `array`.

    Depth 2 is `{"value": [ {...} ]}`, depth 4 `{"value": [ {"Media": [ {...} ]} ]}`. `envelope` fills as reading
    goes on. Raises SplitError for anything that is not JSON or beyond the limits.
    """
    cutter = _Cutter(target, array, table, envelope)
    first = True
    while data := file.read(chunk):
        if first and data.startswith(b"\xef\xbb\xbf"):
            data = data[3:]
            cutter.offset += 3
        first = False
        yield from cutter.feed(data)
        envelope.done = cutter.offset + len(cutter.kept)
    cutter.finish()


class _Cutter:
    """The state between two chunks: bytes not yet consumed, and whether they stand inside an array of objects."""

    def __init__(self, target: int, array: bytes, table: Table, envelope: Envelope) -> None:
        self.target, self.array, self.table, self.envelope = target, array, table, envelope
        self.state = np.zeros(4, np.int64)
        self.kept = b""
        self.offset = 0
        self.records = 0
        self.arrays = 0
        self.inside = False
        self.comma = False

    def feed(self, data: bytes) -> Iterator[Pass]:
        buffer = self.kept + data + _GUARD
        view = np.frombuffer(buffer, np.uint8)
        end = len(buffer) - len(_GUARD)
        i = 0
        while i < end:
            if not self.inside:
                i = self._outside(view, buffer, i, end)
                continue
            found, i, self.comma, why = self.table.read(view, i, end, self.comma)
            if found:
                yield Pass(self.table, view, buffer, self.offset, found, self.records + 1, self.arrays)
                self.records += found
            if why == kernel.ENDED:
                self.inside = False
                self.envelope.skeleton += _MARKER
                self.envelope.runs += 1
            elif not found:
                break  # the rest of this object is in the next chunk
        self.kept = buffer[i:end]
        self.offset += i
        if len(self.kept) > MAX_OBJECT:
            raise SplitError(f"one record is larger than {MAX_OBJECT >> 20} MiB", self.offset, self.records + 1)

    def _outside(self, view: NDArray[np.uint8], buffer: bytes, i: int, end: int) -> int:
        """Text up to the next object of the array goes to the skeleton; objects of other arrays go with it."""
        at = int(kernel.find_object(view, i, end, self.state, self.target))
        skeleton = self.envelope.skeleton
        skeleton += buffer[i:at]
        if len(skeleton) > MAX_SKELETON or self.state[3] > MAX_DEPTH:
            raise SplitError("there is too much text outside the records", self.offset + at, self.records)
        if at == end:
            return end
        opened = _ARRAY.search(bytes(skeleton[-4096:]))
        if opened and opened.group(1) == self.array:
            self.inside, self.comma = True, False
            self.arrays += 1
            return at
        skeleton += b"{"
        self.state[0] += 1
        return at + 1

    def finish(self) -> None:
        """After the last chunk. Raises SplitError when an object or its array is not closed."""
        self.envelope.done = self.offset + len(self.kept)
        if self.inside:
            raise SplitError("the file ends inside the records", self.envelope.done, self.records + 1)
