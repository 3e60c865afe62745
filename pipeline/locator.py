"""Where a media file lies: a path below the landing folder, or a member of an archive there, read in place.

    nca/package-1/media/0001.jpg
    nca/package-2.zip!/media/0001.jpg

Only the fingerprint worker opens what a locator names. Nothing is unpacked to disk.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pipeline.errors import InputError

SEPARATOR = "!/"


class Locator(NamedTuple):
    """`container` is relative to the landing folder; `member` is the archive member's name, or None for a plain file."""

    container: str
    member: str | None = None

    def __str__(self) -> str:
        return self.container if self.member is None else f"{self.container}{SEPARATOR}{self.member}"

    @classmethod
    def parse(cls, text: str) -> Locator:
        container, found, member = text.partition(SEPARATOR)
        return cls(container, member if found else None)

    def path(self, landing: Path) -> Path:
        """Absolute path of the plain file or archive. Raises InputError when it would lie outside `landing`."""
        pure = PurePosixPath(self.container)
        if pure.is_absolute() or ".." in pure.parts or "\0" in self.container:
            raise InputError("A media path leads out of the landing folder.")
        path = landing / pure
        if not path.resolve().is_relative_to(landing.resolve()):
            raise InputError("A media path leads out of the landing folder through a link.")
        return path
