"""Rows as CSV and their values as text.

CSV is safe to open in a spreadsheet: text that begins with = + - @, tab, CR or NUL gets a leading apostrophe;
numbers stay numbers (OWASP ASVS 5.0, 1.2.10). Moments are UTC, in the form that spreadsheets take for a time.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

_ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\0")


def as_csv(names: Sequence[str], rows: Iterable[dict[str, Any]]) -> bytes:
    """RFC 4180 CSV in UTF-8 with a header; no cell can start a formula."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\r\n")
    writer.writerow([inert(n) for n in names])
    for row in rows:
        writer.writerow([inert(cell(row.get(n))) if not _is_number(row.get(n)) else row.get(n) for n in names])
    return sink.getvalue().encode()


def inert(text: str) -> str:
    """Text that a spreadsheet will not take for a formula."""
    return "'" + text if text.startswith(_ACTIVE) else text


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def cell(value: Any) -> str:
    """A value as the text of a CSV cell, before `inert`."""
    shown = plain(value)
    if shown is None:
        return ""
    if isinstance(shown, bool):
        return "yes" if shown else "no"
    if isinstance(shown, dict | list):
        return orjson.dumps(shown).decode()
    if isinstance(value, dt.datetime):
        return _sheet_time(value)
    return str(shown)


def _sheet_time(value: dt.datetime) -> str:
    """A moment as a spreadsheet takes it for one: in UTC, without a zone and without a T."""
    at = value.astimezone(dt.UTC) if value.tzinfo else value
    return f"{at:%Y-%m-%d %H:%M:%S}" + (f".{at.microsecond // 1000:03d}" if at.microsecond else "")


def plain(value: Any) -> Any:
    """A value as JSON can hold it: bytes as hex, moments as ISO 8601."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value
