"""The latest assessment of every case: in which band it stands, and what the next one is compared with.

Which rows are the latest is asked of an extract of all assessments (case, version, band); of the wide rows only these are read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import records
from pipeline.assess import database, touched
from pipeline.assess.rows import Previous
from pipeline.lake import Lake
from pipeline.lake.kept.extracts import Extract
from pipeline.lake.parts import conform
from pipeline.settings import Settings

_BANDS = pa.schema([records.arrow_schema("assessments").field(c) for c in ("case_id", "version", "band")])
_NONE_YET = conform(_BANDS.empty_table(), _BANDS)
BANDS_OF = Extract("assessments", "bands-1", ("case_id", "version", "band"), lambda rows: rows)
"""Bands are asked for of all cases, and their columns are the narrowest of wide rows: kept as they are, without the others."""


def standing(settings: Settings, lake: Lake, chains: touched.Chains) -> dict[str, int]:
    """How many cases stand in each band by their latest assessment, without those that have joined another case."""
    bands = dict.fromkeys(("very_high", "high", "medium", "low"), 0)
    tables = {"assessments": pa.concat_tables([_NONE_YET, *(rows for _, rows in lake.extract(BANDS_OF))])}
    with database.connection(settings, tables | {"joined": pa.table({"case_id": chains.joined})}) as con:
        found = database.query(con, database.sql("standing"))
    return bands | dict(zip(found["band"].to_pylist(), found["n"].to_pylist(), strict=True))


def latest(lake: Lake, only: Collection[str] | None = None) -> dict[str, Previous]:
    """The current assessment of every case that has one, or of some cases: its highest version. The texts of all are read when those
    of one are first asked for."""
    wanted = None if only is None else pa.array(sorted(only), pa.string())
    parts = lake.extract(BANDS_OF)
    newest: dict[str, tuple[int, int, int]] = {}
    """Of each case the version, the part that has its row, and the row's place in it."""
    for part, (_, rows) in enumerate(parts):
        places = np.arange(rows.num_rows) if wanted is None else _places(rows, wanted)
        of = rows.take(pa.array(places))
        for case, version, place in zip(
            of["case_id"].to_pylist(), of["version"].to_pylist(), places.tolist(), strict=True
        ):
            if case not in newest or version > newest[case][0]:
                newest[case] = version, part, place
    ordered = sorted((part, place, case) for case, (_, part, place) in newest.items())
    at = {case: place for place, (_, _, case) in enumerate(ordered)}

    ends = np.searchsorted(np.array([part for part, _, _ in ordered], np.int64), np.arange(len(parts) + 1))
    rows_of = np.array([place for _, place, _ in ordered], np.int64)

    def read(columns: Sequence[str]) -> pa.Table:
        """The columns of these rows, as `ordered`."""
        return pa.concat_tables(
            lake.rows_at(part, columns, rows_of[ends[n] : ends[n + 1]]) for n, (part, _) in enumerate(parts)
        )

    @cache
    def all_texts() -> pa.Table:
        return read(("reasons", "flags"))

    def texts(case: str) -> tuple[str, str]:
        return all_texts()["reasons"][at[case]].as_py(), all_texts()["flags"][at[case]].as_py()

    if not ordered:
        return {}
    columns = [column.to_pylist() for column in read(("version", "band", "score", "inputs_sha256")).columns]
    return {
        case: Previous(version, band, score, digest, partial(texts, case))
        for (_, _, case), version, band, score, digest in zip(ordered, *columns, strict=True)
    }


def _places(rows: pa.Table, cases: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.flatnonzero(pc.is_in(rows["case_id"], value_set=cases).to_numpy())
