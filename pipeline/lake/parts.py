"""Parts: the Parquet files of the lake's tables, written once and checked against the digest in their name before use."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import files, records
from pipeline.errors import IntegrityError, UsageError
from pipeline.lake.kept.checked import CheckedNotes
from pipeline.lake.kept.extracts import Extract, Extracts
from pipeline.lake.kept.keys import KeyFiles
from pipeline.lake.places import LakePlace, digest_of

SEQ = "lake_seq"
"""Column of a merged part: the number of the commit that published the row. Parts of one commit do not have it."""
Where = tuple[str, pa.Array]
"""A column and the values of it that are wanted."""
MERGED = "merged-"
"""What the name of a merged part begins with, before its first and last commit."""
GROUP = 10_000
"""Rows of a row group of a part, which is what reading a few of its rows by key has to touch."""
GROUP_BYTES = 2 * 2**20
"""Size of a row group before compression, where rows are wide: then it has fewer rows, but not below LEAST."""
LEAST = 250
"""Rows of a row group where rows are widest: texts of assessments, of which a night reads those of a few cases."""

FOOTERS = 100
"""Footers of parts that are kept in memory, of at most FOOTER bytes each."""
FOOTER = 2**20


@dataclass(frozen=True)
class Part:
    """One published Parquet file. `seq` is the number of its commit; 0 when it was found by its table and not by a commit."""

    table: str
    path: Path
    rows: int
    sha256: str
    seq: int = 0
    file: str = ""
    """Its name in the table's folder; `path` is where its bytes are on this machine, which may be a cache."""

    @property
    def name(self) -> str:
        """Its name below the lake."""
        return f"{self.table}/{self.file}"

    @property
    def merged(self) -> bool:
        """Whether it holds the rows of many commits, with the number of each in the column SEQ."""
        return self.file.startswith(MERGED)


class Parts:
    """Reads and writes the parts of one lake."""

    def __init__(self, place: LakePlace) -> None:
        self.place = place
        self.keys = KeyFiles(place.cache)
        self.extracts = Extracts(place.cache)
        self._footers: dict[str, pq.FileMetaData] = {}
        self._verified: dict[Path, tuple[int, int, int, int]] = {}
        self.checked = CheckedNotes(place.cache)
        self._anew = False
        self.taken_out: Callable[[str], bool] | None = None
        """Of a state of the past: whether the lake as it is now names a file no more."""

    def write(self, table: str, stem: str, data: pa.Table) -> tuple[str, int]:
        """Write a part `<table>/<stem>.<sha256>.parquet`; returns its name below the lake and its size in bytes."""
        file, content = encoded(stem, data)
        name = f"{table}/{file}"
        self.place.put(name, content)
        self.keys.prepare(table, digest_of(name), pa.py_buffer(content))
        return name, len(content)

    def verified(self, part: Part) -> Part:
        """The part, after checking its bytes against its name. Raises IntegrityError if they differ or are gone."""
        self.check(part.name, part.path)
        return part

    def check(self, name: str, path: Path) -> Path:
        """Check one file of the lake by its name: once on this machine, and again when it was touched.

        Raises IntegrityError for one that is damaged or gone, UsageError for one of a past state that was taken out since.
        """
        table, _, shown = name.partition("/")
        try:
            self.place.fetch(name)
            stat = path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
            if self._verified.get(path) != seen:
                sha256 = digest_of(name)
                if self._anew or not self.checked.holds(sha256, stat):
                    if files.sha256(path) != sha256:
                        raise IntegrityError(
                            f"{path} of table {table} is not what was written.", "Restore it from a backup."
                        )
                    self.checked.note(sha256, stat)
                self._verified[path] = seen
        except (OSError, IntegrityError) as error:
            if self.taken_out is not None and not path.exists() and self.taken_out(name):
                raise UsageError(
                    "That state of the lake is no longer kept: files of it were erased or merged away since.",
                    "policy/lake.yaml says how long past states are kept; an erasure ends all before it.",
                ) from error
            if isinstance(error, IntegrityError):
                raise
            raise IntegrityError(
                f"{shown} of table {table} cannot be read: {error.strerror}.", "Restore it from a backup."
            ) from error
        return path

    def forget(self) -> None:
        """Check everything anew, whatever was noted of it."""
        self._verified.clear()
        self._anew = True

    def named(self, name: str, rows: int, seq: int = 0) -> Part:
        """The part of that name below the lake."""
        table, _, file = name.partition("/")
        return Part(table, self.place.local(name), rows, digest_of(name), seq, file)

    def read(
        self,
        chosen: Iterable[Part],
        schema: pa.Schema,
        columns: Sequence[str] | None,
        commits: pa.Array | None = None,
        where: Where | None = None,
    ) -> pa.Table:
        """Rows of some parts in the order given; of merged parts only those of `commits`, and of all parts only those that
        `where` names, when these are given."""
        wanted = schema if columns is None else pa.schema([schema.field(c) for c in columns])
        pieces = [self._piece(self.verified(p), wanted, commits, where) for p in chosen]
        return pa.concat_tables(pieces) if pieces else wanted.empty_table()

    def extract(self, part: Part, extract: Extract, schema: pa.Schema) -> pa.Table:
        """What follows from a part, without looking at its rows where that is kept."""
        self.verified(part)
        return self.extracts.of(part.sha256, part.rows, extract, lambda: self.read([part], schema, extract.columns))

    def rows_at(self, part: Part, schema: pa.Schema, columns: Sequence[str], places: NDArray[np.int64]) -> pa.Table:
        """The rows of a part at some places (from 0, ascending)."""
        wanted = pa.schema([schema.field(c) for c in columns])
        if not len(places):
            return conform(wanted.empty_table(), wanted)
        file = self._opened(self.verified(part))
        ends = np.cumsum([file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)])
        of = np.searchsorted(ends, places, side="right")
        names, former = _names(part, file, columns)
        found = []
        for group in np.unique(of):
            begin = ends[group] - file.metadata.row_group(int(group)).num_rows
            rows = file.read_row_group(int(group), columns=names, use_threads=False).take(
                pa.array(places[of == group] - begin)
            )
            found.append(conform(rows, wanted, former))
        return pa.concat_tables(found)

    def metadata(self, part: Part) -> pq.FileMetaData:
        """The footer of a part, whose bytes are checked when its rows are read. Raises IntegrityError for one that is none."""
        try:
            self.place.fetch(part.name)
            return pq.read_metadata(part.path)
        except (OSError, pa.ArrowInvalid):
            self.check(part.name, part.path)
            raise

    def _opened(self, part: Part) -> pq.ParquetFile:
        """A verified part for reading. What its footer says is kept: a night opens the same parts for one key after the other."""
        file = pq.ParquetFile(part.path, metadata=self._footers.get(part.sha256), page_checksum_verification=True)
        if part.sha256 not in self._footers and file.metadata.serialized_size <= FOOTER:
            if len(self._footers) >= FOOTERS:
                self._footers = {}  # another thread may be looking into the former one
            self._footers[part.sha256] = file.metadata
        return file

    def _piece(self, part: Part, schema: pa.Schema, commits: pa.Array | None, where: Where | None) -> pa.Table:
        file = self._opened(part)
        if not part.merged:
            commits = None
        names, former = _names(part, file, schema.names)
        if where is not None:
            where = former.get(where[0], where[0]), where[1]
        if commits is None and where is None:
            return conform(file.read(columns=names, use_threads=file.metadata.num_rows > GROUP), schema, former)
        keys = [*([SEQ] if commits is not None else []), *([where[0]] if where is not None else [])]
        found = [schema.empty_table()]
        groups = list(range(file.num_row_groups)) if set(file.schema_arrow.names).issuperset(keys) else []
        told = bool(groups) and where is not None and self.keys.tells(file, where[0])
        if groups and where is not None:
            groups = self.keys.groups(part.sha256, file, *where)
        for group in groups:
            if commits is not None and not _holds(file.metadata.row_group(group), commits):
                continue
            if told and commits is None:  # it holds what is asked: its keys need no look before the rest
                rows = file.read_row_group(group, columns=list(dict.fromkeys([*keys, *names])), use_threads=False)
                found.append(conform(rows.filter(_mask(rows, None, where)), schema, former))
                continue
            mask = _mask(file.read_row_group(group, columns=keys, use_threads=False), commits, where)
            if pc.any(mask).as_py():  # most groups hold nothing of what is asked: only their keys were read
                rows = file.read_row_group(group, columns=[*keys, *names], use_threads=False)
                found.append(conform(rows.filter(mask), schema, former))
        return pa.concat_tables(found[1:] or [conform(found[0], schema)])


def _names(part: Part, file: pq.ParquetFile, columns: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """What a part calls the columns that it has, and today's names of those that were renamed since."""
    there = set(file.schema_arrow.names)
    former = {new: old for new, old in records.former_names(part.table).items() if new not in there}
    return [n for n in (former.get(n, n) for n in columns) if n in there], former


def encoded(stem: str, data: pa.Table) -> tuple[str, memoryview[int]]:
    """Rows as the bytes of a Parquet file with checksums, and its name `<stem>.<sha256>.parquet`."""
    buffer = io.BytesIO()
    rows = min(GROUP, max(LEAST, GROUP_BYTES * data.num_rows // max(1, data.nbytes)))
    pq.write_table(
        data, buffer, compression="zstd", write_page_checksum=True, store_schema=True, row_group_size=max(1, rows)
    )
    content = buffer.getbuffer()
    return f"{stem}.{hashlib.sha256(content).hexdigest()}.parquet", content


def _mask(rows: pa.Table, commits: pa.Array | None, where: Where | None) -> pa.ChunkedArray:
    """Which rows are of the commits, and have one of the values."""
    masks = []
    if commits is not None:
        masks.append(pc.is_in(rows[SEQ], value_set=commits))
    if where is not None:
        masks.append(pc.is_in(rows[where[0]], value_set=where[1].cast(rows[where[0]].type)))
    return masks[0] if len(masks) == 1 else pc.and_(*masks)


def _holds(group: pq.RowGroupMetaData, commits: pa.Array) -> bool:
    """Whether a row group may have rows of some commits, by the least and largest number in it."""
    for place in range(group.num_columns):
        column = group.column(place)
        if column.path_in_schema == SEQ and column.statistics is not None and column.statistics.has_min_max:
            least, most = column.statistics.min, column.statistics.max
            return bool(pc.any(pc.and_(pc.greater_equal(commits, least), pc.less_equal(commits, most))).as_py())
    return True


def conform(table: pa.Table, schema: pa.Schema, former: Mapping[str, str] | None = None) -> pa.Table:
    """The columns of today's schema. Those that a later version added read as null in an older part; those that it renamed
    are found by `former` (today's name to the name in the part)."""
    former = former or {}
    names = [(f, former.get(f.name, f.name)) for f in schema]
    columns = [
        table.column(name).cast(f.type) if name in table.column_names else pa.nulls(table.num_rows, f.type)
        for f, name in names
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema([f.with_nullable(True) for f in schema]))
