"""What a limited process is asked, and how much of it may wait there at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.ingest.landing.discovery import Text
from pipeline.ingest.landing.package import Package
from pipeline.ingest.reading import wire

AHEAD = 8
"""Packages that are asked about at once."""
AHEAD_BYTES, AHEAD_FILES = 1 << 16, 64
"""Bytes and open files of the questions that wait at a process together: what its channel takes without anybody waiting."""


@dataclass(frozen=True)
class PackageQuestion:
    """A package that is to be read: the files of it that are read, and whether its report is although it is not complete."""

    package: Package
    texts: list[Text]
    overdue: bool = False

    def ask(self, opened: list[Text]) -> wire.Ask:
        """As it goes over the channel, with the files that could be opened."""
        package = self.package
        return wire.Ask(
            package.landing_folder,
            package.container,
            package.kind,
            package.ready,
            self.overdue,
            package.faults,
            package.waits,
            [(m.name, m.size) for m in package.members],
            [(t.role, t.name) for t in opened],
        )


@dataclass
class SentQuestion:
    """A question that was sent, with how many faults and things to wait for the package had before its files were opened, and how
    many bytes and files it was."""

    question: PackageQuestion
    faults: int
    waits: int
    size: int = 0
    files: int = 0

    def fits(self, others: Iterable[SentQuestion]) -> bool:
        """Whether it may wait behind others."""
        waiting = [self, *others]
        return sum(w.size for w in waiting) <= AHEAD_BYTES and sum(w.files for w in waiting) <= AHEAD_FILES

    def take_back(self) -> None:
        """Forget what opening the files, and an answer that was refused, said of the package."""
        package = self.question.package
        del package.faults[self.faults :], package.waits[self.waits :]
