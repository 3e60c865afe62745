"""What runs leave while they go: rows of the Delta table `runs`, which every machine that reaches the lake reads and appends to.

    <lake>/runs/    seq, at, run_id, kind, name, body

| kind | name | body |
|---|---|---|
| report | stage | the stage report, as JSON |
| plan | stage | how many shards were left when it was planned, as JSON |

An append is one conditional write, on a disk as in an object store: tasks on several machines append beside each other, and
nothing that one of them says is lost or seen by half. `seq` is the order in which rows were written. A file's name begins with
a digest of its run's name, so that reading one run opens no other's files but merged ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.lake import numbered
from pipeline.lake.delta import DataFile, Log
from pipeline.lake.parts import MERGED
from pipeline.lake.places import LakePlace
from pipeline.lake.settling import again

FOLDER = "runs"
SCHEMA = pa.schema(
    [
        ("seq", pa.int64()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("run_id", pa.string()),
        ("kind", pa.string()),
        ("name", pa.string()),
        ("body", pa.string()),
    ]
)
REPORT, PLAN = "report", "plan"


@dataclass(frozen=True)
class RunRow:
    """One row. `at` is when it was written, `body` JSON."""

    seq: int
    at: datetime
    run_id: str
    kind: str
    name: str
    body: str


class RunRows:
    """The rows of one lake. `fetch` gives a file of the lake on this machine, checked against the digest in its name."""

    def __init__(self, place: LakePlace, fetch: Callable[[str], Path]) -> None:
        self.place, self._fetch = place, fetch
        self.log = Log(place, FOLDER)

    # -- writing -------------------------------------------------------------------------------------------------

    def append(self, run_id: str, rows: Sequence[tuple[str, str, str]]) -> None:
        """Write rows (kind, name, body) of a run, all of them or none. Raises CommitConflictError when others are first
        every time."""
        if rows:
            again(lambda: self._append(run_id, rows))

    def _append(self, run_id: str, rows: Sequence[tuple[str, str, str]]) -> None:
        self.log.create(SCHEMA)
        version, last, now = self.log.version(), self._last(), datetime.now(UTC)
        listed = [
            {"seq": last + n, "at": now, "run_id": run_id, "kind": kind, "name": name, "body": body}
            for n, (kind, name, body) in enumerate(rows, 1)
        ]
        file = numbered.write(self.place, FOLDER, pa.Table.from_pylist(listed, schema=SCHEMA), _begins(run_id))
        self.log.put(SCHEMA, [file], after=version, transactions={FOLDER: version + 1})

    def merge(self) -> int:
        """Make one file of the small ones; returns how many went. Blocks no reader and no writer."""
        merged: int = again(lambda: numbered.merge(self.log, self._fetch, SCHEMA))
        return merged

    def vacuum(self, older_than: timedelta) -> int:
        """Remove files that were merged away longer ago; returns how many."""
        return self.log.vacuum(int(older_than.total_seconds() // 3600))

    # -- reading -------------------------------------------------------------------------------------------------

    def of(self, run_id: str, kind: str) -> list[RunRow]:
        """The rows of a run and a kind, in the order in which they were written."""
        chosen = [f for f in self.log.files() if f.name.startswith((_begins(run_id), MERGED))]
        return self._rows(chosen, (pc.field("run_id") == run_id) & (pc.field("kind") == kind), [run_id])

    def newest(self, kind: str, after: int = 0) -> dict[str, int]:
        """The runs that have rows of a kind with numbers above `after`, each with the number of its last one."""
        tables = [self._read(f, ["seq", "run_id", "kind"]) for f in self.log.files() if f.last > after]
        if not tables:
            return {}
        table = pa.concat_tables(tables).filter((pc.field("kind") == kind) & (pc.field("seq") > after))
        last = table.group_by("run_id").aggregate([("seq", "max")])
        return dict(zip(last["run_id"].to_pylist(), last["seq_max"].to_pylist(), strict=True))

    def of_runs(self, runs: Collection[str] | None, kind: str) -> list[RunRow]:
        """The rows of a kind of some runs (None: of all), in the order in which they were written."""
        files, condition = self.log.files(), pc.field("kind") == kind
        if runs is not None:
            begins = (*map(_begins, runs), MERGED)
            files = [f for f in files if f.name.startswith(begins)]
            condition &= pc.field("run_id").isin(pa.array(sorted(runs), pa.string()))
        return self._rows(files, condition, runs)

    def verify(self) -> int:
        """Check every file; returns how many. Raises IntegrityError at the first that is not what was written."""
        return len([self._read(file) for file in self.log.files()])

    def _rows(self, chosen: Sequence[DataFile], condition: pc.Expression, runs: Collection[str] | None) -> list[RunRow]:
        tables = [self._read(file, runs=runs).filter(condition) for file in chosen]
        return sorted((RunRow(**row) for table in tables for row in table.to_pylist()), key=lambda row: row.seq)

    def _read(self, file: DataFile, columns: list[str] | None = None, runs: Collection[str] | None = None) -> pa.Table:
        return numbered.read(self._fetch, FOLDER, file, columns or SCHEMA.names, runs)

    def _last(self) -> int:
        return max((f.last for f in self.log.files()), default=0)


def _begins(run_id: str) -> str:
    """What the names of a run's files begin with."""
    return f"{hashlib.sha256(run_id.encode()).hexdigest()[:16]}-"
