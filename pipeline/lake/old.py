"""Lakes of the format before: commits as JSON files, parts without their digest in the name. Brought over by `migrate`.

lake/<table>/<stage>-<key>.parquet
lake/commits/<stage>/<key>.json
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import files
from pipeline.errors import IntegrityError
from pipeline.lake.lake import Lake
from pipeline.lake.places import stages_before

FORMAT = 1


def migrate(root: Path) -> int:
    """Bring an old lake to this format, in place; returns how many commits. Killed anywhere, it can be run again.

    Parts are verified, then linked under their new names (no space is taken), published in one step in the order in
    which they were written, and the old names go last. Raises IntegrityError for a part that is not what was written.
    """
    stages = stages_before(root)
    if not stages:
        return 0
    paths = sorted((p for folder in stages for p in files.finished(folder, "*.json")), key=_written)
    old = [_load(root, path) for path in paths]
    _bring_over(Lake(root, migrating=True), old)
    for part in [part for data in old for part in data["parts"]]:
        (root / part["name"]).unlink(missing_ok=True)
    for folder in stages:
        shutil.rmtree(folder)
    return len(old)


def _written(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, str(path)


def _load(root: Path, path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        if data["format"] != FORMAT:
            raise IntegrityError(f"Commit {path.name} has format {data['format']}, not {FORMAT}.", "Restore a backup.")
        for part in data["parts"]:
            part["name"] = f"{part['table']}/{Path(part['file']).name}"
        return data
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"Commit file {path.name} is damaged.", "Restore it from a backup.") from error


def _bring_over(lake: Lake, old: list[dict[str, Any]]) -> None:
    rows = [row for data in old if not lake.committed(data["stage"], data["key"]) for row in _row(lake, data)]
    if rows:
        lake.publish_all(rows)
    lake.settle("migration")


def _row(lake: Lake, data: dict[str, Any]) -> Iterator[tuple[str, str, str, Any, list[tuple[str, str, int]]]]:
    root = Path(lake.root)
    listed = []
    for part in data["parts"]:
        source = root / part["name"]
        target = root / f"{part['name'].removesuffix('.parquet')}.{part['sha256']}.parquet"
        if not target.exists():
            if not source.exists() or files.sha256(source) != part["sha256"]:
                raise IntegrityError(f"{part['name']} is not what was written.", "Restore it from a backup first.")
            os.link(source, target)
            files.sync_folder(target.parent)
        listed.append((part["table"], target.relative_to(root).as_posix(), int(part["rows"])))
    yield data["stage"], data["key"], data["run_id"], data["meta"], listed
