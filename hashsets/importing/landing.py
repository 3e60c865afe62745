"""The landing folder of hash sets: landing/hashsets/<source>/<file>. Every complete new file is imported once."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hashsets import sources
from hashsets.importing import importer
from pipeline import files
from pipeline.contract import Night, StageReport, run_dir
from pipeline.errors import InputError, TriageError
from pipeline.logs import get
from pipeline.settings import Settings

NOBODY = "."
"""In place of a source's name, of what lies in landing/hashsets itself."""

UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload", ".partial")
"""Endings of files that are still being copied."""


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """The stage `hashset_import`."""
    return import_landing(settings, night)


def unwatched(path: Path) -> contextlib.AbstractContextManager[importer.Progress | None]:
    """Nobody looks at the progress of an import."""
    return contextlib.nullcontext()


def import_landing(
    settings: Settings,
    night: Night,
    watch: Callable[[Path], contextlib.AbstractContextManager[importer.Progress | None]] = unwatched,
) -> StageReport:
    """Import every complete file below landing/hashsets; `read` counts files, `kept` those that are in the store.
    `watch` gives what is called with the progress of each file.

    A file that fails is reported with its reason in runs/<run>/hashsets.json and stays for the next run; the others
    go on. Files are known by their SHA-256, so a second run imports nothing twice.
    """
    policy = sources.load(settings)
    report = StageReport("hashset_import", night.run_id)
    log = get("hashset_import").bind(run=night.run_id)
    outcomes: list[dict[str, Any]] = []
    rows = {"rows_read": 0, "rows_accepted": 0, "rows_rejected": 0, "new_files": 0}
    for source_id, path in pending(settings):
        outcome: dict[str, Any] = {"source": source_id, "file": importer.shown(path)}
        report.read += 1
        try:
            _refuse(source_id, path)
            source = policy.source(source_id)
            with watch(path) as progress:
                record, new = importer.import_file(
                    settings,
                    path,
                    source,
                    loaded_at=night.as_of,
                    loaded_by=f"run {night.run_id}",
                    progress=progress,
                )
        except TriageError as error:
            report.rejected["unreadable"] = report.rejected.get("unreadable", 0) + 1
            outcome |= {"state": "failed", "reason": str(error)}
            log.warning("file not imported", source=source_id, reason=type(error).__name__)
        else:
            report.kept += 1
            if new:
                rows["new_files"] += 1
                rows["rows_read"] += record.read
                rows["rows_accepted"] += record.accepted
                rows["rows_rejected"] += record.read - record.accepted
                report.outputs.append(record.key)
            outcome |= {"state": "imported" if new else "known", "import": record.key}
        outcomes.append(outcome)
    report.counts = dict(rows)
    files.write_json(run_dir(settings, night.run_id) / "hashsets.json", outcomes)
    return report


def pending(settings: Settings) -> list[tuple[str, Path]]:
    """(source, file) of every complete file in the landing folder, by source, then as the files were written. Links, pipes and
    devices, folders that are not empty, and what lies beside the folders of the sources (source NOBODY) are among them: they are
    refused by name, as what lies there must not vanish."""
    root = settings.landing_dir / "hashsets"
    found = []
    for folder in sorted(p for p in root.glob("*") if p.is_dir() and not p.name.startswith(".")):
        try:
            there = sorted(filter(_lies, folder.iterdir()), key=_written)
        except OSError:
            there = [folder]  # it may not be looked into: the others are read
        found += [(importer.shown(folder), path) for path in there]
    beside = [path for path in root.glob("*") if not path.is_dir() and _lies(path)]
    return found + [(NOBODY, path) for path in sorted(beside, key=_written)]


def _lies(path: Path) -> bool:
    """Whether there is something to import or to refuse: no hidden folder and no empty one, nothing that is being written."""
    if path.is_symlink():
        return True
    if not path.is_dir():
        return complete(path)
    if path.name.startswith("."):
        return False
    try:
        return any(path.iterdir())
    except OSError:
        return True  # it may not be looked into


def _refuse(source_id: str, path: Path) -> None:
    """Raise InputError for what is no file of a source. A link may lead to any file that this account can read, whose beginning a
    refusal would quote."""
    name = importer.shown(path)
    if path.is_symlink():
        raise InputError(f"{name} is a link; links are not followed.", "Put the file itself there.")
    if source_id == NOBODY:
        raise InputError(f"{name} lies in no source's folder.", "Put it into landing/hashsets/<source>.")
    if path.is_dir():
        raise InputError(
            f"{name} is a folder, and what lies in it is not read.",
            "Put its files into the source's folder, readable for this account.",
        )


def _written(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_mtime_ns, path.name
    except OSError:
        return 0, path.name  # gone since; the import will say so


def complete(path: Path) -> bool:
    """Whether a file is not being written: by its name, and because nobody has it open for writing (where the file
    system can say so: the kernel grants a read lease only then)."""
    if path.name.startswith(".") or path.name.lower().endswith(UNFINISHED):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return True  # the import will say why it cannot be read
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return False
    except OSError:
        return True  # no leases here (network file system, or another owner): the name must do
    finally:
        os.close(descriptor)
    return True
