"""From the kernels' tables to Arrow rows: the usual objects of a JSON hash set, without a Python object a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hashsets.algorithms import BY_NAME
from hashsets.importing import clean, rows
from hashsets.readers import kernel, kernel_values
from hashsets.words import to_words
from pipeline.algorithms import EMPTY_FILE

ROWS = 1 << 15
"""Most objects of one pass."""

_NUMBERS = ("size", "votes")
_FLAGS = frozenset(rows.FLAGS)
_LISTS = ("series", "tags")


class Table:
    """Room for one pass of `kernel.read_objects` over objects with the members of `columns` (key to our column)."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        keys = kernel.Keys(list(columns))
        self.names = list(columns.values())
        self.keys = (keys.text, keys.length, keys.slot, keys.salt)
        # the columns of one row must not fall into one set of the processor's cache, as they would 2^n bytes apart
        shape = (len(columns), ROWS + 64)
        self.kinds, self.begins, self.ends = (
            np.zeros(shape, np.uint8),
            np.zeros(shape, np.int32),
            np.zeros(shape, np.int32),
        )
        self.rows = np.zeros((ROWS, 3), np.int64)

    def read(self, data: NDArray[np.uint8], i: int, end: int, comma: bool) -> tuple[int, int, bool, int]:
        """One pass over data[i:end]: (objects, position, comma due, MORE or ENDED). See `kernel.read_objects`."""
        self.kinds[:] = 0
        out = (self.kinds, self.begins, self.ends, self.rows)
        found, at, due, why = kernel.read_objects(data, i, end, comma, self.keys, out)
        return int(found), int(at), bool(due), int(why)

    def arrow(self, data: NDArray[np.uint8], n: int, first: int) -> tuple[pa.Table, NDArray[np.bool_]]:
        """Staged rows of the usual ones among the first `n` objects, and which were usual.

        A row with any value that is not of the usual form, or with no hash, is left to the general path.
        """
        usual = self.rows[:n, 2].astype(np.uint8)
        made: dict[str, Any] = {}
        keyed = np.zeros(n, bool)
        for field, column in enumerate(self.names):
            kind = self.kinds[field, :n]
            if kind.max(initial=0) <= kernel.NULL:
                continue
            where = (data, kind, self.begins[field, :n], self.ends[field, :n])
            if column in BY_NAME:
                keyed = keyed | self._hashes(column, where, usual, made)
            else:
                made[column] = self._values(column, where, usual)
        position = np.arange(first, first + n, dtype=np.int64)
        taken = usual.astype(bool) & keyed
        arrays = [self._column(f, made, position, n) for f in rows.SCHEMA]
        table = pa.Table.from_arrays(arrays, schema=rows.SCHEMA)
        taken &= ~rows.unread_times(table["updated"], table["updated_at"])  # the general path says so of each
        return (table if taken.all() else table.filter(pa.array(taken))), taken

    def _hashes(self, column: str, where: Any, usual: Any, made: dict[str, Any]) -> NDArray[np.bool_]:
        algorithm = BY_NAME[column]
        data, kind, begin, end = where
        n = len(kind)
        if algorithm.opaque:
            flat, present = np.zeros(n * algorithm.width + 16, np.uint8), np.zeros(n, bool)
            kernel_values.base64_values(data, kind, begin, end, flat, present, usual)
            values = flat[:-16].reshape(n, algorithm.width)
            words = to_words(algorithm, values)
            made[column] = _binary(values, present)
        else:
            refused = EMPTY_FILE.get(column, bytes(algorithm.width))
            refused_words = np.array(
                [w[0] for w in to_words(algorithm, np.frombuffer(refused, np.uint8)[None])], np.uint64
            )
            out = np.empty((algorithm.words, n), np.uint64)
            kernel_values.hex_words(data, kind, begin, end, algorithm.width, refused_words, out, usual)
            words = list(out)
            present = np.asarray(out.any(axis=0), bool)
        mask = None if present.all() else ~present
        for name, values_ in zip(algorithm.columns, words, strict=True):
            made[name] = pa.array(values_, pa.uint64(), mask=mask)
        return present

    def _values(self, column: str, where: Any, usual: Any) -> pa.Array:
        data, kind, begin, end = where
        n = len(kind)
        if column in _FLAGS:
            values, known = np.empty(n, bool), np.empty(n, bool)
            kernel_values.tristate(data, kind, begin, end, values, known, usual)
            return pa.array(values, mask=~known)
        if column in _NUMBERS:
            numbers, known = np.empty(n, np.int64), np.empty(n, bool)
            kernel_values.numbers(data, kind, begin, end, numbers, known, usual)
            return pa.array(numbers, mask=~known)
        if column in _LISTS:
            return _lists(where, usual)
        texts = _texts(where, usual)
        if column == "category" and (kind == kernel.STRING).any():
            return _uniquely(texts, clean.one_category, pa.string())
        return texts

    @staticmethod
    def _column(field: Any, made: dict[str, Any], position: Any, n: int) -> pa.Array:
        if field.name == "position":
            return pa.array(position)
        if field.name == "updated_at" and "updated" in made:
            return rows.timestamps(made["updated"])
        found = made.get(field.name)
        return pa.nulls(n, field.type) if found is None else found


def _binary(values: NDArray[np.uint8], present: NDArray[np.bool_]) -> pa.Array:
    n, width = values.shape
    offsets = np.arange(0, (n + 1) * width, width, dtype=np.int32)
    array = pa.Array.from_buffers(pa.binary(), n, [None, pa.py_buffer(offsets), pa.py_buffer(values)])
    return array if present.all() else pc.if_else(pa.array(present), array, None)


def _texts(where: Any, usual: Any) -> pa.Array:
    """Strings; empty ones and absent ones are null."""
    data, kind, begin, end = where
    n = len(kind)
    offsets = np.empty(n + 1, np.int32)
    size = kernel_values.text_lengths(kind, begin, end, clean.MAX_TEXT, offsets, usual)
    out = np.empty(size + 32, np.uint8)
    kernel_values.copy_texts(data, begin, offsets, out)
    some = offsets[1:] > offsets[:-1]
    valid = None if some.all() else pa.py_buffer(np.packbits(some, bitorder="little"))
    return pa.Array.from_buffers(pa.string(), n, [valid, pa.py_buffer(offsets), pa.py_buffer(out[:size])])


def _lists(where: Any, usual: Any) -> pa.Array:
    """Lists of strings from comma-delimited texts, null for none."""
    data, kind, begin, end = where
    n = len(kind)
    parts, spans = np.empty(n + 1, np.int32), np.empty((4 * n, 2), np.int32)
    count, size = kernel_values.list_parts(data, kind, begin, end, parts, spans, usual)
    offsets, out = np.empty(count + 1, np.int32), np.empty(size, np.uint8)
    kernel_values.copy_spans(data, spans[:count], offsets, out)
    values = pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(out)])
    some = parts[1:] > parts[:-1]
    valid = None if some.all() else pa.py_buffer(np.packbits(some, bitorder="little"))
    return pa.Array.from_buffers(pa.list_(pa.string()), n, [valid, pa.py_buffer(parts)], children=[values])


def _uniquely(texts: pa.Array, one: Any, type_: pa.DataType) -> pa.Array:
    """Apply `one` to each distinct text once."""
    coded = texts.dictionary_encode()
    return pa.array([one(t) for t in coded.dictionary.to_pylist()], type_).take(coded.indices)
