"""Settling and merging: the commits' files in the logs of their tables, and many small files made few.

Settling puts the files of all commits since the last one into the Delta log of their tables, where other programs read
them, and then publishes one ledger row that names the versions of all tables which belong together. Merging writes the
rows of small files anew, ordered by commit, and takes the small ones out of the log; their bytes stay until `vacuum`.
Readers go by the last such row, so neither is seen by halves, wherever it is killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import records
from pipeline.lake.delta import CommitConflictError, DataFile, Log, wait
from pipeline.lake.ledger import FOLDER, SETTLE, Ledger, LedgerState
from pipeline.lake.parts import MERGED, SEQ, Part, Parts

ATTEMPTS = 60
"""Times that a writer looks again before it gives up; it waits up to a second between two."""
FEW = 4
"""Files of one size that are left as they are."""
BYTES = 256 * 2**20
"""Size from which a file is left as it is."""
SIZES = (8 * 2**20, 64 * 2**20, BYTES)
"""Files are merged with others of their own size, so that a row is written anew three times at most, not every week."""
MEMORY = 256 * 2**20
"""Bytes of rows in memory that become one file at most. Files of texts are twenty times as large there, and Arrow puts no column of
more than 2 GiB in order."""

HELD = "bytes in memory"
"""Under this a merged file has what its rows take in memory, so that the next merge need not read it to learn that."""


def schema_of(table: str) -> pa.Schema:
    """Columns of a table in its Delta log: the record's, and the commit of rows in merged files."""
    return records.arrow_schema(table).append(pa.field(SEQ, pa.int64()))


def again(what: Callable[[], Any]) -> Any:
    """Do it, as often as another writer is first."""
    for attempt in range(ATTEMPTS):
        try:
            return what()
        except CommitConflictError:
            wait(attempt)
    return what()


class Settler:
    """Works on one lake; its parts and ledger are those of the Lake that made it."""

    def __init__(self, ledger: Ledger, parts: Parts) -> None:
        self.ledger, self.parts, self.place = ledger, parts, parts.place
        self.logs: dict[str, Log] = {}
        self._numbers: tuple[int, dict[str, dict[str, int]]] = (-1, {})

    def log(self, table: str) -> Log:
        return self.logs.setdefault(table, Log(self.place, table))

    def settle(self, run_id: str) -> int:
        """Put the files of pending commits into their tables' logs; returns how many commits were pending."""
        settled: int = again(lambda: self._settle(run_id))
        if settled:
            self.ledger.merge()
        return settled

    def _settle(self, run_id: str) -> int:
        state = self.ledger.state()
        waiting = [e for e in state.pending if e.parts]
        if not waiting:
            return 0
        through = max(e.seq for e in waiting)
        versions = dict(state.versions)
        by_table: dict[str, list[Part]] = {}
        for entry in waiting:
            for table, name, rows in entry.parts:
                by_table.setdefault(table, []).append(self.parts.named(name, rows, entry.seq))
        for table, listed in sorted(by_table.items()):
            versions[table] = self._add(table, listed, through)
        self._publish(run_id, versions, through)
        return len(waiting)

    def _add(self, table: str, listed: list[Part], through: int) -> tuple[int, int]:
        """Put parts into a table's log unless they are; returns its version and the last commit that is in it."""
        log = self.log(table)
        log.create(schema_of(table))
        version, done = log.version(), log.transaction("through")
        missing = [p for p in listed if p.seq > done]
        if missing:
            added = [DataFile(p.file, p.rows, p.path.stat().st_size) for p in map(self.parts.verified, missing)]
            version = log.put(schema_of(table), added, after=version, transactions={"through": through})
            done = through
        return version, done

    def _publish(self, run_id: str, versions: dict[str, tuple[int, int]], through: int) -> None:
        meta = {"versions": {t: list(v) for t, v in sorted(versions.items())}, "through": through}
        self.ledger.append(SETTLE, str(through), run_id, meta, [])

    def merge(self, run_id: str) -> dict[str, int]:
        """Settle, then merge the small files of every table; returns files merged by table."""
        self.settle(run_id)
        counts: dict[str, int] = {}
        for table in sorted(self.ledger.state().versions):
            merged: int = again(partial(self._merge, table))
            if merged:
                counts[table] = merged
        if counts:
            again(lambda: self.name(run_id, set(counts)))
            self.ledger.merge()
        return counts

    def _merge(self, table: str) -> int:
        log = self.log(table)
        version, files = log.version(), log.files()
        alike = [chosen for group in _alike(files) if len(chosen := self._light(table, group)) > FEW]
        if not alike:
            return 0
        numbers = self.numbers(table)
        added: list[DataFile] = []
        gone: list[DataFile] = []
        for chosen in alike:
            for merged, data in self._together(table, chosen, numbers):
                first, last = data[SEQ][0].as_py(), data[SEQ][-1].as_py()
                noted = data.replace_schema_metadata({HELD: str(data.nbytes)})
                name, size = self.parts.write(table, f"{MERGED}{first}-{last}", noted)
                added.append(DataFile(name.partition("/")[2], data.num_rows, size))
                gone += merged
        if not gone:
            return 0
        log.put(schema_of(table), added, gone, after=version, transactions={"merge": version + 1}, change=False)
        return len(gone)

    def _light(self, table: str, files: list[DataFile]) -> list[DataFile]:
        """The files of which at least two fit into MEMORY, by what they are said to hold: the others stay."""
        return [f for f in files if 2 * self._held(table, f) <= MEMORY]

    def _held(self, table: str, file: DataFile) -> int:
        """Bytes of a file's rows in memory: as noted in it, or before compression, which is less by far where texts repeat."""
        footer = self.parts.metadata(self.parts.named(f"{table}/{file.name}", file.rows))
        return _noted(footer) or sum(footer.row_group(g).total_byte_size for g in range(footer.num_row_groups))

    def _together(
        self, table: str, chosen: list[DataFile], numbers: dict[str, int]
    ) -> Iterator[tuple[list[DataFile], pa.Table]]:
        """Neighbouring files, two or more at a time, and their rows in the order of commits; each time at most MEMORY. One that
        turns out to be too large to be read with another comes alone, so that this is noted in it and it is not read again."""
        in_turn = sorted(chosen, key=lambda f: (_first(f, numbers), f.name))
        for files in _neighbours([(file, self._held(table, file)) for file in in_turn]):
            held: list[DataFile] = []
            pieces: list[pa.Table] = []
            for file in files:
                rows = self.numbered(table, file, numbers)
                if held and sum(p.nbytes for p in pieces) + rows.nbytes > MEMORY:
                    if self._is_worth(table, held, pieces):
                        yield held, in_order(pa.concat_tables(pieces))
                    held, pieces = [], []
                held.append(file)
                pieces.append(rows)
            if self._is_worth(table, held, pieces):
                yield held, in_order(pa.concat_tables(pieces))

    def _is_worth(self, table: str, held: list[DataFile], pieces: list[pa.Table]) -> bool:
        """Whether files are to be written as one: several, or one whose size in memory is a surprise."""
        if len(held) > 1:
            return True
        return bool(2 * pieces[0].nbytes > MEMORY >= 2 * self._held(table, held[0]))

    def numbers(self, table: str) -> dict[str, int]:
        """Part names of a table to the numbers of their commits."""
        last = self.ledger.last()
        if self._numbers[0] != last:  # one pass over the commits for all tables of a merge
            found: dict[str, dict[str, int]] = {}
            for entry in self.ledger.entries(self.ledger.heads()["seq"].combine_chunks()):
                for name in (name for _, name, _ in entry.parts):
                    of, _, file = name.partition("/")
                    found.setdefault(of, {})[file] = entry.seq
            self._numbers = last, found
        return self._numbers[1].get(table, {})

    def numbered(self, table: str, file: DataFile, numbers: dict[str, int]) -> pa.Table:
        """Rows of a file with the number of the commit that each came by."""
        part = self.parts.named(f"{table}/{file.name}", file.rows, numbers.get(file.name, 0))
        rows = self.parts.read([part], schema_of(table), None)
        if not part.seq:
            return rows
        number = pa.nulls(rows.num_rows, pa.int64()).fill_null(part.seq)
        return rows.set_column(rows.column_names.index(SEQ), pa.field(SEQ, pa.int64()), number)

    def name(self, run_id: str, tables: set[str]) -> None:
        """Publish the versions of merged tables."""
        state = self.ledger.state()
        versions = dict(state.versions)
        for table in tables:
            log = self.log(table)
            versions[table] = (log.version(), log.transaction("through"))
        self._publish(run_id, versions, _settled(state))

    def vacuum(self, older_than: timedelta) -> int:
        """Remove files that were merged away longer ago; snapshots before that can no longer be read."""
        removed = 0
        for table in [*sorted(self.ledger.state().versions), FOLDER]:
            removed += Log(self.place, table).vacuum(int(older_than.total_seconds() // 3600))
        return removed

    def drop_copies(self) -> int:
        """Remove the copies of an object store's files on this machine: what was erased there lies in them still. Machines
        that have copies of their own drop them when they erase. What says where keys are in a file goes too."""
        self.parts.keys.keep(())
        self.parts.extracts.keep(())
        self.parts.checked.keep(())
        return self.place.drop_copies()


def _noted(footer: pq.FileMetaData) -> int:
    """What a merged file takes in memory; 0 for one of a single commit, or of an earlier version."""
    return int((footer.metadata or {}).get(HELD.encode(), 0))


def _neighbours(sized: list[tuple[DataFile, int]]) -> Iterator[list[DataFile]]:
    """Files in the order given, as many at a time as are said to fit into MEMORY together."""
    files: list[DataFile] = []
    size = 0
    for file, held in sized:
        if files and size + held > MEMORY:
            yield files
            files, size = [], 0
        files.append(file)
        size += held
    if files:
        yield files


def in_order(rows: pa.Table) -> pa.Table:
    """Rows in the order of their commits; those of one commit stay as they are, however many."""
    ends = pc.min_max(rows[SEQ])
    return rows if ends["min"].as_py() == ends["max"].as_py() else rows.sort_by(SEQ)


def _settled(state: LedgerState) -> int:
    """The last number that is in the logs of all tables: the one before the first pending commit."""
    return min((e.seq for e in state.pending if e.parts), default=state.last + 1) - 1


def _alike(files: list[DataFile]) -> list[list[DataFile]]:
    """Files that are merged: those of each size, where there are more than a few."""
    groups = [[f for f in files if least <= f.size < most] for least, most in zip((0, *SIZES), SIZES, strict=False)]
    return [group for group in groups if len(group) > FEW]


def _first(file: DataFile, numbers: dict[str, int]) -> int:
    """The first commit in a file: a merged one says so in its name."""
    return numbers[file.name] if file.name in numbers else int(file.name.split("-")[1])
