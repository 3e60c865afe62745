"""A shortcut for later runs: which container was what, when last looked at. Losing it costs time, never correctness.

HOME/ingest/seen.json    {"<container>": ["<stat key>", "<package id>"], ...}
"""

from __future__ import annotations

from pathlib import Path

import orjson

from pipeline import files
from pipeline.settings import Settings

Seen = dict[str, tuple[str, str]]


def _path(settings: Settings) -> Path:
    return settings.home / "ingest" / "seen.json"


def load(settings: Settings) -> Seen:
    """What was seen before; empty when the file is missing or damaged."""
    try:
        data = orjson.loads(_path(settings).read_bytes())
        return {str(name): (str(key), str(package)) for name, (key, package) in data.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def save(settings: Settings, seen: Seen) -> None:
    """Replace it, all or nothing."""
    files.write_bytes(_path(settings), orjson.dumps(seen, option=orjson.OPT_SORT_KEYS))
