"""What every reader of a hash-set format offers, and what it hands on.

A reader turns a delivered file into batches of raw columns, row by row in file order, in constant memory. It
interprets nothing: lengths, spellings and encodings are judged in one place for all formats, `hashsets/importing/clean.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pipeline.algorithms import EXCHANGED
from pipeline.errors import InputError

HEAD = 65536
"""Bytes of a file that detection looks at."""

RAW_COLUMNS = (
    "withdraw", "entry_id", "member", *EXCHANGED,
    "category", "votes", "disputed", "victim_identified", "offender_identified", "distributed", "precategorised",
    "suspected", "size", "mime", "updated", "series", "tags", "extra",
)  # fmt: skip
"""Columns that a batch may have. `extra` is JSON text of everything in the row that has no column of its own."""


TAIL = 1 << 16


@dataclass(frozen=True)
class Detection:
    """What a file is: reader name, declared data model version, country segment and entity where it has them."""

    reader: str
    version: str = ""
    country: str = ""
    entity: str = ""


@dataclass
class Batch:
    """Rows as raw columns of equal length. `position` is the record or line number in the file, from 1."""

    position: list[int]
    columns: dict[str, list[Any]]


@dataclass
class Source:
    """A delivered file being read: its path, declared column mapping, and how far reading has come."""

    path: Path
    columns: Mapping[str, Any] = field(default_factory=dict)
    done: int = 0
    notes: dict[str, Any] = field(default_factory=dict)

    def open(self) -> BinaryIO:
        """The file for reading, unbuffered by us."""
        return self.path.open("rb")

    def tail(self) -> bytes:
        """The last bytes, for what a format may say at its end."""
        with self.open() as file:
            file.seek(max(0, self.path.stat().st_size - TAIL))
            return file.read()

    def head(self) -> bytes:
        """The first bytes, for detection."""
        with self.open() as file:
            return file.read(HEAD)


class HashSetReader(Protocol):
    """One hash-set format."""

    name: str
    stable_ids: bool
    """Whether an entry id names the same entry in later deliveries (then an update may change its hashes)."""

    def detect(self, head: bytes, source: Source) -> Detection | None:
        """What the file is if it is of this format, else None. Never raises for foreign bytes."""

    def read(self, source: Source, detection: Detection) -> Iterator[Any]:
        """Batches (or, for a reader that judges its values itself, `hashsets.importing.rows.Cleaned`) in file order. Raises InputError with the position for a file that is damaged."""


def damaged(source: Source, position: str, what: str) -> InputError:
    """The error of a file that cannot be read to its end: nothing of it is imported."""
    return InputError(
        f"{source.path.name} is damaged at {position}: {what}.",
        "Nothing was imported and the store is unchanged; ask the sender for a complete file.",
    )
