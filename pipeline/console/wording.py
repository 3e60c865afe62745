"""How values are written on pages: codes as words, moments in British time, durations in the largest fitting unit."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from markupsafe import escape

from pipeline import britishtime
from pipeline.algorithms import ALGORITHMS
from pipeline.britishtime import LONDON
from pipeline.senders import SOURCES

moment = britishtime.moment
duration = britishtime.duration

_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
)

WORDS = {
    "very_high": "Very high",
    "high": "High",
    "medium": "Medium",
    "low": "Low",
    "dmi": "DMI",
    **{source.code: source.label for source in SOURCES.values()},
    **{source.folder: source.family for source in SOURCES.values() if source.family != "OTHER"},
    "drb": "NCA (DRB)",
    **{algorithm.name: algorithm.label for algorithm in ALGORITHMS.values()},
    "ip": "IP address",
    "cpu_seconds": "CPU seconds",
    "force_to_first_action": "Force to first action",
    "ncmec_to_nca": "NCMEC to NCA",
    "report_to_ncmec": "Report to NCMEC",
    "nca_to_dissemination": "NCA to dissemination",
    "run_id": "Run",
    "as_of": "Clock of the run",
    "oldest_unanswered": "Oldest unanswered",
    "into": "In",
    "what": "Of what",
    "hours_old": "Hours old",
    "under_2_days": "Under 2 days",
    "days_2_to_7": "2 to 7 days",
    "days_7_to_30": "7 to 30 days",
    "days_30_to_90": "30 to 90 days",
    "over_90_days": "Over 90 days",
    "packages_in_all": "Packages in all, each once",
    "percent_of_files": "% of the source's files",
}


def words(code: Any) -> str:
    """A code as words: `due_soon` as "Due soon"; codes in capitals stay as they are."""
    text = str(code)
    if text in WORDS:
        return WORDS[text]
    if text.isupper():
        return text.replace("_", " ")
    spaced = text.replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:]


def iso(value: dt.datetime | str) -> str:
    """A moment for the `datetime` attribute of a page: ISO 8601 in UTC."""
    at = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    return at.astimezone(dt.UTC).isoformat(timespec="seconds")


def visible(value: Any) -> Any:
    """Text with its control, direction and zero-width characters shown by their number, so that no name on a page looks
    like another or turns the text around it. Markup and all other values stay."""
    if type(value) is not str or not _UNSEEN.search(value):
        return value
    return _UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", value)


_SPECIAL = re.compile(f"[&<>\"']|{_UNSEEN.pattern}")


def shown(value: Any) -> str:
    """A value as a page has it: its unseen characters visible, and escaped unless it is markup. Most texts have neither."""
    if type(value) is str and not _SPECIAL.search(value):
        return value
    return escape(visible(value))


def clock(value: dt.datetime) -> str:
    """The time of day as "14:05:30" in British time."""
    return f"{value.astimezone(LONDON):%H:%M:%S}"


def due(at: dt.datetime, now: dt.datetime) -> str:
    """Where a target stands: "due in 5 hours" or "overdue by 3 days"."""
    left = at - now
    return f"due in {duration(left)}" if left >= dt.timedelta(0) else f"overdue by {duration(left)}"


def cell(value: Any) -> str:  # noqa: PLR0911 (one line per type)
    """A value of a table: nothing as a dash, numbers with separators, moments as read, codes as words."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, dt.datetime):
        return moment(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value)) or "–"
    text = str(value)
    return words(text) if text in WORDS or (text.islower() and "_" in text and " " not in text) else text


def stored(value: Any) -> str:
    """A value of an answer to SQL: texts and codes letter by letter, moments in UTC, all else as in any table."""
    if isinstance(value, dt.datetime):
        return f"{value.astimezone(dt.UTC) if value.tzinfo else value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list | tuple):
        return ", ".join(map(stored, value)) or "–"
    return cell(value)


def size(count: int | None) -> str:
    """Bytes as B, kB or MB."""
    if count is None:
        return "–"
    if count < 10_000:
        return f"{count:,} B"
    return f"{count / 1e3:,.0f} kB" if count < 1e7 else f"{count / 1e6:,.1f} MB"


def number(value: float) -> str:
    """A count with separators."""
    return f"{value:,}"
