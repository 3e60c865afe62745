"""Moments as people in Britain read them, and lengths of time, in one form everywhere: on pages, at the terminal, in
explanations."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")


def moment(value: dt.datetime | str | None) -> str:
    """A moment as "21 Nov 2026, 14:05" in British time, or a dash; in the hour that comes twice, with BST or GMT.

    `value` is a moment with its zone, or one as ISO 8601. Raises ValueError for a text that is none.
    """
    if value is None or value == "":
        return "–"
    at = (dt.datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(LONDON)
    twice = at.replace(fold=0).utcoffset() != at.replace(fold=1).utcoffset()
    return f"{at:%-d %b %Y, %H:%M}" + (f" {at:%Z}" if twice else "")


def duration(value: dt.timedelta) -> str:
    """A length of time in its largest sensible unit: "40 minutes", "30 hours", "12 days"."""
    minutes = abs(value) // dt.timedelta(minutes=1)
    if minutes < 120:
        return counted(minutes, "minute")
    if minutes < 72 * 60:
        return counted(minutes // 60, "hour")
    if minutes < 120 * 1440:
        return counted(minutes // 1440, "day")
    return counted(minutes // (30 * 1440), "month")


def counted(count: int, unit: str) -> str:
    """A number of things: "1 package", "1,200 packages"."""
    return f"{count:,} {unit}" if count == 1 else f"{count:,} {unit}s"
