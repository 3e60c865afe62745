"""What stages and readers use: commits written, tables and commits read, of the lake as it is or as it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline import files, records
from pipeline.errors import TriageError, UsageError
from pipeline.lake import erasing, run_rows
from pipeline.lake.delta import Log
from pipeline.lake.kept.extracts import Extract
from pipeline.lake.kept.listings import Listings
from pipeline.lake.ledger import SETTLE, Ledger, LedgerEntry, LedgerState, TakenError
from pipeline.lake.parts import Part, Parts, Where
from pipeline.lake.places import LakePlace, refuse
from pipeline.lake.run_rows import RunRows
from pipeline.lake.settling import Settler, again
from pipeline.settings import Settings


@dataclass(frozen=True)
class Commit:
    """One published piece of work. `meta` is what the stage noted (counts, versions); never personal data. `seq` is its
    number in the order of publication, by which a snapshot is named."""

    stage: str
    key: str
    run_id: str
    parts: tuple[Part, ...]
    meta: dict[str, Any]
    seq: int = 0


class Lake:
    """Reads and writes the lake at `root`, a folder or an object store's URL. One instance may be shared by the threads of a
    process for reading. `as_of` names a snapshot: what was published up to that commit and nothing later."""

    def __init__(
        self, root: Path | str, *, cache: Path | None = None, as_of: int | None = None, migrating: bool = False
    ) -> None:
        self.place = LakePlace(root, cache)
        self.root = self.place.root
        self.as_of = as_of
        self._parts = Parts(self.place)
        self._ledger = Ledger(self.place, lambda name: self._parts.check(name, self.place.local(name)), as_of)
        self._settler = Settler(self._ledger, self._parts)
        self._listings = Listings(self.place)
        self.run_rows = RunRows(self.place, lambda name: self._parts.check(name, self.place.local(name)))
        """What runs said while they went; not part of any snapshot."""
        self._active: dict[tuple[str, int], list[Part]] = {}
        if as_of is not None:
            self._parts.taken_out = self._taken_out
        if not migrating:
            refuse(self.place)

    @classmethod
    def of(cls, settings: Settings, *, as_of: int | None = None) -> Lake:
        """The lake of an installation: TRIAGE_LAKE, else HOME/lake. Files of an object store are kept in HOME/cache."""
        return cls(settings.lake_dir, cache=settings.home / "cache" / "lake", as_of=as_of)

    def at(self, moment: datetime) -> Lake:
        """The lake as it was at a moment: what had been published by then."""
        heads = self._ledger.heads()
        then = heads.filter(pc.less_equal(heads["at"], pa.scalar(moment, heads["at"].type)))
        return self._then(pc.max(then["seq"]).as_py() or 0)

    def now(self) -> Lake:
        """The lake as it is now, and as it stays: what others publish from here on is not in it."""
        return self._then(self.last())

    def after(self, run_id: str) -> Lake:
        """The lake as it was after the last commit of a run. Raises UsageError when the run has published nothing."""
        heads = self._ledger.heads()
        own = heads.filter(pc.equal(heads["run_id"], run_id))
        if not own.num_rows:
            raise UsageError(f"Run {run_id!r} has published nothing in the lake.", "`triage status` lists the runs.")
        return self._then(pc.max(own["seq"]).as_py())

    def _then(self, as_of: int) -> Lake:
        """The lake at a commit, with what was read of the ledger so far."""
        lake = Lake(self.root, cache=self.place.cache, as_of=as_of)
        lake._ledger.share(self._ledger)
        return lake

    # -- writing -------------------------------------------------------------------------------------------------

    def committed(self, stage: str, key: str) -> bool:
        """Whether this piece of work is published."""
        return bool(len(self._ledger.numbers(stage, [_word(key)])))

    def commit(
        self,
        stage: str,
        key: str,
        tables: Mapping[str, pa.Table],
        *,
        run_id: str,
        meta: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Publish `tables` (record name -> table of that record's schema) as the result of (`stage`, `key`).

        If it is published already, nothing is written and the existing commit is returned. Empty tables are listed
        with no file. Raises TriageError when a table does not have its record's schema, for an unsafe key, and for a
        lake that is opened as it was.
        """
        if self.as_of is not None:
            raise TriageError("A snapshot of the lake cannot be written to.", "Open the lake as it is.")
        if self.committed(_word(stage), _word(key)):
            return self.named(stage, [key])[0]
        listed: list[tuple[str, str, int]] = []
        for name, table in sorted(tables.items()):
            if table.schema != records.arrow_schema(name):
                raise TriageError(f"The rows for {name} do not have that record's columns: {table.schema.names}.")
            if table.num_rows:
                listed.append((name, self._parts.write(name, f"{stage}-{key}", table)[0], table.num_rows))

        try:
            entry: LedgerEntry = again(lambda: self._ledger.append(stage, key, run_id, dict(meta or {}), listed))
        except TakenError:  # another writer was first with the same work
            return self.named(stage, [key])[0]
        return self._commit(entry)

    def publish_all(self, rows: list[tuple[str, str, str, Any, list[tuple[str, str, int]]]]) -> None:
        """Publish several commits whose files lie here already: stage, key, run, meta, and table, name and rows of parts."""
        again(lambda: self._ledger.extend(rows))

    def settle(self, run_id: str) -> int:
        """Put the files of commits into their tables' Delta logs, where other programs read them; how many commits."""
        return self._settler.settle(run_id)

    def merge(self, run_id: str) -> dict[str, int]:
        """Make one file of many small ones in every table; returns files merged by table. Blocks no reader or writer."""
        counts = self._settler.merge(run_id)
        gone = self.run_rows.merge()
        return counts | ({run_rows.FOLDER: gone} if gone else {})

    def vacuum(self, older_than: timedelta) -> int:
        """Remove files that were merged away longer ago than that; returns how many. Older snapshots go with them."""
        removed = self._settler.vacuum(older_than) + self.run_rows.vacuum(older_than)
        there = {part.sha256 for part in self.everything()}
        self._parts.keys.keep(there)
        self._parts.extracts.keep(there)
        self._parts.checked.keep(there)
        self._listings.keep({table: version for table, (version, _) in self._ledger.state().versions.items()})
        return removed

    def erase(self, wanted: erasing.Wanted, run_id: str) -> dict[str, int]:
        """Empty the personal values of what is wanted for good, in every table and snapshot; files rewritten by table."""
        counts = erasing.erase(self._settler, wanted, run_id)
        if wanted.referrals:
            self.commit(erasing.STAGE, wanted.key(), {}, run_id=run_id, meta={"referrals": len(wanted.referrals)})
        return counts

    # -- reading -------------------------------------------------------------------------------------------------

    def commits(self, stage: str | None = None, *, run_id: str | None = None, after: int = 0) -> list[Commit]:
        """Commits (of one stage, of one run, with numbers above `after`), ordered by stage and key."""
        heads = self._ledger.heads()
        mask = pc.and_(pc.not_equal(heads["stage"], SETTLE), pc.greater(heads["seq"], after))
        for column, value in (("stage", stage), ("run_id", run_id)):
            if value is not None:
                mask = pc.and_(mask, pc.equal(heads[column], value))
        return self._listed(heads["seq"].filter(mask).combine_chunks())

    def keys(self, stage: str) -> dict[str, int]:
        """Keys of a stage's commits and their numbers, without reading what they note."""
        heads = self._ledger.heads()
        own = heads.filter(pc.equal(heads["stage"], stage))
        return dict(zip(own["key"].to_pylist(), own["seq"].to_pylist(), strict=True))

    def newest(self, stage: str, count: int = 1) -> list[Commit]:
        """The last commits of a stage, the newest first."""
        heads = self._ledger.heads()
        own = heads["seq"].filter(pc.equal(heads["stage"], stage)).combine_chunks()
        return [self._commit(e) for e in reversed(self._ledger.entries(own[max(0, len(own) - count) :]))]

    def runs(self) -> dict[str, int]:
        """Every run that has published something, with the number of its first commit."""
        firsts = self._ledger.heads().group_by("run_id").aggregate([("seq", "min")])
        return dict(zip(firsts["run_id"].to_pylist(), firsts["seq_min"].to_pylist(), strict=True))

    def last(self) -> int:
        """Number of the last commit: the snapshot that reading now gives."""
        return self._ledger.last()

    def named(self, stage: str, keys: Iterable[str]) -> list[Commit]:
        """The published ones among these pieces of work, ordered by key: without reading every commit of the stage."""
        return self._listed(self._ledger.numbers(_word(stage), keys))

    def parts(self, table: str, stage: str | None = None) -> list[Part]:
        """Published parts of a table, ordered by name. With `stage` the parts of its commits, merged ones too."""
        found = self._current(self._ledger.state(), table)
        return [p for p in found if stage is None or p.merged or p.file.startswith(f"{stage}-")]

    def paths(self, table: str, stage: str | None = None) -> list[str]:
        """Paths of a table's published parts, each verified, for DuckDB's read_parquet as a bound parameter."""
        return [str(self.verified(part).path) for part in self.parts(table, stage)]

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        stage: str | None = None,
        parts: Iterable[Part] | None = None,
        commits: Iterable[Commit] | None = None,
        where: Where | None = None,
    ) -> pa.Table:
        """All published rows of a table (or of the given parts or commits), in the order of their parts.

        `where` is a column and the values wanted: where a file has none of them, none of its other columns is read.
        Columns that older parts lack read as null. Parts that were merged away since are read from the merged ones.
        """
        schema = records.arrow_schema(table)
        if commits is not None:
            parts = [p for c in commits for p in c.parts if p.table == table]
        if parts is None and stage is None:
            return self._parts.read(self._current(self._ledger.state(), table), schema, columns, where=where)
        if parts is None:
            heads = self._ledger.heads()
            numbers = heads["seq"].filter(pc.equal(heads["stage"], stage)).combine_chunks()
            return self._parts.read(self.parts(table, stage), schema, columns, numbers, where)
        return self._of_parts(table, list(parts), schema, columns, where)

    def extract(self, extract: Extract) -> list[tuple[Part, pa.Table]]:
        """What follows from each part of a table, in the order in which `read` gives their rows."""
        schema = records.arrow_schema(extract.table)
        return [(part, self._parts.extract(part, extract, schema)) for part in self.parts(extract.table)]

    def rows_at(self, part: Part, columns: Sequence[str], places: NDArray[np.int64]) -> pa.Table:
        """The rows of a part at some places (from 0, ascending), such as an extract has told of."""
        return self._parts.rows_at(part, records.arrow_schema(part.table), columns, places)

    def _of_parts(
        self,
        table: str,
        chosen: list[Part],
        schema: pa.Schema,
        columns: Sequence[str] | None,
        where: Where | None,
    ) -> pa.Table:
        """Rows of parts, those that were merged away from the merged parts."""
        state = self._ledger.state()
        settled = state.versions.get(table, (0, 0))[1]
        there = {p.path for p in self._current(state, table)} if any(0 < p.seq <= settled for p in chosen) else set()
        gone = [p.seq for p in chosen if 0 < p.seq <= settled and p.path not in there]
        rows = self._parts.read([p for p in chosen if p.seq not in set(gone)], schema, columns, where=where)
        if not gone:
            return rows
        merged = [p for p in self._current(state, table) if p.merged and _spans(p, gone)]
        past = self._parts.read(merged, schema, columns, pa.array(gone, pa.int64()), where)
        return pa.concat_tables([rows, past]) if rows.num_rows else past

    def anew(self) -> Lake:
        """This lake, which from now on lists its tables from their logs and not from what was kept of them."""
        self._listings.trusted = False
        self._active.clear()
        return self

    def verified(self, part: Part) -> Part:
        """The part, after checking its bytes against its name. Raises IntegrityError if they differ."""
        return self._parts.verified(part)

    def verify(self, chosen: Iterable[Part] | None = None) -> int:
        """Check every published part anew, or some; returns how many. Raises IntegrityError at the first that differs."""
        self._parts.forget()
        if chosen is None:
            self.anew()
            self._ledger.forget()
            self._ledger.entries(self._ledger.heads()["seq"].combine_chunks())
            chosen = self.everything()
            self.run_rows.verify()
        return len([self.verified(part) for part in chosen])

    def everything(self) -> list[Part]:
        """Every published part of every table, ordered by table and name."""
        state = self._ledger.state()
        tables = set(state.versions) | {t for e in state.pending for t, _, _ in e.parts}
        return [part for table in sorted(tables) for part in self._current(state, table)]

    def sweep(self, older_than: timedelta = timedelta(0)) -> int:
        """Remove parts and temporary files that nothing names (left by killed processes); returns how many.

        With `older_than` only what was not touched for so long: safe beside stages that are writing, on other machines too.
        """
        # listed before the ledger is read: what is committed in between is not taken for a leftover
        found = [f for f in self.place.listing() if f.age >= older_than]
        known = self._named_now({f.name.partition("/")[0] for f in found})
        left = [f for f in found if f.name not in known]
        named = self._named_before({f.name.partition("/")[0] for f in left}) if left else set()
        removed = 0
        for file in left:
            if file.name in named or (self.place.is_local and files.being_written(Path(file.name))):
                continue
            self.place.remove(file.name)
            removed += 1
        return removed

    def _taken_out(self, name: str) -> bool:
        """Whether the lake as it is now names this file no more: it was erased or merged away."""
        return name not in Lake(self.root, cache=self.place.cache)._named_now({name.partition("/")[0]})

    def _named_now(self, tables: set[str]) -> set[str]:
        """Names of the files that the newest logs name, and of those that wait to be in one."""
        pending = {name for e in self._ledger.state().pending for _, name, _ in e.parts}
        return pending | {f"{table}/{f.name}" for table in tables for f in Log(self.place, table).files()}

    def _named_before(self, tables: set[str]) -> set[str]:
        """Names of the files that snapshots of the past name: of every commit, and what was merged away."""
        entries = self._ledger.entries(self._ledger.heads()["seq"].combine_chunks())
        named = {name for e in entries for _, name, _ in e.parts}
        return named | {f"{table}/{name}" for table in tables for name in Log(self.place, table).merged_away()}

    def _current(self, state: LedgerState, table: str) -> list[Part]:
        """Parts of a table in a snapshot: what its log names at the settled version, and what was published since."""
        version, through = state.versions.get(table, (-1, 0))
        if version >= 0 and (table, version) not in self._active:
            listed = self._listings.files(table, version, self._settler.logs.get(table))
            self._active = {k: v for k, v in self._active.items() if k[0] != table}
            self._active[table, version] = [self._parts.named(f"{table}/{f.name}", f.rows) for f in listed]
        pending = [
            self._parts.named(name, rows, e.seq)
            for e in state.pending
            if e.seq > through
            for t, name, rows in e.parts
            if t == table
        ]
        return sorted([*self._active.get((table, version), []), *pending], key=lambda p: p.file)

    def _listed(self, numbers: pa.Array) -> list[Commit]:
        return sorted(map(self._commit, self._ledger.entries(numbers)), key=lambda c: (c.stage, c.key))

    def _commit(self, entry: LedgerEntry) -> Commit:
        parts = tuple(self._parts.named(name, rows, entry.seq) for _, name, rows in entry.parts)
        return Commit(entry.stage, entry.key, entry.run_id, parts, entry.meta, entry.seq)


def _spans(part: Part, numbers: Iterable[int]) -> bool:
    """Whether a merged part may hold rows of some commits, by its name `merged-<first>-<last>`."""
    first, last = map(int, part.file.split(".")[0].split("-")[1:])
    return any(first <= n <= last for n in numbers)


def _word(word: str) -> str:
    if not word or not all(c.isalnum() or c in "-_." for c in word) or word.startswith("."):
        raise TriageError(f"{word!r} cannot name a piece of work.")
    return word
