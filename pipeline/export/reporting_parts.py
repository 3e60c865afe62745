"""The files of the reporting tables: which rows lie where, rows replaced by their owners, and both sets made visible.

A table is a few files of PART rows. A file is never changed: where some of its rows are replaced, it is written anew under another
name, and the others stay. Beside each file lie the owners of its rows, their digests and, where the table is written as CSV, its lines
with where each begins, in HOME/cache/reporting; that folder can be thrown away, and everything is computed anew.

    HOME/reporting/<table>/<part>.<sha256>.parquet       rows that everybody may read
    HOME/reporting-restricted/<table>/...                the same, and those that are hidden
    HOME/cache/reporting/<table>/<part>.owners.<sha256>.parquet, the same with .digests, <part>.csv, the same with .places
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline import csvtext, files, tablecsv
from pipeline.export import reporting
from pipeline.export.reporting import read_part
from pipeline.export.reporting_rows import KEPT, OWN
from pipeline.lake.delta import DataFile, Log
from pipeline.lake.kept.keys import hashed
from pipeline.lake.parts import encoded
from pipeline.lake.places import LakePlace
from pipeline.lake.settling import again
from pipeline.settings import Settings

PART = 10_000
"""Rows of a file: what is written anew for one row that changes."""
ALONE = frozenset({"report_matches"})
"""Tables of counts: what everybody may read and what is counted over everything are two sets of rows, not a part and the whole."""
GROWS = 4
"""How many times as large as what is written the last file may be that is written anew with it: small files grow together by and
by, and a night does not write a whole file for a few new rows."""
DIGESTS = ".digests"
"""Ending of the file that has a digest of every owner in a part: most parts hold nothing of who changed, and are not read."""
PLACES = ".places"
"""Ending of the file that says where each line of a part's CSV begins, and the last one ends: rows that stay keep their lines."""
LINE = "line"
"""Column of rows in memory: the row as a line of CSV, with its end."""
LEFTOVER_SECONDS = 86_400
"""Age from which a file that no set names any more is removed: somebody who reads may still have it open."""


@dataclass(frozen=True)
class KeptPart:
    """One file of a table: its name, its rows, whether they are hidden, and the name of the file with their owners."""

    name: str
    rows: int
    hidden: bool
    owners: str
    size: int


class LostError(Exception):
    """A kept file is gone or is not what was written: everything is computed anew."""


class Shelf:
    """The files of all tables of an installation."""

    def __init__(self, settings: Settings, csv_rows: int | None = None) -> None:
        """`csv_rows`: tables with more rows are not written as CSV (None: every table is)."""
        self.csv_rows = csv_rows
        self.open, self.restricted = (reporting.reporting_dir(settings, restricted=r) for r in (False, True))
        self.cache = settings.home / "cache" / "reporting"

    def folders(self, table: str, *, hidden: bool) -> list[Path]:
        """Where a file of a table lies."""
        if table in KEPT:
            return [self.cache / table]
        if not hidden:
            return [self.open / table] if table in ALONE else [self.open / table, self.restricted / table]
        return [self.restricted / table]

    def _has_csv(self, table: str, rows: int) -> bool:
        """Whether a table of so many rows is written as CSV too: one that is larger than a spreadsheet takes would cost each
        night what all nights before it brought."""
        return table not in KEPT and (self.csv_rows is None or rows <= self.csv_rows)

    def read(self, table: str, parts: Sequence[KeptPart]) -> pa.Table:
        """Rows of some files, with their owners. Raises LostError for a file that is not what was written."""
        pieces = [self._piece(table, part) for part in parts]
        return pa.concat_tables(pieces) if pieces else pa.table({})

    def _piece(self, table: str, part: KeptPart) -> pa.Table:
        rows = self._sound(self.folders(table, hidden=part.hidden)[-1] / part.name)
        rows = rows.add_column(0, "owner", self.owners(table, part))
        rows = rows.add_column(1, "hidden", pa.array([part.hidden] * rows.num_rows, pa.bool_()))
        return rows if table in KEPT else rows.append_column(LINE, self._lines(table, part))

    def _lines(self, table: str, part: KeptPart) -> pa.Array:
        """The rows of a file as lines of CSV; nulls where these are not kept, or are not what was written."""
        path = self.cache / table / f"{part.name}.csv"
        places = _kept(Path(f"{path}{PLACES}"))
        data = path.read_bytes() if path.is_file() else b""
        if places is None or len(places) != part.rows + 1 or int(places[-1]) != len(data):
            return pa.nulls(part.rows, pa.large_binary())
        return pa.Array.from_buffers(pa.large_binary(), part.rows, [None, pa.py_buffer(places), pa.py_buffer(data)])

    def owners(self, table: str, part: KeptPart) -> pa.ChunkedArray:
        """The owner of each row of a file."""
        return self._sound(self.cache / table / part.owners)["owner"]

    def _sound(self, path: Path) -> pa.Table:
        found = read_part(path)
        if found is None:
            raise LostError(path.name)
        return found

    def replaced(
        self, table: str, parts: Sequence[KeptPart], rows: pa.Table, owners: pa.Array | pa.ChunkedArray | None
    ) -> list[KeptPart]:
        """Files of a table with the rows of some owners (None: of all) replaced by `rows`; only what changes is written.

        Rows that are replaced stay in their file: what arrived together falls due together, and few files are touched of a night.
        """
        found: list[KeptPart] = []
        number = max((int(p.name.split(".")[0].split("-")[1]) for p in parts if owners is not None), default=0)
        lined = self._has_csv(table, sum(not p.hidden and p.rows for p in parts) + rows.num_rows)
        for hidden in (False, True):
            fresh = _unlined(table, rows.filter(pc.equal(rows["hidden"], hidden)))
            for held in self._laid(table, [p for p in parts if p.hidden == hidden], fresh, owners):
                if isinstance(held, KeptPart):
                    found.append(held)
                else:
                    number += 1
                    found.append(self._write(table, f"part-{number}", held, hidden=hidden, lined=lined))
        return found

    def _laid(
        self, table: str, parts: Sequence[KeptPart], fresh: pa.Table, owners: pa.Array | pa.ChunkedArray | None
    ) -> Iterator[KeptPart | pa.Table]:
        """Files that stay as they are, and the rows of those that are written, in their order."""
        laid, pool = self._parted(table, parts, fresh, owners)
        written = sum(piece.num_rows for piece in pool)
        while laid and _goes_along(laid[-1], written):
            last = laid.pop()
            pool.insert(0, self._piece(table, last) if isinstance(last, KeptPart) else last)
            written += pool[0].num_rows
        yield from laid
        together = pa.concat_tables(pool)
        yield from (together.slice(start, PART) for start in range(0, together.num_rows, PART))

    def _parted(
        self, table: str, parts: Sequence[KeptPart], fresh: pa.Table, owners: pa.Array | pa.ChunkedArray | None
    ) -> tuple[list[KeptPart | pa.Table], list[pa.Table]]:
        """Files that stay as they are and rows that take the place of a file, in their order; and the rows for new files."""
        laid: list[KeptPart | pa.Table] = []
        pool: list[pa.Table] = []
        if owners is None or not len(owners):
            return list(parts) if owners is not None else laid, [fresh]
        asked = _digests(owners)
        for part in parts:
            here = self.owners(table, part) if self._may_hold(table, part, asked) else None
            gone = None if here is None else pc.is_in(here, value_set=owners)
            if here is None or not pc.any(gone).as_py():
                laid.append(part)
                continue
            renewed = pc.is_in(fresh["owner"], value_set=here.filter(gone).combine_chunks())
            rows = pa.concat_tables([self._piece(table, part).filter(pc.invert(gone)), fresh.filter(renewed)])
            fresh = fresh.filter(pc.invert(renewed))
            if rows.num_rows * 2 < PART:  # a small file: its rows lie with the new ones
                pool.append(rows)
                continue
            laid.append(rows.slice(0, PART))
            pool.append(rows.slice(PART))
        return laid, [*pool, fresh]

    def _may_hold(self, table: str, part: KeptPart, asked: NDArray[np.uint64]) -> bool:
        """Whether a file may have rows of some owners, by their digests, which are made again where they are lost or harmed."""
        path = self.cache / table / f"{part.owners}{DIGESTS}"
        held = _kept(path)
        if held is None:
            held = _digests(self.owners(table, part))
            _keep(path, held)
        places = np.minimum(np.searchsorted(held, asked), len(held) - 1)
        return bool((held[places] == asked).any()) if len(held) else False

    def _write(self, table: str, stem: str, rows: pa.Table, *, hidden: bool, lined: bool) -> KeptPart:
        shown = rows.drop_columns([name for name in (*OWN, LINE) if name in rows.column_names])
        name, data = encoded(stem, shown)
        owners, listed = encoded(f"{stem}.owners", rows.select(["owner"]))
        for folder in self.folders(table, hidden=hidden):
            files.write_bytes(folder / name, data)
        _keep(self.cache / table / f"{owners}{DIGESTS}", _digests(rows["owner"]))
        files.write_bytes(self.cache / table / owners, listed)
        if lined:
            lines, places = _together(_lined(shown, rows[LINE]))
            files.write_bytes(self.cache / table / f"{name}.csv", lines)
            _keep(self.cache / table / f"{name}.csv{PLACES}", places)
        return KeptPart(name, rows.num_rows, hidden, owners, len(data))

    def seen(self, table: str, parts: Sequence[KeptPart], *, restricted: bool) -> list[KeptPart]:
        """Which files of a table a set consists of."""
        return [p for p in parts if p.hidden == restricted or (restricted and table not in ALONE)]

    def put(self, parts: Mapping[str, Sequence[KeptPart]], *, restricted: bool) -> None:
        """Make the files of every table what a set consists of: each in its Delta log, and as one file of CSV."""
        folder = self.restricted if restricted else self.open
        place = LakePlace(folder)
        for table in reporting.tables():
            chosen = self.seen(table, parts[table], restricted=restricted)
            again(partial(_put, Log(place, table), table, chosen))
            if not self.csv_of(table, chosen):
                (folder / f"{table}.csv").unlink(missing_ok=True)  # of another night, if there is one
                continue
            with files.atomic_writer(folder / f"{table}.csv") as sink:
                sink.write(csvtext.as_csv(reporting.arrow_schema(table).names, ()))
                for part in chosen:
                    self._append(sink, table, part)
        files.write_bytes(
            folder / reporting.DICTIONARY, csvtext.as_csv(list(reporting.dictionary()[0]), reporting.dictionary())
        )

    def csv_of(self, table: str, parts: Sequence[KeptPart]) -> str | None:
        """Name of a table's file of CSV in a set that has these parts of it; None when it gets none."""
        return f"{table}.csv" if self._has_csv(table, sum(p.rows for p in parts)) else None

    def _append(self, sink: BinaryIO, table: str, part: KeptPart) -> None:
        """Add the lines of a part: those that are kept are copied by the system, others are made of the rows."""
        try:
            with (self.cache / table / f"{part.name}.csv").open("rb") as lines:
                files.append(sink, lines)
        except FileNotFoundError:
            shown = self._sound(self.folders(table, hidden=part.hidden)[-1] / part.name)
            sink.write(_together(_lined(shown, pa.chunked_array([pa.nulls(part.rows, pa.large_binary())])))[0])

    def sweep(self, parts: Mapping[str, Sequence[KeptPart]], *, at_once: bool) -> int:
        """Remove the files that neither set names any more; `at_once` also those that were just replaced."""
        removed = 0
        for table, listed in parts.items():
            csv = [f"{p.name}.csv" for p in listed]
            named = {n for p in listed for n in (p.name, p.owners, f"{p.owners}{DIGESTS}")}
            named.update(csv, (f"{name}{PLACES}" for name in csv))
            for entry in self._lying(table):
                if entry.name in named or not entry.is_file():
                    continue
                if at_once or time.time() - entry.stat().st_mtime > LEFTOVER_SECONDS:
                    Path(entry.path).unlink(missing_ok=True)
                    removed += 1
        return removed

    def _lying(self, table: str) -> Iterator[os.DirEntry[str]]:
        for folder in (self.open / table, self.restricted / table, self.cache / table):
            if folder.is_dir():
                with os.scandir(folder) as entries:
                    yield from entries


def _goes_along(last: KeptPart | pa.Table, written: int) -> bool:
    """Whether the last file is written anew with so many rows; one that is written anyway goes along until it is full."""
    if isinstance(last, KeptPart):
        return last.rows < min(PART, GROWS * written)
    return bool(last.num_rows < PART)


def _unlined(table: str, rows: pa.Table) -> pa.Table:
    """Rows whose lines of CSV are made when they are written: of a million rows at once they would be as large as these."""
    return rows if table in KEPT else rows.append_column(LINE, pa.nulls(rows.num_rows, pa.large_binary()))


def _lined(shown: pa.Table, lines: pa.ChunkedArray) -> pa.Array:
    """The lines of rows, made where there are none yet."""
    kept = pa.concat_arrays([*lines.chunks, pa.array([], pa.large_binary())])
    missing = kept.is_null()
    made = tablecsv.csv_lines(shown.filter(missing))
    ended = pc.binary_join_element_wise(made, "", "\r\n").cast(pa.binary()).cast(pa.large_binary())
    return pc.replace_with_mask(kept, missing, ended)


def _together(whole: pa.Array) -> tuple[memoryview[int], NDArray[np.uint64]]:
    """Lines one behind another, and where each begins and the last one ends."""
    places = np.frombuffer(whole.buffers()[1], np.int64)[whole.offset : whole.offset + len(whole) + 1]
    if not len(whole) or whole.buffers()[2] is None:
        return memoryview(b""), np.zeros(len(whole) + 1, np.uint64)
    return memoryview(whole.buffers()[2])[places[0] : places[-1]], (places - places[0]).astype(np.uint64)


def _digests(owners: pa.Array | pa.ChunkedArray) -> NDArray[np.uint64]:
    """A digest of every owner, each once, ascending."""
    return np.unique(hashed(owners.combine_chunks() if isinstance(owners, pa.ChunkedArray) else owners))


def _keep(path: Path, digests: NDArray[np.uint64]) -> None:
    content = digests.tobytes()
    files.write_bytes(path, hashlib.sha256(content).digest() + content)


def _kept(path: Path) -> NDArray[np.uint64] | None:
    """The digests in a file; None where there is none, or it is not what was written."""
    data = files.read_sealed(path)
    return None if data is None or len(data) % 8 else np.frombuffer(data, np.uint64)


def _put(log: Log, table: str, parts: Sequence[KeptPart]) -> None:
    """The log names exactly these files. Raises CommitConflictError when somebody else has changed it meanwhile."""
    schema = reporting.arrow_schema(table)
    log.create(schema)
    there = {f.name: f for f in log.files()}
    wanted = {p.name: DataFile(p.name, p.rows, p.size) for p in parts}
    if there.keys() != wanted.keys():
        version = log.version()
        added = [f for name, f in wanted.items() if name not in there]
        removed = [f for name, f in there.items() if name not in wanted]
        log.put(schema, added, removed, after=version, transactions={"reporting": version + 1})
