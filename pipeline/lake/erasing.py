"""Erasing what the lake holds of some referrals: their personal values go, their rows stay as tombstones.

A row that vanished would make counts false that runs have reported and reconciled. So the files of a table that hold such rows are
written anew with the personal columns (`x-personal` in `schemas/records/`) of these rows emptied; the table's log names the new
files, and the old ones are removed from the disk at once. Snapshots of the past lose those files: an erased person is not to be
read as of any day. That the old files are gone is noted by a commit, so that an erasure that was killed before is made up for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import records
from pipeline.lake.delta import DataFile
from pipeline.lake.parts import MERGED, SEQ
from pipeline.lake.settling import Settler, again, in_order, schema_of

STAGE = "erase"
KEYS = ("referral_id", "left", "right", "case_id")
"""Columns by which a row belongs to a referral or its case."""
ERASED = "[erased]"


@dataclass(frozen=True)
class Wanted:
    """What is erased: referrals with their cases, the packages whose names and reasons go, and contents (SHA-256, 32 bytes)
    that nobody else holds."""

    referrals: Collection[str]
    cases: Collection[str] = ()
    packages: Collection[str] = ()
    contents: Collection[bytes] = field(default=())

    def key(self) -> str:
        """Names the erasure of exactly this."""
        listed = [*self.referrals, *self.cases, *self.packages, *(c.hex() for c in self.contents)]
        return hashlib.sha256("\n".join(sorted(listed)).encode()).hexdigest()[:32]

    def of(self, table: str, rows: pa.Table) -> pa.ChunkedArray | None:
        """Which rows of a table are erased; None for a table whose rows belong to nobody."""
        people = pa.array(sorted({*self.referrals, *self.cases}), pa.string())
        if table == "packages":
            columns = {"package_id": pa.array(sorted(self.packages), pa.string())}
        elif table == "fingerprints":
            columns = {"sha256": pa.array(sorted(self.contents), pa.binary(32))}
        else:
            columns = dict.fromkeys(KEYS, people)
        found = [pc.is_in(rows[key], value_set=values) for key, values in columns.items() if key in rows.column_names]
        if not found:
            return None
        mask = found[0]
        for other in found[1:]:
            mask = pc.or_(mask, other)
        return mask


def erase(settler: Settler, wanted: Wanted, run_id: str) -> dict[str, int]:
    """Empty the personal columns of all rows of what is wanted; files written anew by table. Doing it again changes nothing."""
    settler.settle(run_id)
    counts: dict[str, int] = {}
    for table in sorted(settler.ledger.state().versions):
        if wanted.referrals and records.personal_columns(table):
            changed: int = again(partial(_erase, settler, table, wanted))
            if changed:
                counts[table] = changed
    if counts:
        again(lambda: settler.name(run_id, set(counts)))
        settler.ledger.merge()
    if counts or (wanted.referrals and not len(settler.ledger.numbers(STAGE, [wanted.key()]))):
        settler.vacuum(timedelta(0))
        settler.drop_copies()
    return counts


def _erase(settler: Settler, table: str, wanted: Wanted) -> int:
    log = settler.log(table)
    version, numbers = log.version(), settler.numbers(table)
    added: list[DataFile] = []
    gone: list[DataFile] = []
    for file in log.files():
        rows = in_order(settler.numbered(table, file, numbers))
        emptied = without_personal(table, rows, wanted)
        if emptied.equals(rows):
            continue
        first, last = emptied[SEQ][0].as_py(), emptied[SEQ][-1].as_py()
        name, size = settler.parts.write(table, f"{MERGED}{first}-{last}", emptied)
        added.append(DataFile(name.partition("/")[2], emptied.num_rows, size))
        gone.append(file)
    if gone:
        log.put(schema_of(table), added, gone, after=version, transactions={"erase": version + 1})
    return len(gone)


def without_personal(table: str, rows: pa.Table, wanted: Wanted) -> pa.Table:
    """The rows with the personal columns of those that are wanted emptied: null where the record type allows it, else a
    mark that says so (of identifiers and packages one for each, so that two erased ones are not taken for the same)."""
    mask = wanted.of(table, rows)
    if mask is None or not pc.any(mask).as_py():
        return rows
    required, properties = records.describe(table)["required"], records.describe(table)["properties"]
    for name in sorted(records.personal_columns(table)):
        place, kind = rows.column_names.index(name), rows.schema.field(name).type
        if properties[name].get("x-json") and name in required:
            empty = _empty_json(rows[name])
        elif name not in required:
            empty = pa.scalar(None, kind)
        elif pa.types.is_binary(kind):
            empty = pa.scalar(b"", kind)
        elif pa.types.is_list(kind):
            empty = pa.scalar([ERASED] if table == "packages" else [], kind)
        elif table in ONE_EACH:
            empty = pc.binary_join_element_wise(ERASED, rows[ONE_EACH[table]], " ")
        else:
            empty = pa.scalar(ERASED, kind)
        rows = rows.set_column(place, rows.schema.field(name), _chosen(mask, empty, rows[name]))
    return rows


ONE_EACH = {"identifiers": "identifier_id", "packages": "package_id"}
"""Tables whose emptied values stay apart, and the column by which."""


def _empty_json(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Nothing, in the form that each value has: an empty object or an empty list."""
    return pc.if_else(pc.starts_with(column, "{"), "{}", "[]")


def _chosen(mask: pa.ChunkedArray, empty: pa.Scalar | pa.ChunkedArray, column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(mask, empty, column).cast(column.type)
