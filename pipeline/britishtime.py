"""Moments as people in Britain read them, in one form everywhere: on pages, at the terminal, in explanations."""

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
