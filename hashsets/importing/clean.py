"""The one place where a hash set's raw values are judged: columns of a batch to typed columns, and what is refused.

Values are judged by column for speed; a value that is not of the usual form is judged alone, by the `one_*`
functions, which are also the plain twin that the tests compare with.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hashsets.algorithms import StoredHash
from pipeline.algorithms import EMPTY_FILE

_NIBBLE = np.full(256, 255, np.uint8)
for _i, _c in enumerate("0123456789abcdef"):
    _NIBBLE[ord(_c)] = _NIBBLE[ord(_c.upper())] = _i

TRUE = frozenset({"true", "yes", "y", "1", "t"})
FALSE = frozenset({"false", "no", "n", "0", "f"})
UNKNOWN = frozenset({"", "null", "none", "unknown", "n/a", "na", "-"})

_TRI: dict[Any, bool | None] = {None: None, True: True, False: False}
for _words, _value in ((TRUE, True), (FALSE, False), (UNKNOWN, None)):
    for _word in _words:
        for _spelling in (_word, _word.upper(), _word.capitalize()):
            _TRI[_spelling] = _value

MAX_TEXT = 1 << 20
"""Characters of one text value; longer ones are refused."""


class ValueRefusedError(ValueError):
    """One value cannot be taken. `reason` is a code that is counted and written to the rejects file."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Refusals:
    """Refused values of one batch: (row in the batch, field, reason, value as text)."""

    items: list[tuple[int, str, str, str]] = field(default_factory=list)

    def add(self, row: int, name: str, reason: str, value: Any) -> None:
        self.items.append((row, name, reason, str(value)[:200]))


# -- one value -------------------------------------------------------------------------------------------------------


def one_hash(algorithm: StoredHash, value: Any) -> bytes | None:
    """The bytes of a hash written in hex (or, for PhotoDNA and perceptual hashes, base64). None for no value.

    Raises ValueRefusedError: not_text, wrong_length, bad_hex, bad_base64, empty_file, all_zero.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueRefusedError("not_text")
    text = value.strip()
    if not text:
        return None
    if (algorithm.opaque or algorithm.indexed) and len(text) != 2 * algorithm.width:
        decoded = _base64(algorithm, text)
    elif len(text) != 2 * algorithm.width:
        raise ValueRefusedError("wrong_length")
    else:
        try:
            decoded = binascii.unhexlify(text)
        except (binascii.Error, ValueError):
            raise ValueRefusedError("bad_hex") from None
    if decoded == EMPTY_FILE.get(algorithm.name):
        raise ValueRefusedError("empty_file")
    if not any(decoded):
        raise ValueRefusedError("all_zero")
    return decoded


def _base64(algorithm: StoredHash, text: str) -> bytes:
    if len(text.rstrip("=")) != -(-algorithm.width * 4 // 3):
        raise ValueRefusedError("wrong_length")
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueRefusedError("bad_base64") from None
    if len(decoded) != algorithm.width:
        raise ValueRefusedError("wrong_length")
    return decoded


def one_tristate(value: Any) -> bool | None:
    """Yes, no or unknown from a JSON boolean, a number, or a word in any of the spellings seen in real files."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        word = value.strip().lower()
        if word in TRUE:
            return True
        if word in FALSE:
            return False
        if word in UNKNOWN:
            return None
    raise ValueRefusedError("not_yes_or_no")


def one_size(value: Any) -> int | None:
    """Bytes, from a number or digits in a string. Raises ValueRefusedError for anything else, negative or beyond 2^63."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise ValueRefusedError("not_a_number")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        text = value.strip()
        if not (text.isascii() and text.lstrip("+").isdigit() and len(text) < 25):
            raise ValueRefusedError("not_a_number")
        value = int(text)
    if not isinstance(value, int):
        raise ValueRefusedError("not_a_number")
    if not 0 <= value < 2**63:
        raise ValueRefusedError("out_of_range")
    return value


def one_text(value: Any) -> str | None:
    """Text as it is; numbers become their digits; empty is none. Raises ValueRefusedError for lists and objects."""
    if value is None or value == "":
        return None
    if isinstance(value, bool | list | dict):
        raise ValueRefusedError("not_text")
    text = str(value)
    if len(text) > MAX_TEXT:
        raise ValueRefusedError("too_long")
    return text


def one_category(value: Any) -> str | None:
    """A category as text without surrounding space; 3, 3.0, "3" and "3.0" are the same."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = one_text(value)
    bare = text.strip() if text is not None else ""
    whole, point, zeros = bare.partition(".")
    if point and whole.isascii() and whole.isdigit() and zeros and not zeros.strip("0"):
        return whole
    return bare or None


def one_list(value: Any) -> list[str] | None:
    """A comma-delimited string, a list of texts or numbers, or one number, as distinct texts in their order.

    Raises ValueRefusedError for a list that holds something else.
    """
    if value is None or value == "":
        return None
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    texts = [one_text(p) for p in parts]
    return list(dict.fromkeys(t.strip() for t in texts if t and t.strip())) or None


# -- whole columns ---------------------------------------------------------------------------------------------------


def hash_column(
    algorithm: StoredHash, values: list[Any], refusals: Refusals
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Bytes uint8 of shape (n, width), zero where absent, and which rows have a value. Refused ones are recorded."""
    n = len(values)
    out = np.zeros((n, algorithm.width), np.uint8)
    usual, text = _usual_text(algorithm, values)
    done = _decode(algorithm, text, int(usual.sum()))
    good = done.any(axis=1)
    empty = EMPTY_FILE.get(algorithm.name)
    if empty is not None:
        good &= (done != np.frombuffer(empty, np.uint8)).any(axis=1)
    rows = np.flatnonzero(usual)
    out[rows[good]] = done[good]
    present = np.zeros(n, bool)
    present[rows[good]] = True
    if present.all():
        return out, present
    for row in np.flatnonzero(~present).tolist():
        value = values[row]
        if value is None or value == "":
            continue
        try:
            decoded = one_hash(algorithm, value)
        except ValueRefusedError as refused:
            refusals.add(row, algorithm.name, refused.reason, value)
            continue
        if decoded is not None:
            out[row] = np.frombuffer(decoded, np.uint8)
            present[row] = True
    return out, present


def _characters(algorithm: StoredHash) -> int:
    """Characters of the usual spelling: hex, or unpadded base64 for PhotoDNA (192 for 144 bytes)."""
    return algorithm.width * 4 // 3 if algorithm.opaque else algorithm.width * 2


def _usual_text(algorithm: StoredHash, values: list[Any]) -> tuple[NDArray[np.bool_], bytes]:
    """Which values have the usual length, and their text end to end (one byte a character, others replaced)."""
    want = _characters(algorithm)
    try:
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        texts = values
    except TypeError:
        texts = [v if isinstance(v, str) else "" for v in values]
        lengths = np.fromiter(map(len, texts), np.int64, len(values))
    usual = lengths == want
    if not usual.all():
        texts = [t for t in texts if len(t) == want]
    try:
        text = "".join(texts)
    except TypeError:  # lists of the same length as a hash: not text, judged alone
        usual = np.array([isinstance(v, str) and len(v) == want for v in values])
        text = "".join(v for v in values if isinstance(v, str) and len(v) == want)
    return usual, text.encode("ascii", "replace")


def _decode(algorithm: StoredHash, text: bytes, count: int) -> NDArray[np.uint8]:
    """Decoded bytes of shape (count, width); a row that cannot be decoded is left all zero (and judged alone)."""
    if not count:
        return np.zeros((0, algorithm.width), np.uint8)
    if algorithm.opaque:
        return _decode_base64(algorithm, text, count)
    nibbles = _NIBBLE[np.frombuffer(text, np.uint8)].reshape(count, 2 * algorithm.width)
    decoded = (nibbles[:, 0::2] << 4) | (nibbles[:, 1::2] & 15)
    decoded[(nibbles == 255).any(axis=1)] = 0
    return decoded.astype(np.uint8, copy=False)


def _decode_base64(algorithm: StoredHash, text: bytes, count: int) -> NDArray[np.uint8]:
    try:
        if b"=" in text:
            raise binascii.Error
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        width = _characters(algorithm)
        rows = []
        for i in range(count):
            try:
                rows.append(base64.b64decode(text[i * width : (i + 1) * width], validate=True))
            except (binascii.Error, ValueError):
                rows.append(b"")
        decoded = b"".join(r if len(r) == algorithm.width else bytes(algorithm.width) for r in rows)
    return np.frombuffer(decoded, np.uint8).reshape(count, algorithm.width).copy()


def tristate_column(name: str, values: list[Any], refusals: Refusals) -> pa.Array:
    """Booleans, null for unknown."""
    try:
        return pa.array([_TRI[v] for v in values], pa.bool_())
    except (KeyError, TypeError):
        return _column(name, values, one_tristate, pa.bool_(), refusals)


def size_column(name: str, values: list[Any], refusals: Refusals) -> pa.Array:
    """int64, null for unknown."""
    if set(map(type, values)) <= {int, type(None)}:  # pyarrow would cut 0.5 to 0 without a word
        try:
            array = pa.array(values, pa.int64())
            if array.null_count == len(array) or _least(array) >= 0:
                return array
        except (pa.ArrowInvalid, OverflowError):
            pass  # beyond 64 bits: judged one by one below
    return _column(name, values, one_size, pa.int64(), refusals)


def _least(array: pa.Array) -> int:
    least: int = pc.min(array).as_py()
    return least


def text_column(
    name: str, values: list[Any], refusals: Refusals, one: Callable[[Any], str | None] = one_text
) -> pa.Array:
    """Strings, null for none."""
    return _column(name, values, one, pa.string(), refusals)


def list_column(name: str, values: list[Any], refusals: Refusals) -> pa.Array:
    """Lists of strings, null for none. Texts repeat, so each is taken apart once."""
    memo: dict[str, list[str] | None] = {}

    def one(value: Any) -> list[str] | None:
        if not isinstance(value, str):
            return one_list(value)
        if value not in memo:
            memo[value] = one_list(value)
        return memo[value]

    return _column(name, values, one, pa.list_(pa.string()), refusals)


def _column(
    name: str, values: list[Any], one: Callable[[Any], Any], type_: pa.DataType, refusals: Refusals
) -> pa.Array:
    out = []
    for row, value in enumerate(values):
        try:
            out.append(one(value))
        except ValueRefusedError as refused:
            refusals.add(row, name, refused.reason, value)
            out.append(None)
    return pa.array(out, type_)
