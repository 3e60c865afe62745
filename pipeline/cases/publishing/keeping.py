"""Rows of many parts in one order, kept on the disk and not in memory: read from the lake once, handed out in batches."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline import files

ROWS = 1_000
"""Rows of a piece: what is taken from the disk to reach one of them."""


class KeptRows:
    """Arrow record batches in a mapped file, and the place of each row in the order. Filled by `add`, then read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pieces: list[pa.RecordBatch] = []
        self._order: list[tuple[tuple[Any, ...], int, int]] = []

    def __len__(self) -> int:
        return len(self._order)

    def add(self, table: pa.Table, place: Callable[[pa.RecordBatch], Iterable[tuple[Any, ...]]]) -> None:
        """Keep the rows of a table; `place` gives what each is put in order by."""
        with pa.OSFile(str(self._path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=ROWS)
        mapped = pa.ipc.open_file(pa.memory_map(str(self._path)))
        self._path.unlink()  # the mapping holds it: a process that is killed leaves nothing behind
        for number in range(mapped.num_record_batches):
            piece = mapped.get_batch(number)
            here = len(self._pieces)
            self._pieces.append(piece)
            self._order += [(key, here, row) for row, key in enumerate(place(piece))]

    def batches(self, size: int) -> Iterator[list[dict[str, Any]]]:
        """All rows in order, `size` at a time."""
        self._order.sort()
        for start in range(0, len(self._order), size):
            chosen = self._order[start : start + size]
            of: dict[int, list[tuple[int, int]]] = {}
            for place, (_, piece, row) in enumerate(chosen):
                of.setdefault(piece, []).append((place, row))
            rows: list[dict[str, Any]] = [{}] * len(chosen)
            for piece, wanted in of.items():
                found = self._pieces[piece].take(pa.array([row for _, row in wanted])).to_pylist()
                for (place, _), values in zip(wanted, found, strict=True):
                    rows[place] = values
            yield rows


@contextmanager
def kept(folder: Path) -> Iterator[KeptRows]:
    """Rows that are kept in `folder` while the block runs."""
    files.make_folder(folder)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        yield KeptRows(Path(place) / "rows.arrow")
