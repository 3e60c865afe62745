"""The few things that the lake does with a Delta table: open it, list its files, and put a change into its log.

A change is put with an application transaction, so that of two writers who looked at the same version one is refused
and looks again: nothing is added twice and nobody's change is lost, on a disk as in an object store (conditional puts).
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.errors import DependencyError, IntegrityError
from pipeline.lake.places import LakePlace

CHECKPOINT = 50
"""Versions between two checkpoints of a log: opening reads the last checkpoint and what follows it."""
KEEP_LOG = "interval 3650 days"
"""How long Delta keeps the log of past versions; the files that they name go by the retention of policy."""


class CommitConflictError(Exception):
    """Another writer was first: look again."""


@dataclass(frozen=True)
class DataFile:
    """One file that a log names: its name in the table's folder, rows, bytes, and the range of sequence numbers."""

    name: str
    rows: int
    size: int
    first: int = 0
    last: int = 0


class Log:
    """The log of one Delta table below a place, at its newest or at a given version."""

    def __init__(self, place: LakePlace, folder: str, version: int | None = None) -> None:
        self.place, self.folder, self._pinned = place, folder, version
        self._table: Any = None
        self._files: tuple[int, list[DataFile]] | None = None

    def table(self) -> Any:
        """The opened table. None when it does not exist yet. Raises IntegrityError for a log that cannot be read."""
        # loaded only by who opens a log: most commands open none, and it is slow to load
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            if self._table is None:
                if self.place.is_local and not self.place.local(f"{self.folder}/_delta_log").is_dir():
                    return None
                self._table = DeltaTable(self.place.uri(self.folder), version=self._pinned)
            elif self._pinned is None and self.place.newer(self.folder, self._table.version()):
                self._table.update_incremental()
        except TableNotFoundError:
            return None
        except (DeltaError, ValueError) as error:
            raise damaged(self.folder, error) from error
        except OSError as error:
            raise DependencyError(
                f"The lake cannot be reached: {error}.", "Check TRIAGE_LAKE and its store."
            ) from error
        return self._table

    def version(self) -> int:
        """The version; -1 before the first."""
        table = self.table()
        return -1 if table is None else int(table.version())

    def transaction(self, name: str) -> int:
        """The last number that an application transaction of this name wrote; 0 when there is none."""
        table = self.table()
        return 0 if table is None else int(table.transaction_version(name) or 0)

    def files(self) -> list[DataFile]:
        """The files that make up the table at this version, ordered by name."""
        table = self.table()
        if table is None:
            return []
        if self._files is None or self._files[0] != table.version():
            self._files = int(table.version()), sorted(_files(table), key=lambda f: f.name)
        return self._files[1]

    def merged_away(self) -> list[str]:
        """Names of files that the log has removed and that still lie there."""
        table = self.table()
        return [] if table is None else list(table.vacuum(0, dry_run=True, enforce_retention_duration=False))

    def vacuum(self, hours: int) -> int:
        """Remove the files that the log removed longer ago than `hours`; returns how many."""
        table = self.table()
        return 0 if table is None else len(table.vacuum(hours, dry_run=False, enforce_retention_duration=False))

    def create(self, schema: pa.Schema) -> None:
        """Make the table unless it is there; its columns may all be null, since older files lack what came later.

        Raises CommitConflictError when another writer makes or widens it at the same moment."""
        # slow to load, see `table`
        from deltalake.exceptions import CommitFailedError

        try:
            self._create(schema)
        except CommitFailedError as error:
            raise CommitConflictError(str(error)) from error

    def _create(self, schema: pa.Schema) -> None:
        from deltalake import DeltaTable  # slow to load, see `table`

        if self.table() is None:
            DeltaTable.create(
                self.place.uri(self.folder),
                schema=nullable(schema),
                mode="ignore",
                configuration={
                    "delta.checkpointInterval": str(CHECKPOINT),
                    "delta.logRetentionDuration": KEEP_LOG,
                    "delta.deletedFileRetentionDuration": KEEP_LOG,
                },
            )
        table = self.table()
        there = set(pa.schema(table.schema().to_arrow()).names)
        missing = [f for f in nullable(schema) if f.name not in there]
        if missing:
            from deltalake import Schema  # slow to load, see `table`

            table.alter.add_columns(list(Schema.from_arrow(pa.schema(missing)).fields))
            self._table = None

    def put(
        self,
        schema: pa.Schema,
        added: Sequence[DataFile],
        removed: Sequence[DataFile] = (),
        *,
        after: int,
        transactions: Mapping[str, int],
        change: bool = True,
    ) -> int:
        """The version after `after`: files added and removed; returns it. `change` is false when the rows stay the same.

        Raises CommitConflictError when another writer has put one of the transactions since version `after`.
        """
        # slow to load, see `table`
        from deltalake import CommitProperties, PostCommitHookProperties, Transaction
        from deltalake.exceptions import CommitFailedError
        from deltalake.transaction import AddAction, RemoveAction

        now = int(time.time() * 1000)
        table = self._table
        if table is None or int(table.version()) != after:
            raise CommitConflictError(f"{self.folder} is not at version {after}")
        actions: list[Any] = [RemoveAction(f.name, change, now, f.size, {}) for f in removed]
        actions += [AddAction(f.name, f.size, {}, now, change, _stats(f)) for f in added]
        try:
            table.create_write_transaction(
                actions,
                "append",
                nullable(schema),
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(name, number) for name, number in transactions.items()]
                ),
                post_commithook_properties=PostCommitHookProperties(
                    create_checkpoint=True,
                    cleanup_expired_logs=False,  # delta-rs makes one every CHECKPOINT versions
                ),
            )
        except CommitFailedError as error:
            raise CommitConflictError(str(error)) from error
        table.update_incremental()
        self.place.sync_log(self.folder, after + 1)
        return int(table.version())


def _files(table: Any) -> list[DataFile]:
    found = pa.table(table.get_add_actions(flatten=True))
    rows = found.num_rows

    def column(name: str) -> list[Any]:
        return found[name].to_pylist() if name in found.column_names else [0] * rows

    named = zip(*(column(n) for n in ("path", "num_records", "size_bytes", "min.seq", "max.seq")), strict=True)
    return [DataFile(path, int(n or 0), int(size), int(a or 0), int(b or 0)) for path, n, size, a, b in named]


def _stats(file: DataFile) -> str:
    stats: dict[str, Any] = {"numRecords": file.rows}
    if file.last:
        stats |= {"minValues": {"seq": file.first}, "maxValues": {"seq": file.last}, "nullCount": {"seq": 0}}
    return json.dumps(stats)


def nullable(schema: pa.Schema) -> pa.Schema:
    """The schema with columns that may be null, and binary values of any width, as Delta has them."""
    return pa.schema([pa.field(f.name, _plain(f.type), nullable=True) for f in schema])


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.binary() if pa.types.is_fixed_size_binary(kind) else kind


def wait(attempt: int) -> None:
    """A moment before looking again, longer after each refusal: writers that met do not meet again."""
    time.sleep(random.uniform(0, min(1.0, 0.005 * 2**attempt)))  # noqa: S311 - spreads writers, keeps no secret


def damaged(folder: str, error: Exception) -> IntegrityError:
    """The error for a log that cannot be read."""
    return IntegrityError(
        f"The log of {folder} in the lake is damaged ({type(error).__name__}).", "Restore the lake from a backup."
    )
