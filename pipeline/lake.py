"""The lake: immutable Parquet parts, made visible by commits.

A stage writes its tables for one piece of work (`stage`, `key`) and then one commit file that lists the parts with
their row counts and SHA-256. The rename of the commit file is the single moment of publication: a part without a
commit is invisible, so a process killed anywhere leaves either nothing or everything. Writing the same work again
is a no-op.

    lake/<table>/<stage>-<key>.parquet
    lake/commits/<stage>/<key>.json

Every part is checked against its SHA-256 before its first use in a process; DuckDB and Parquet readers do not
notice a flipped bit (reliability notes, section 2.2: 45 silent wrong answers of 60).
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import files, records
from pipeline.errors import IntegrityError, TriageError

FORMAT = 1


@dataclass(frozen=True)
class Part:
    """One published Parquet file."""

    table: str
    path: Path
    rows: int
    sha256: str


@dataclass(frozen=True)
class Commit:
    """One published piece of work. `meta` is what the stage noted (counts, versions); never personal data."""

    stage: str
    key: str
    run_id: str
    parts: tuple[Part, ...]
    meta: dict[str, Any]


class Lake:
    """Reads and writes the lake below `root`. One instance may be shared by the threads of a process for reading."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._verified: dict[Path, tuple[int, int, int]] = {}

    # -- writing -------------------------------------------------------------------------------------------------

    def committed(self, stage: str, key: str) -> bool:
        """Whether this piece of work is published."""
        return self._commit_path(stage, key).is_file()

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
        with no file. Raises TriageError when a table does not have its record's schema, or for an unsafe key.
        """
        if self.committed(stage, key):
            return self._load(self._commit_path(stage, key))
        parts = []
        for name, table in sorted(tables.items()):
            if table.schema != records.arrow_schema(name):
                raise TriageError(f"The rows for {name} do not have that record's columns: {table.schema.names}.")
            if table.num_rows:
                parts.append(self._write_part(name, f"{stage}-{key}", table))
        files.write_json(
            self._commit_path(stage, key),
            {
                "format": FORMAT,
                "stage": stage,
                "key": key,
                "run_id": run_id,
                "meta": dict(meta or {}),
                "parts": [{"table": p.table, "file": p.path.name, "rows": p.rows, "sha256": p.sha256} for p in parts],
            },
        )
        return self._load(self._commit_path(stage, key))

    def _write_part(self, table: str, name: str, data: pa.Table) -> Part:
        buffer = io.BytesIO()
        pq.write_table(data, buffer, compression="zstd", write_page_checksum=True, store_schema=True)
        path = self.root / table / f"{name}.parquet"
        files.write_bytes(path, buffer.getbuffer())
        return Part(table, path, data.num_rows, files.sha256(path))

    def _commit_path(self, stage: str, key: str) -> Path:
        for word in (stage, key):
            if not word or not all(c.isalnum() or c in "-_." for c in word) or word.startswith("."):
                raise TriageError(f"{word!r} cannot name a piece of work.")
        return self.root / "commits" / stage / f"{key}.json"

    # -- reading -------------------------------------------------------------------------------------------------

    def commits(self, stage: str | None = None) -> list[Commit]:
        """All commits (of one stage), ordered by stage and key."""
        pattern = f"{stage}/*.json" if stage else "*/*.json"
        return [self._load(p) for p in files.finished(self.root / "commits", pattern)]

    def named(self, stage: str, keys: Iterable[str]) -> list[Commit]:
        """The published ones among these pieces of work, ordered by key: without reading every commit of the stage."""
        return [self._load(p) for p in (self._commit_path(stage, k) for k in sorted(keys)) if p.is_file()]

    def parts(self, table: str, stage: str | None = None) -> list[Part]:
        """Published parts of a table, ordered by name."""
        return [part for commit in self.commits(stage) for part in commit.parts if part.table == table]

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
    ) -> pa.Table:
        """All published rows of a table (or of the given parts), in the order of their parts."""
        schema = records.arrow_schema(table)
        if columns is not None:
            schema = pa.schema([schema.field(c) for c in columns])
        chosen = self.parts(table, stage) if parts is None else parts
        pieces = [
            pq.read_table(
                self.verified(p).path, columns=list(columns) if columns else None, page_checksum_verification=True
            )
            for p in chosen
        ]
        return pa.concat_tables([_conform(piece, schema) for piece in pieces]) if pieces else schema.empty_table()

    def verified(self, part: Part) -> Part:
        """The part, after checking its bytes against the commit. Raises IntegrityError if they differ."""
        try:
            stat = part.path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if self._verified.get(part.path) != seen:
                if files.sha256(part.path) != part.sha256:
                    raise IntegrityError(
                        f"{part.path.name} of table {part.table} is not what was written.",
                        "Restore it from a backup, or remove its commit file and run the stage again.",
                    )
                self._verified[part.path] = seen
        except OSError as error:
            raise IntegrityError(
                f"{part.path.name} of table {part.table} cannot be read: {error.strerror}.", "Restore it from a backup."
            ) from error
        return part

    def verify(self) -> int:
        """Check every published part anew; returns how many. Raises IntegrityError at the first that differs."""
        self._verified.clear()
        return len([self.verified(part) for commit in self.commits() for part in commit.parts])

    def sweep(self, older_than: timedelta = timedelta(0)) -> int:
        """Remove parts and temporary files that no commit names (left by killed processes); returns how many.

        With `older_than` only what was not touched for so long: safe beside stages that are writing, on other machines too.
        """
        # listed before the commits are read: what is committed in between is not taken for a leftover
        found = [p for p in self.root.rglob("*") if p.name.startswith(files.TEMPORARY) or p.suffix == ".parquet"]
        published = {part.path for commit in self.commits() for part in commit.parts}
        removed = 0
        for path in found:
            if path not in published and not files.being_written(path) and _age(path) >= older_than:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _load(self, path: Path) -> Commit:
        try:
            data = json.loads(path.read_text())
            if data["format"] != FORMAT:
                raise IntegrityError(
                    f"Commit {path.name} has format {data['format']}, this version reads {FORMAT}.",
                    "Use the version that wrote it.",
                )
            parts = tuple(
                Part(p["table"], self.root / p["table"] / Path(p["file"]).name, p["rows"], p["sha256"])
                for p in data["parts"]
            )
            return Commit(data["stage"], data["key"], data["run_id"], parts, data["meta"])
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"Commit file {path.name} of stage {path.parent.name} is damaged.", "Restore it from a backup."
            ) from error


def _age(path: Path) -> timedelta:
    """Time since a file was last changed; none for one that is gone."""
    try:
        return timedelta(seconds=max(0.0, time.time() - path.stat().st_mtime))
    except FileNotFoundError:
        return timedelta(0)


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Older parts lack columns that a later version added: they read as null."""
    columns = [
        table.column(f.name).cast(f.type) if f.name in table.column_names else pa.nulls(table.num_rows, f.type)
        for f in schema
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema([f.with_nullable(True) for f in schema]))
