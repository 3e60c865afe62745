"""Other ways of writing a time that cannot be read in two ways, turned into the plain one."""

from __future__ import annotations

import re

_BASIC = re.compile(r"(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})?([.,]\d+)?(.*)")
_MAIL = re.compile(
    r"(?:[A-Za-z]{3},?\s+)?(\d{1,2})\s+([A-Za-z]{3})\s+(\d{4})\s+(\d{2}):(\d{2})(?::(\d{2}))?\s*([+-]\d{4}|GMT|UT|UTC|Z)?"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def plain(text: str) -> str:
    """ISO 8601 basic (`20260102T030405Z`) and RFC 2822 (`Fri, 02 Jan 2026 03:04:05 +0000`) in the plain form; empty for
    anything else. Neither can be read in two ways."""
    if basic := _BASIC.fullmatch(text):
        year, month, day, hour, minute, second, fraction, rest = basic.groups()
        return f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}{fraction or ''}{rest}"
    mail = _MAIL.fullmatch(text)
    if mail and mail[2].lower() in _MONTHS:
        day, name, year, hour, minute, second, offset = mail.groups()
        month = f"{_MONTHS.index(name.lower()) + 1:02d}"
        return (
            f"{year}-{month}-{int(day):02d}T{hour}:{minute}:{second or '00'}{'UTC' if offset == 'UT' else offset or ''}"
        )
    return ""


def zone(written: str) -> str:
    """The zone of `+01:00[Europe/London]` (RFC 9557): the offset where there is one, which says it all; else the name."""
    if not written.endswith("]"):
        return written
    offset, _, name = written[:-1].partition("[")
    return offset.strip() or name.removeprefix("!")
