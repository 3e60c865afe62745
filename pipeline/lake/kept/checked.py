"""Which files of the lake this machine has checked against the digest in their name, and what they were like then.

    HOME/cache/lake/<sha256 of the file>.checked

A night has some ten processes, each of which would read every large file of all nights before it only to find it unchanged. A file
that has the inode, size and times of when it was checked is not read again for that: whatever writes to it changes its time of
change, which no program can set. What changes below the file system is found by the checksums of the pages that are read, and by the
round of `pipeline.lake.upkeep`, which goes by no such note. The notes can be thrown away at any time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path

from pipeline import files
from pipeline.lake.kept import remove_others

LEAST = 2**20
"""Bytes from which a note is kept; a smaller file is read as fast as its note."""
SUFFIX = ".checked"


class CheckedNotes:
    """The notes of one lake in a folder; without a folder there are none."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def holds(self, sha256: str, stat: os.stat_result) -> bool:
        """Whether the file of that digest was checked as it is now."""
        if self.folder is None or stat.st_size < LEAST:
            return False
        try:
            return (self.folder / f"{sha256}{SUFFIX}").read_text() == _said(stat)
        except (OSError, ValueError):
            return False

    def note(self, sha256: str, stat: os.stat_result) -> None:
        """Keep that it was found to be what was written; `stat` is of before it was read. Of one that was changed this very moment
        nothing is kept: another change might leave the same times."""
        young = time.time_ns() - max(stat.st_ctime_ns, stat.st_mtime_ns) < files.SETTLED_NANOSECONDS
        if self.folder is None or stat.st_size < LEAST or young:
            return
        try:
            files.make_folder(self.folder)
            files.write_bytes(self.folder / f"{sha256}{SUFFIX}", _said(stat).encode())
        except OSError:
            return  # somebody who may only read, or a full disk: the next process checks it again

    def keep(self, parts: Collection[str]) -> int:
        """Remove the notes of files that are not among these (SHA-256); returns how many."""
        return remove_others(self.folder, SUFFIX, parts)


def _said(stat: os.stat_result) -> str:
    return f"{stat.st_dev} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\n"
