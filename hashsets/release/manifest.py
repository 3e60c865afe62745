"""The manifest of a release: every file with size and SHA-256, and what was counted. Checked before a file is used.

DuckDB does not notice a flipped bit in every file it reads, numpy in none. Checking reads
every byte once per process (about 1.5 GB a second and core); a file whose inode, size and times are unchanged since
is not read again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import files
from pipeline.errors import IntegrityError

if TYPE_CHECKING:
    from pipeline.matching.core.index.manifest import Array

NAME = "manifest.json"
FORMAT = 1

_REMEDY = "Restore the release from a backup, or publish another one."
_checked: dict[Path, tuple[tuple[int, ...], str]] = {}


def write(folder: Path, content: dict[str, Any], written: Mapping[str, Array] | None = None) -> str:
    """Write the manifest over all files now in `folder`; returns its SHA-256 (hex). Every file is fsynced first.

    `written`: arrays of the indexes, by their path in `folder`. They were hashed while they were written, byte for byte
    what went to the file, and are not read again. Raises IntegrityError where one has another size.
    """
    listed = {}
    for path in _files(folder):
        name, size = path.relative_to(folder).as_posix(), path.stat().st_size
        array = (written or {}).get(name)
        if array is not None and array.bytes != size:
            raise IntegrityError(f"{name} has {size} bytes instead of {array.bytes}.", "Build the release again.")
        listed[name] = {"size": size, "sha256": files.sha256(path) if array is None else array.sha256}
        _sync(path)
    for sub in [p for p in folder.rglob("*") if p.is_dir()]:
        files.sync_folder(sub)
    files.write_json(folder / NAME, {"format": FORMAT, "files": listed, **content})
    return files.sha256(folder / NAME)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / NAME)


def verified(folder: Path, sha256: str, threads: int = 2) -> dict[str, Any]:
    """The manifest of a release, after checking it and every file that it lists.

    Raises IntegrityError for a byte that differs, and for a file that is missing, a link, or not listed.
    """
    path = folder / NAME
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise IntegrityError(
            f"The manifest of release {folder.name} cannot be read: {error.strerror}.", _REMEDY
        ) from error
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise IntegrityError(f"The manifest of release {folder.name} is not what was published.", _REMEDY)
    try:
        content: dict[str, Any] = json.loads(raw)
        listed = content["files"]
        if content["format"] != FORMAT:
            raise IntegrityError(
                f"Release {folder.name} has format {content['format']}, this version reads {FORMAT}.",
                "Use the version that wrote it.",
            )
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"The manifest of release {folder.name} is damaged.", _REMEDY) from error
    present = {p.relative_to(folder).as_posix() for p in _files(folder)}
    if present != listed.keys():
        odd = sorted(present ^ listed.keys())
        raise IntegrityError(f"Release {folder.name} has missing or foreign files: {', '.join(odd[:5])}.", _REMEDY)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda item: _check(folder, *item), listed.items()))
    return content


def _check(folder: Path, name: str, entry: dict[str, Any]) -> None:
    path = folder / name
    try:
        stat = path.lstat()
        seen = (stat.st_ino, stat.st_dev, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        resolved = path.resolve()
        if _checked.get(resolved) == (seen, entry["sha256"]):
            return
        sound = not path.is_symlink() and stat.st_size == entry["size"] and files.sha256(path) == entry["sha256"]
    except OSError as error:
        raise IntegrityError(f"{path} of release {folder.name} cannot be read: {error.strerror}.", _REMEDY) from error
    if not sound:
        raise IntegrityError(f"{path} is not what was published with release {folder.name}.", _REMEDY)
    _checked[resolved] = (seen, entry["sha256"])


def forget() -> None:
    """Check every file anew at its next use (the scheduled scrub does this)."""
    _checked.clear()
