# ruff: noqa: PLR0917, PLR1714 - kernels are loops over bytes: numba compiles neither sets nor calls well
"""Numba kernels that turn the values `kernel.read_objects` found into typed columns: hex, base64, tri-states, numbers, texts.

A value that is not of the usual form makes its row unusual, and the row is read again by orjson.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hashsets.readers.vectors import base64_12, copy32, hex8, hex_digits
from pipeline.matching.core.compiled.jit import kernel


@kernel
def hex_words(
    data: Any, kind: Any, begin: Any, end: Any, width: Any, refused: Any, out: Any, usual: Any
) -> Any:  # pragma: no cover
    """Hex strings of `width` bytes as big-endian words out (words, rows); absent, null and "" are no value (zeros).

    A value of another form, all zero or equal to `refused` makes its row unusual.
    """
    base = data.ctypes.data
    words = out.shape[0]
    for row in range(len(kind)):
        for w in range(words):
            out[w, row] = 0
        if kind[row] < 2 or (kind[row] == 2 and begin[row] == end[row]):
            continue
        if kind[row] != 2 or end[row] - begin[row] != 2 * width:
            usual[row] = 0
            continue
        zero = same = digits = True
        for w in range(words):
            p = base + np.int64(begin[row]) + 16 * w
            size = min(8, width - 8 * w)
            value = hex8(p) >> np.uint64(64 - 8 * size)
            digits &= ~hex_digits(p) & ((1 << (2 * size)) - 1) == 0
            out[w, row] = value
            zero &= value == 0
            same &= value == refused[w]
        if zero or same or not digits:
            usual[row] = 0


@kernel
def base64_values(
    data: Any, kind: Any, begin: Any, end: Any, out: Any, present: Any, usual: Any
) -> Any:  # pragma: no cover
    """Base64 strings without padding as bytes out (rows, width, and 16 bytes of room); anything else makes its row
    unusual. The width is a multiple of twelve bytes."""
    base, target = data.ctypes.data, out.ctypes.data
    rows = len(kind)
    width = (len(out) - 16) // rows
    for row in range(rows):
        present[row] = False
        if kind[row] < 2 or (kind[row] == 2 and begin[row] == end[row]):
            continue
        if kind[row] != 2 or (end[row] - begin[row]) * 3 != width * 4:
            usual[row] = 0
            continue
        known = 0xFFFF
        for k in range(width // 12):
            known &= base64_12(base + np.int64(begin[row]) + 16 * k, target + row * width + 12 * k)
        zero = True
        for k in range(row * width, (row + 1) * width):
            zero &= out[k] == 0
        if known != 0xFFFF or zero:
            usual[row] = 0
        else:
            present[row] = True


@kernel
def tristate(
    data: Any, kind: Any, begin: Any, end: Any, values: Any, known: Any, usual: Any
) -> Any:  # pragma: no cover
    """true, false, null, absent, "" and the words true and false in any case; else the row is unusual."""
    for row in range(len(kind)):
        k = kind[row]
        known[row] = False
        values[row] = False
        if k == 4 or k == 5:
            known[row], values[row] = True, k == 4
        elif k == 2 and end[row] > begin[row]:
            n = end[row] - begin[row]
            p = begin[row]
            if (
                n == 4
                and data[p] | 32 == 116
                and data[p + 1] | 32 == 114
                and data[p + 2] | 32 == 117
                and data[p + 3] | 32 == 101
            ):
                known[row], values[row] = True, True
            elif (
                n == 5
                and data[p] | 32 == 102
                and data[p + 1] | 32 == 97
                and data[p + 2] | 32 == 108
                and data[p + 3] | 32 == 115
                and data[p + 4] | 32 == 101
            ):
                known[row] = True
            else:
                usual[row] = 0
        elif k == 3:
            usual[row] = 0


@kernel
def numbers(data: Any, kind: Any, begin: Any, end: Any, values: Any, known: Any, usual: Any) -> Any:  # pragma: no cover
    """Whole numbers, also as digits in a string (18 at most); else the row is unusual."""
    for row in range(len(kind)):
        k = kind[row]
        known[row] = False
        values[row] = 0
        if k < 2 or (k == 2 and begin[row] == end[row]):
            continue
        if k > 3 or end[row] - begin[row] > 18:
            usual[row] = 0
            continue
        total: Any = 0
        fine = True
        for p in range(begin[row], end[row]):
            fine &= 48 <= data[p] <= 57
            total = total * 10 + np.int64(data[p]) - 48
        if fine:
            known[row], values[row] = True, total
        else:
            usual[row] = 0


@kernel
def text_lengths(kind: Any, begin: Any, end: Any, longest: Any, offsets: Any, usual: Any) -> Any:  # pragma: no cover
    """Offsets (rows + 1) of the texts and numbers of a column; true, false and texts over `longest` are unusual."""
    at = 0
    for row in range(len(kind)):
        offsets[row] = at
        k = kind[row]
        if k == 2 or k == 3:
            if end[row] - begin[row] > longest:
                usual[row] = 0
            else:
                at += end[row] - begin[row]
        elif k > 3:
            usual[row] = 0
    offsets[len(kind)] = at
    return at


@kernel
def list_parts(
    data: Any, kind: Any, begin: Any, end: Any, parts: Any, spans: Any, usual: Any
) -> Any:  # pragma: no cover
    """Comma-delimited texts: how many parts each has (parts, rows + 1 offsets) and where they are (spans), trimmed.

    A row is unusual when a part is empty or repeated, or when there is no room left in spans. Returns (parts, bytes).
    """
    n = size = 0
    for row in range(len(kind)):
        parts[row] = n
        if kind[row] > 2:
            usual[row] = 0
        if kind[row] != 2 or begin[row] == end[row]:
            continue
        first = n
        p = begin[row]
        fine = True
        while p <= end[row] and fine:
            q = p
            while q < end[row] and data[q] != 44:
                q += 1
            low, high = p, q
            while low < high and data[low] == 32:
                low += 1
            while high > low and data[high - 1] == 32:
                high -= 1
            fine = low < high and n < len(spans)
            for k in range(first, n):
                if fine and spans[k, 1] - spans[k, 0] == high - low:
                    same = True
                    for m in range(high - low):
                        same &= data[spans[k, 0] + m] == data[low + m]
                    fine &= not same
            if fine:
                spans[n, 0], spans[n, 1] = low, high
                size += high - low
                n += 1
            p = q + 1
        if not fine:
            usual[row] = 0
    parts[len(kind)] = n
    return n, size


@kernel
def copy_spans(data: Any, spans: Any, offsets: Any, out: Any) -> Any:  # pragma: no cover
    """Copy the spans end to end, with their offsets."""
    at = 0
    for k in range(len(spans)):
        offsets[k] = at
        for p in range(spans[k, 0], spans[k, 1]):
            out[at] = data[p]
            at += 1
    offsets[len(spans)] = at


@kernel
def copy_texts(data: Any, begin: Any, offsets: Any, out: Any) -> Any:  # pragma: no cover
    """Copy the texts that `text_lengths` measured end to end; out has 32 bytes of room beyond them."""
    base, target = data.ctypes.data, out.ctypes.data
    for row in range(len(begin)):
        for at in range(0, offsets[row + 1] - offsets[row], 32):
            copy32(target + np.int64(offsets[row]) + at, base + np.int64(begin[row]) + at)
