"""What every night asks of all parts and what follows from each part alone: made once a part and kept beside its key files.

    HOME/cache/lake/<sha256 of the part>.<name>.extract

An Arrow file of few narrow rows in place of the part's many wide ones, with the SHA-256 of its content at its beginning. It can be thrown
away at any time and is made again when it is missed or is not what was written; parts are never changed, so that it is never out of date.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline import files
from pipeline.lake.kept import remove_others

LEAST = 1_000
"""Rows from which a part has such a file; what follows from a smaller one is made each time."""
SUFFIX = ".extract"
HELD_BYTES = 64 * 2**20
"""Of what was read, as much as a stage that asks twice is given without its file being read and checked again."""


@dataclass(frozen=True)
class Extract:
    """What is made of the rows of a part of `table`, read with `columns`. `name` has a number, which is another one as soon as `make`
    gives other rows: files of the former name are of no use any more."""

    table: str
    name: str
    columns: tuple[str, ...]
    make: Callable[[pa.Table], pa.Table]


class Extracts:
    """The files of one lake in a folder; without a folder nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._held: dict[Path, pa.Table] = {}
        self._held_bytes = 0

    def of(self, sha256: str, rows: int, extract: Extract, read: Callable[[], pa.Table]) -> pa.Table:
        """What follows from a part of so many rows; `read` gives its rows where they have to be looked at."""
        path = self.folder / f"{sha256}.{extract.name}{SUFFIX}" if self.folder and rows >= LEAST else None
        if path in self._held:
            return self._held[path]
        held = None if path is None else files.read_sealed(path)
        if held is not None:
            with pa.ipc.open_stream(pa.py_buffer(held)) as stream:
                found = stream.read_all()
            if path is not None and self._held_bytes + found.nbytes <= HELD_BYTES:
                self._held[path] = found
                self._held_bytes += found.nbytes
            return found
        made = extract.make(read()).combine_chunks()
        if path is not None:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, made.schema) as stream:
                stream.write_table(made)
            files.write_sealed(path, memoryview(sink.getvalue()))
        return made

    def keep(self, parts: Collection[str]) -> int:
        """Remove the files of parts that are not among these (SHA-256); returns how many."""
        self._held, self._held_bytes = {}, 0
        return remove_others(self.folder, SUFFIX, parts)
