"""Erasing what the lake holds of some referrals: their personal values go, their rows stay as tombstones.

A row that vanished would make counts false that runs have reported and reconciled. So the files of a table that hold such rows are
written anew with the personal columns (`x-personal` in `schemas/records/`) of these rows emptied; the table's log names the new
files, and the old ones are removed from the disk at once. Snapshots of the past lose those files: an erased person is not to be
read as of any day.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import records
from pipeline.lake.delta import DataFile
from pipeline.lake.parts import GROUP, MERGED, SEQ
from pipeline.lake.settling import Settler, again, schema_of

KEYS = ("referral_id", "left", "right")
"""Columns by which a row belongs to a referral."""
ERASED = "[erased]"


def erase(settler: Settler, referrals: Collection[str], run_id: str) -> dict[str, int]:
    """Empty the personal columns of all rows of these referrals; files written anew by table. Doing it again changes nothing."""
    settler.settle(run_id)
    counts: dict[str, int] = {}
    for table in sorted(settler.ledger.state().versions):
        columns = set(records.arrow_schema(table).names)
        if referrals and records.personal_columns(table) and columns & set(KEYS):
            changed: int = again(partial(_erase, settler, table, referrals))
            if changed:
                counts[table] = changed
    if counts:
        again(lambda: settler.name(run_id, set(counts)))
        settler.ledger.merge()
        settler.vacuum(timedelta(0))
    return counts


def _erase(settler: Settler, table: str, referrals: Collection[str]) -> int:
    log = settler.log(table)
    version, numbers = log.version(), settler.numbers(table)
    added: list[DataFile] = []
    gone: list[DataFile] = []
    for file in log.files():
        rows = settler.numbered(table, file, numbers).sort_by(SEQ)
        emptied = without_personal(table, rows, referrals)
        if emptied.equals(rows):
            continue
        first, last = emptied[SEQ][0].as_py(), emptied[SEQ][-1].as_py()
        name, size = settler.parts.write(table, f"{MERGED}{first}-{last}", emptied, group=GROUP)
        added.append(DataFile(name.partition("/")[2], emptied.num_rows, size))
        gone.append(file)
    if gone:
        log.put(schema_of(table), added, gone, after=version, transactions={"erase": version + 1})
    return len(gone)


def without_personal(table: str, rows: pa.Table, referrals: Collection[str]) -> pa.Table:
    """The rows with the personal columns of these referrals' rows emptied: null where the record type allows it, else a
    mark that says so (of identifiers one for each, so that two erased ones are not taken for the same)."""
    mask = _of(rows, referrals)
    schema = records.describe(table)
    for name in sorted(records.personal_columns(table)):
        place, kind = rows.column_names.index(name), rows.schema.field(name).type
        if name not in schema["required"]:
            empty: pa.Scalar | pa.ChunkedArray = pa.scalar(None, kind)
        elif schema["properties"][name].get("x-json"):
            empty = pa.scalar("[]", kind)
        elif pa.types.is_binary(kind):
            empty = pa.scalar(b"", kind)
        elif table == "identifiers":
            empty = pc.binary_join_element_wise(ERASED, rows["identifier_id"], " ")
        else:
            empty = pa.scalar(ERASED, kind)
        rows = rows.set_column(place, rows.schema.field(name), pc.if_else(mask, empty, rows[name]).cast(kind))
    return rows


def _of(rows: pa.Table, referrals: Collection[str]) -> pa.ChunkedArray:
    """Which rows belong to the referrals."""
    wanted = pa.array(sorted(referrals), pa.string())
    found = [pc.is_in(rows[key], value_set=wanted) for key in KEYS if key in rows.column_names]
    mask = found[0]
    for other in found[1:]:
        mask = pc.or_(mask, other)
    return mask
