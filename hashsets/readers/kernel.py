# ruff: noqa: PLR0912, PLR0917, PLR1714 - kernels are loops over bytes: numba compiles neither sets nor calls well
"""Numba kernels that read flat JSON objects straight into columns, one pass over the bytes and no Python object a value.

The kernels accept only the usual: members with plain ASCII strings, whole numbers, true, false and null, under keys
that are known and not repeated. Every other object is left to orjson, whole, with the verdict that it gives: so
whatever is taken here, a strict JSON parser would have read the same way (tests compare the two on every input).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hashsets.readers.vectors import byte, lowest, same, special
from pipeline.matching.core.compiled.jit import inlined, kernel

ABSENT, NULL, STRING, NUMBER, TRUE, FALSE = range(6)
"""Kinds of a member's value."""

MORE, ENDED = 0, 1
"""Why `read_objects` stopped: at the end of the buffer, or at something that goes on with no object."""

LONGEST_KEY = 32
"""Bytes a key has room for: they are compared at once."""


class Keys:
    """The known keys as arrays for the kernel: a perfect hash over length, first and last byte."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        raw = [n.encode("ascii") for n in names]
        if max(map(len, raw)) >= LONGEST_KEY:  # pragma: no cover - the keys are constants
            raise ValueError("a key is too long")
        self.text = np.frombuffer(b"".join(r.ljust(LONGEST_KEY, b"\0") for r in raw), np.uint8)
        self.length = np.array([len(r) for r in raw], np.int64)
        for salt in range(1, 4096):
            slots = [((len(r) * salt) ^ (r[0] * 7) ^ (r[-1] * 31 * salt)) & 255 for r in raw]
            if len(set(slots)) == len(slots):
                break
        else:  # pragma: no cover - the keys are constants
            raise ValueError("no perfect hash for these keys")
        self.salt = salt
        self.slot = np.full(256, -1, np.int64)
        self.slot[slots] = np.arange(len(raw))


@kernel
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


@inlined
def _blank(p: Any) -> Any:  # pragma: no cover
    """Place of the next byte from `p` on that is no white space."""
    c = byte(p)
    while c == 32 or c == 10 or c == 13 or c == 9:
        p += 1
        c = byte(p)
    return p


@inlined
def _plain(p: Any) -> Any:  # pragma: no cover
    """Place of the next byte from `p` on that ends the plain part of a string."""
    found = special(p)
    while found == 0:
        p += 32
        found = special(p)
    return p + lowest(found)


@inlined
def _close(p: Any, end: Any) -> Any:  # pragma: no cover
    """Place after the object that opens at `p`, or 0 when it does not end before `end`."""
    depth = 0
    quoted = False
    while p < end:
        c = byte(p)
        if quoted:
            if c == 92:
                p += 1
            elif c == 34:
                quoted = False
        elif c == 34:
            quoted = True
        elif c == 123 or c == 91:
            depth += 1
        elif c == 125 or c == 93:
            depth -= 1
            if depth == 0:
                return p + 1
        p += 1
    return 0


@inlined
def _word(p: Any, c: Any) -> Any:  # pragma: no cover
    """Kind of the value null, true or false at `p`, which begins with `c`; ABSENT for anything else."""
    if c == 110 and byte(p + 1) == 117 and byte(p + 2) == 108 and byte(p + 3) == 108:
        return NULL
    if c == 116 and byte(p + 1) == 114 and byte(p + 2) == 117 and byte(p + 3) == 101:
        return TRUE
    if c == 102 and byte(p + 1) == 97 and byte(p + 2) == 108 and byte(p + 3) == 115 and byte(p + 4) == 101:
        return FALSE
    return ABSENT


@inlined
def _number(p: Any) -> Any:  # pragma: no cover
    """Place after the whole number of at most 18 digits at `p`, or 0."""
    begin = p
    c = byte(p)
    zero = c == 48
    while 48 <= c <= 57:
        p += 1
        c = byte(p)
    digits = p - begin
    return 0 if digits == 0 or digits > 18 or (zero and digits > 1) else p


@inlined
def _value(p: Any) -> Any:  # pragma: no cover
    """The value at `p`: its kind (ABSENT when it is not of the usual form), begin and end, and the place after it."""
    c = byte(p)
    if c == 34:
        end = _plain(p + 1)
        return (STRING if byte(end) == 34 else ABSENT), p + 1, end, end + 1
    kind = _word(p, c)
    if kind != ABSENT:
        end = p + (5 if kind == FALSE else 4)
        return kind, p, end, end
    end = _number(p)
    return (NUMBER if end else ABSENT), p, end, end


@kernel
def read_objects(data: Any, i: Any, end: Any, comma: Any, keys: Any, out: Any) -> Any:  # pragma: no cover
    """Objects of an array from data[i:end]; `comma` says that a comma or the array's end is due. `data` goes on for
    64 quotes or more beyond `end`, so that no walk leaves it. Kinds are zero on entry.

    out = kinds, begins, ends (fields, rows); rows (rows, 3): begin, end and whether the object is usual.
    Returns (rows, position, comma, why it stopped: MORE or ENDED).
    """
    kinds, begins, ends, rows = out
    text, length, slot, salt = keys
    base, names = data.ctypes.data, text.ctypes.data
    p, last = base + i, base + end
    for n in range(rows.shape[0]):
        mark = p
        p = _blank(p)
        if comma and p < last:
            if byte(p) != 44:
                return n, mark - base, comma, ENDED
            p = _blank(p + 1)
        if p >= last:
            return n, mark - base, comma, MORE
        start = p
        if byte(p) != 123:
            return n, mark - base, comma, ENDED
        p = _blank(p + 1)
        usual = byte(p) == 34
        while usual:
            key = p + 1
            found = special(key)
            size = lowest(found) if found else 0
            if size == 0 or byte(key + size) != 34:
                usual = False
                break
            field = slot[((size * salt) ^ (byte(key) * 7) ^ (byte(key + size - 1) * 31 * salt)) & 255]
            if (
                field < 0
                or length[field] != size
                or ~same(key, names + field * LONGEST_KEY) & ((1 << size) - 1)
                or kinds[field, n] != 0
            ):
                usual = False
                break
            p = _blank(key + size + 1)
            if byte(p) != 58:
                usual = False
                break
            kind, left, right, p = _value(_blank(p + 1))
            if kind == ABSENT:
                usual = False
                break
            kinds[field, n], begins[field, n], ends[field, n] = kind, left - base, right - base
            p = _blank(p)
            c = byte(p)
            if c == 125:
                p += 1
                break
            p = _blank(p + 1)
            usual = c == 44 and byte(p) == 34
        if usual and p > last:
            return n, mark - base, comma, MORE
        if not usual:
            p = _close(start, last)
            if p == 0:
                return n, mark - base, comma, MORE
        rows[n, 0], rows[n, 1], rows[n, 2] = start - base, p - base, usual
        comma = True
    return rows.shape[0], p - base, comma, MORE


@kernel
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
