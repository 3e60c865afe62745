"""JSON text with sorted keys and no white space: equal values give equal bytes."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson


def canonical_json(value: Any) -> str:
    """JSON text with sorted keys and no white space: equal values give equal bytes."""
    return _CANONICAL.encode(value)


def json_value(text: str) -> Any:
    """What JSON text says, three times as fast as the standard library's reader. Raises ValueError for text that is none."""
    # orjson reads whole numbers of more than 64 bits as inexact ones
    return json.loads(text) if _LONG_NUMBER.search(text) else orjson.loads(text)


def json_text(value: Any) -> str:
    """`canonical_json` for the columns of a table, ten times as fast; the exponents of some numbers look different.

    Raises ValueError for what JSON cannot write (infinity, not a number), TypeError for a type that it does not have.
    """
    try:
        text = orjson.dumps(value, option=_SORTED)
    except TypeError:
        return canonical_json(value)  # whole numbers of more than 64 bits; it says what else is wrong
    # orjson writes a number that is none as null
    return canonical_json(value) if b"null" in text else text.decode()


_LONG_NUMBER = re.compile(r"[0-9]{19}")
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
