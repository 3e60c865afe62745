"""A shortcut for later runs: which container was what, when last looked at. Losing it costs time, never correctness.

HOME/ingest/seen.json    {"<container>": ["<stat key>", "<package id>"], ...}

How long what is not complete is there unchanged, by the system's times of change and by when a run first left it waiting:

HOME/ingest/waited.json    {"<container>": ["<stat key>", <ns>], ...}

And the moments at which a run saw each container, kept with the run before anything is made of it, so that a run that is
killed and repeated gives the same rows:

RUNS/<run>/first-seen.json    {"<container>": "<ISO 8601>", ...}
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson

from pipeline import files
from pipeline.contract import Night, run_dir
from pipeline.errors import IntegrityError
from pipeline.settings import Settings

T = TypeVar("T")
SeenContainers = dict[str, tuple[str, str]]
Waited = dict[str, tuple[str, int]]


def _path(settings: Settings) -> Path:
    return settings.home / "ingest" / "seen.json"


def _kept(path: Path, kind: Callable[[Any], T]) -> dict[str, tuple[str, T]]:
    """Container to its stat key and what is noted of it; empty when the file is missing or damaged."""
    try:
        return {str(name): (str(key), kind(noted)) for name, (key, noted) in orjson.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def load(settings: Settings) -> SeenContainers:
    """What was seen before; empty when the file is missing or damaged."""
    return _kept(_path(settings), str)


def save(settings: Settings, seen: SeenContainers) -> None:
    """Replace it, all or nothing."""
    files.write_bytes(_path(settings), orjson.dumps(seen, option=orjson.OPT_SORT_KEYS))


def _waited_path(settings: Settings) -> Path:
    return settings.home / "ingest" / "waited.json"


def waited(settings: Settings) -> Waited:
    """What the last run left waiting: stat key, and since when it is so, in ns. Empty when the file is missing or damaged: then the
    system's times of change alone say it."""
    return _kept(_waited_path(settings), int)


def save_waited(settings: Settings, waited: Waited) -> None:
    """Replace it, all or nothing."""
    files.write_bytes(_waited_path(settings), orjson.dumps(waited, option=orjson.OPT_SORT_KEYS))


def moments(settings: Settings, night: Night, containers: Iterable[str]) -> dict[str, datetime]:
    """When this run first saw each container; those that it has not seen before are seen now, and kept.

    Raises IntegrityError when what was kept is damaged.
    """
    if not night.live:
        return dict.fromkeys(containers, night.as_of)
    path = run_dir(settings, night.run_id) / "first-seen.json"
    try:
        kept = {name: datetime.fromisoformat(at) for name, at in orjson.loads(path.read_bytes()).items()}
    except FileNotFoundError:
        kept = {}
    except (ValueError, AttributeError, TypeError) as error:
        raise IntegrityError(
            f"{path.name} of run {night.run_id} is damaged.", "Restore it, or begin a new run."
        ) from error
    now = night.now()
    fresh = [name for name in containers if name not in kept]
    if fresh:
        kept.update(dict.fromkeys(fresh, now))
        facts = {name: at.isoformat() for name, at in kept.items()}
        files.write_bytes(path, orjson.dumps(facts, option=orjson.OPT_SORT_KEYS))
    return kept


def forget(settings: Settings, containers: Collection[str]) -> int:
    """Take the names of containers out of the shortcuts and out of the moments of every run; returns the files changed."""
    changed = 0
    for path in [_path(settings), _waited_path(settings), *sorted(settings.runs_dir.glob("*/first-seen.json"))]:
        try:
            kept = orjson.loads(path.read_bytes())
        except (OSError, ValueError):  # none, or damaged: who reads it says so
            continue
        fewer = {name: value for name, value in kept.items() if name not in containers}
        if len(fewer) != len(kept):
            files.write_bytes(path, orjson.dumps(fewer, option=orjson.OPT_SORT_KEYS))
            changed += 1
    return changed
