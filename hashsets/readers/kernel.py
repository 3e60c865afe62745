# ruff: noqa: PLR0911, PLR0912, PLR0917, PLR1714 - kernels are loops over bytes: numba compiles neither sets nor calls well
"""Numba kernels that read flat JSON objects straight into columns, one pass over the bytes and no Python object a value.

The kernels accept only the usual: members with plain ASCII strings, whole numbers, true, false and null, under keys
that are known and not repeated. Every other object is left to orjson, whole, with the verdict that it gives: so
whatever is taken here, a strict JSON parser would have read the same way (tests compare the two on every input).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

ABSENT, NULL, STRING, NUMBER, TRUE, FALSE = range(6)
"""Kinds of a member's value."""

MORE, ENDED = 0, 1
"""Why `read_objects` stopped: at the end of the buffer, or at something that goes on with no object."""

_SPECIAL = np.zeros(256, np.uint8)
"""1 for bytes that end the plain part of a string: quote, backslash, control characters, anything beyond ASCII."""
_SPECIAL[:32] = 1
_SPECIAL[[34, 92]] = 1
_SPECIAL[127:] = 1

_HEX = np.full(256, 255, np.uint8)
for _i, _c in enumerate("0123456789abcdef"):
    _HEX[ord(_c)] = _HEX[ord(_c.upper())] = _i
_BASE64 = np.full(256, 255, np.uint8)
for _i, _c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"):
    _BASE64[ord(_c)] = _i


class Keys:
    """The known keys as arrays for the kernel: a perfect hash over length, first and last byte."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        raw = [n.encode("ascii") for n in names]
        self.text = np.frombuffer(b"".join(raw), np.uint8)
        self.begin = np.cumsum([0, *map(len, raw)]).astype(np.int64)
        for salt in range(1, 4096):
            slots = [((len(r) * salt) ^ (r[0] * 7) ^ (r[-1] * 31 * salt)) & 255 for r in raw]
            if len(set(slots)) == len(slots):
                break
        else:  # pragma: no cover - the keys are constants
            raise ValueError("no perfect hash for these keys")
        self.salt = salt
        self.slot = np.full(256, -1, np.int64)
        self.slot[slots] = np.arange(len(raw))


@numba.njit(cache=True, nogil=True)
def find_object(data: Any, begin: Any, end: Any, state: Any, target: Any) -> Any:  # pragma: no cover
    """Walk data[begin:end] up to an opening brace at depth `target`; state = depth, in string, escaped, deepest.

    Returns its position, or `end`.
    """
    depth, quoted, escaped, deepest = state[0], state[1], state[2], state[3]
    i = begin
    while i < end:
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
        elif c == 123 or c == 91:
            if c == 123 and depth == target:
                break
            depth += 1
            deepest = max(deepest, depth)
        elif c == 125 or c == 93:
            depth -= 1
        i += 1
    state[0], state[1], state[2], state[3] = depth, quoted, escaped, deepest
    return i


@numba.njit(cache=True, nogil=True)
def _blank(data: Any, i: Any) -> Any:  # pragma: no cover
    while data[i] == 32 or data[i] == 10 or data[i] == 13 or data[i] == 9:
        i += 1
    return i


@numba.njit(cache=True, nogil=True)
def _plain(data: Any, words: Any, special: Any, i: Any) -> Any:  # pragma: no cover
    """Position of the next special byte from `i` on; eight bytes at a time where none of them is special."""
    while i & 7:
        if special[data[i]]:
            return i
        i += 1
    while True:
        w = words[i >> 3]
        quote = w ^ np.uint64(0x2222222222222222)
        slash = w ^ np.uint64(0x5C5C5C5C5C5C5C5C)
        found = (
            ((quote - np.uint64(0x0101010101010101)) & ~quote)
            | ((slash - np.uint64(0x0101010101010101)) & ~slash)
            | ((w - np.uint64(0x2020202020202020)) & ~w)
            | w
            | (w + np.uint64(0x0101010101010101))
        ) & np.uint64(0x8080808080808080)
        if found:
            break
        i += 8
    while special[data[i]] == 0:
        i += 1
    return i


@numba.njit(cache=True, nogil=True)
def _close(data: Any, i: Any, end: Any) -> Any:  # pragma: no cover
    """Position after the object that opens at `i`, or -1 when it does not end before `end`."""
    depth = 0
    quoted = False
    while i < end:
        c = data[i]
        if quoted:
            if c == 92:
                i += 1
            elif c == 34:
                quoted = False
        elif c == 34:
            quoted = True
        elif c == 123 or c == 91:
            depth += 1
        elif c == 125 or c == 93:
            depth -= 1
            if depth == 0:
                return i + 1
        i += 1
    return -1


@numba.njit(cache=True, nogil=True)
def _member(
    data: Any,
    words: Any,
    i: Any,
    text: Any,
    begin: Any,
    slot: Any,
    salt: Any,
    special: Any,
    row: Any,
    kinds: Any,
    begins: Any,
    ends: Any,
) -> Any:  # pragma: no cover
    """One member of an object from its opening quote: position after its value, or -1 when it is not of the usual form."""
    i += 1
    key = i
    while special[data[i]] == 0:
        i += 1
    n = i - key
    if data[i] != 34 or n == 0:
        return -1
    field = slot[((n * salt) ^ (np.int64(data[key]) * 7) ^ (np.int64(data[i - 1]) * 31 * salt)) & 255]
    if field < 0 or begin[field + 1] - begin[field] != n or kinds[field, row] != 0:
        return -1
    for k in range(n):
        if data[key + k] != text[begin[field] + k]:
            return -1
    i = _blank(data, i + 1)
    if data[i] != 58:
        return -1
    i = _blank(data, i + 1)
    c = data[i]
    if c == 34:
        i += 1
        begins[field, row] = i
        i = _plain(data, words, special, i)
        if data[i] != 34:
            return -1
        ends[field, row] = i
        kinds[field, row] = 2
        return i + 1
    begins[field, row] = i
    if c == 110 and data[i + 1] == 117 and data[i + 2] == 108 and data[i + 3] == 108:
        kinds[field, row] = 1
        return i + 4
    if c == 116 and data[i + 1] == 114 and data[i + 2] == 117 and data[i + 3] == 101:
        kinds[field, row] = 4
        return i + 4
    if c == 102 and data[i + 1] == 97 and data[i + 2] == 108 and data[i + 3] == 115 and data[i + 4] == 101:
        kinds[field, row] = 5
        return i + 5
    while 48 <= data[i] <= 57:
        i += 1
    digits = i - begins[field, row]
    if digits == 0 or digits > 18 or (c == 48 and digits > 1):
        return -1
    ends[field, row] = i
    kinds[field, row] = 3
    return i


@numba.njit(cache=True, nogil=True)
def read_objects(
    data: Any, words: Any, i: Any, end: Any, comma: Any, keys: Any, special: Any, out: Any
) -> Any:  # pragma: no cover
    """Objects of an array from data[i:end]; `comma` says that a comma or the array's end is due. `data` goes on for
    eight quotes or more beyond `end`, so that no walk leaves it; `words` is the same memory as uint64.

    out = kinds, begins, ends (fields, rows); rows (rows, 3): begin, end and whether the object is usual.
    Returns (rows, position, comma, why it stopped: MORE or ENDED).
    """
    kinds, begins, ends, rows = out
    text, begin, slot, salt = keys
    limit = rows.shape[0]
    n = 0
    while n < limit:
        mark = i
        i = _blank(data, i)
        if i >= end:
            return n, mark, comma, MORE
        if comma:
            if data[i] != 44:
                return n, mark, comma, ENDED
            i = _blank(data, i + 1)
            if i >= end:
                return n, mark, comma, MORE
        if data[i] != 123:
            return n, mark, comma, ENDED
        start = i
        for k in range(kinds.shape[0]):
            kinds[k, n] = 0
        i = _blank(data, i + 1)
        usual = data[i] == 34
        while usual:
            i = _member(data, words, i, text, begin, slot, salt, special, n, kinds, begins, ends)
            if i < 0:
                usual = False
                break
            i = _blank(data, i)
            if data[i] == 125:
                i += 1
                break
            if data[i] != 44:
                usual = False
                break
            i = _blank(data, i + 1)
            usual = data[i] == 34
        if usual and i > end:
            return n, mark, comma, MORE
        if not usual:
            i = _close(data, start, end)
            if i < 0:
                return n, mark, comma, MORE
        rows[n, 0], rows[n, 1], rows[n, 2] = start, i, usual
        n += 1
        comma = True
    return n, i, comma, MORE


def tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """The byte classes that the kernels take: special, hex, base64."""
    return _SPECIAL, _HEX, _BASE64


@numba.njit(cache=True, nogil=True)
def measure(data: Any, spans: Any, out: Any) -> Any:  # pragma: no cover
    """For each object (begin, end): members at any depth (colons outside strings) and how deep it nests, into out."""
    for row in range(len(spans)):
        colons, depth, deepest = 0, 0, 0
        quoted = False
        i = spans[row, 0]
        while i < spans[row, 1]:
            c = data[i]
            if quoted:
                if c == 92:
                    i += 1
                elif c == 34:
                    quoted = False
            elif c == 34:
                quoted = True
            elif c == 58:
                colons += 1
            elif c == 123 or c == 91:
                depth += 1
                deepest = max(deepest, depth)
            elif c == 125 or c == 93:
                depth -= 1
            i += 1
        out[row, 0], out[row, 1] = colons, deepest
