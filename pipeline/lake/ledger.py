"""The ledger: one row per commit, in a Delta table of its own. A row is what makes the files of a commit visible, all at once.

    <lake>/commits/        seq, at, stage, key, run_id, meta (JSON), parts (JSON: table, file name, rows)

Rows have gapless numbers (`seq`) in the order of publication; a snapshot of the lake is a number. A row of the stage
`_settle` names the versions of all tables that belong together and how far each has the commits' files in its own log.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import IntegrityError
from pipeline.lake import numbered
from pipeline.lake.delta import CommitConflictError, DataFile, Log
from pipeline.lake.places import LakePlace

FOLDER = "commits"
SETTLE = "_settle"
LARGE = 4000
"""Rows from which a file of the ledger is left as it is when newer ones are merged."""
SCHEMA = pa.schema(
    [
        ("seq", pa.int64()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("stage", pa.string()),
        ("key", pa.string()),
        ("run_id", pa.string()),
        ("meta", pa.string()),
        ("parts", pa.string()),
    ]
)
HEADS = ["seq", "at", "stage", "key", "run_id"]


class TakenError(Exception):
    """This piece of work is published already."""


@dataclass(frozen=True)
class LedgerEntry:
    """One row of the ledger. `parts` are (table, file name below the lake, rows)."""

    seq: int
    at: datetime
    stage: str
    key: str
    run_id: str
    meta: dict[str, Any]
    parts: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class LedgerState:
    """What a snapshot consists of: the tables at the versions of the last settling (version, last number in it), and the
    commits since, whose files no table's log names yet."""

    versions: dict[str, tuple[int, int]] = field(default_factory=dict)
    pending: tuple[LedgerEntry, ...] = ()
    last: int = 0


class Ledger:
    """The rows up to `upto` (default: all, looked at anew on every call)."""

    def __init__(self, place: LakePlace, fetch: Callable[[str], Any], upto: int | None = None) -> None:
        self.place, self.upto = place, upto
        self.log = Log(place, FOLDER)
        self._fetch = fetch
        self._heads: dict[str, pa.Table] = {}
        self._bodies: dict[str, pa.Table] = {}
        self._state: tuple[int, LedgerState] | None = None

    # -- reading -------------------------------------------------------------------------------------------------

    def _files(self) -> list[DataFile]:
        found = sorted(self.log.files(), key=lambda f: f.last)
        return found if self.upto is None else [f for f in found if f.first <= self.upto]

    def last(self) -> int:
        """Number of the last row; 0 when there is none."""
        newest = max((f.last for f in self._files()), default=0)
        return newest if self.upto is None else min(newest, self.upto)

    def heads(self) -> pa.Table:
        """seq, at, stage, key and run of every row, ordered by seq."""
        found = [self._head(f) for f in self._files()]
        if not found:
            return pa.schema([SCHEMA.field(n) for n in HEADS]).empty_table()
        table = pa.concat_tables(found)
        return table if self.upto is None else table.filter(pc.less_equal(table["seq"], self.upto))

    def entries(self, wanted: pa.Array | Iterable[int]) -> list[LedgerEntry]:
        """Rows by their numbers, ordered by them."""
        chosen = wanted if isinstance(wanted, pa.Array) else pa.array(sorted(wanted), pa.int64())
        found: list[LedgerEntry] = []
        if not len(chosen):
            return found
        least, most = pc.min(chosen).as_py(), pc.max(chosen).as_py()
        for file in self._files():
            if file.last < least or file.first > most:
                continue
            mask = pc.is_in(self._head(file)["seq"], value_set=chosen)
            if pc.any(mask).as_py():
                rows = self._body(file).filter(mask)
                found += [_entry(row) for row in rows.to_pylist()]
        return sorted(found, key=lambda e: e.seq)

    def state(self) -> LedgerState:
        """The snapshot at the last row."""
        last = self.last()
        if self._state is not None and self._state[0] == last:
            return self._state[1]
        versions: dict[str, tuple[int, int]] = {}
        through = 0
        for file in reversed(self._files()):
            heads = self._head(file)
            mask = pc.equal(heads["stage"], SETTLE)
            if self.upto is not None:
                mask = pc.and_(mask, pc.less_equal(heads["seq"], self.upto))
            numbers = heads["seq"].filter(mask)
            if len(numbers):
                [settled] = self.entries([pc.max(numbers).as_py()])
                versions = {name: (int(v), int(n)) for name, (v, n) in settled.meta["versions"].items()}
                through = int(settled.meta["through"])
                break
        numbers = self.heads_after(through)
        after = [e for e in self.entries(numbers) if e.stage != SETTLE]
        state = LedgerState(versions, tuple(after), last)
        self._state = (last, state)
        return state

    def numbers(self, stage: str, keys: Iterable[str]) -> pa.Array:
        """Numbers of the rows of some pieces of work."""
        heads = self.heads()
        chosen = pc.is_in(heads["key"], value_set=pa.array(sorted(set(keys)), pa.string()))
        return heads["seq"].filter(pc.and_(pc.equal(heads["stage"], stage), chosen)).combine_chunks()

    def heads_after(self, through: int) -> pa.Array:
        """Numbers of the rows after one."""
        found = [self._head(f)["seq"] for f in self._files() if f.last > through]
        if not found:
            return pa.array([], pa.int64())
        numbers = pa.chunked_array([c for column in found for c in column.chunks], pa.int64()).combine_chunks()
        mask = pc.greater(numbers, through)
        if self.upto is not None:
            mask = pc.and_(mask, pc.less_equal(numbers, self.upto))
        return numbers.filter(mask)

    def _head(self, file: DataFile) -> pa.Table:
        if file.name not in self._heads:
            self._heads[file.name] = self._read(file, HEADS)
        return self._heads[file.name]

    def _body(self, file: DataFile) -> pa.Table:
        if file.name not in self._bodies:
            self._bodies[file.name] = self._read(file, SCHEMA.names)
        return self._bodies[file.name]

    def _read(self, file: DataFile, columns: list[str]) -> pa.Table:
        return numbered.read(self._fetch, FOLDER, file, columns)

    # -- writing -------------------------------------------------------------------------------------------------

    def append(
        self, stage: str, key: str, run_id: str, meta: Any, parts: Iterable[tuple[str, str, int]]
    ) -> LedgerEntry:
        """Publish a row. Raises ConflictError when another was published since this ledger was last looked at, TakenError
        when the work is published already."""
        [entry] = self.extend([(stage, key, run_id, meta, list(parts))])
        return entry

    def extend(self, rows: list[tuple[str, str, str, Any, list[tuple[str, str, int]]]]) -> list[LedgerEntry]:
        """Publish several rows at once (stage, key, run, meta, parts of each). Raises as `append`."""
        self.log.create(SCHEMA)
        version, last, now = self.log.version(), self.last(), datetime.now(UTC)
        taken = [e for stage, key, *_ in rows if stage != SETTLE for e in self.numbers(stage, [key]).to_pylist()]
        if taken:
            raise TakenError(f"Commit {taken[0]} is the same work.")
        listed = [
            {"seq": last + n, "at": now, "stage": stage, "key": key, "run_id": run,
             "meta": json.dumps(meta, sort_keys=True), "parts": json.dumps(parts)}
            for n, (stage, key, run, meta, parts) in enumerate(rows, 1)
        ]  # fmt: skip
        table = pa.Table.from_pylist(listed, schema=SCHEMA)
        file = numbered.write(self.place, FOLDER, table)
        self.log.put(SCHEMA, [file], after=version, transactions={"ledger": version + 1})
        return [_entry(row) for row in table.to_pylist()]

    def merge(self) -> int:
        """Bring the newest small files of the ledger together in one; returns how many went. Nothing is lost when
        another writer is first: the next merge does it."""
        version = self.log.version()
        small = [f for f in self._files() if f.rows < LARGE]
        if len(small) < 2:
            return 0
        table = pa.concat_tables([self._body(f) for f in small]).sort_by("seq")
        file = numbered.write(self.place, FOLDER, table)
        try:
            self.log.put(SCHEMA, [file], small, after=version, transactions={"ledger": version + 1}, change=False)
        except CommitConflictError:
            return (
                0  # the file stays: another writer may have published the same one, and a sweep takes what is left over
            )
        return len(small)

    def share(self, other: Ledger) -> None:
        """Use what another ledger of the same lake has read: a file never changes."""
        self._heads, self._bodies = other._heads, other._bodies

    def forget(self) -> None:
        """Drop what is kept in memory, so that every file is read and checked again."""
        self._heads.clear()
        self._bodies.clear()
        self._state = None


def _entry(row: dict[str, Any]) -> LedgerEntry:
    try:
        parts = tuple((table, name, int(rows)) for table, name, rows in json.loads(row["parts"]))
        return LedgerEntry(
            row["seq"], row["at"], row["stage"], row["key"], row["run_id"], json.loads(row["meta"]), parts
        )
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"Commit {row.get('seq')} in the lake's ledger is damaged.", "Restore it from a backup."
        ) from error
