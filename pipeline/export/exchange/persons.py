"""The people of cases as their referrals state them, with homes and places of work: for what is told to partners."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.lake import Lake
from pipeline.store.tables import CaseReferral

CHUNK = 500
"""Ids in one IN list."""


def of_cases(session: Session, lake: Lake, case_ids: Collection[str]) -> list[dict[str, Any]]:
    """Rows of the subjects record with their `case_id`; `addresses`, `workplaces` and `places` as lists. Ordered by case and
    subject. Whether the reader may see the cases is asked before."""
    of: dict[str, str] = {}
    wanted = sorted(case_ids)
    for start in range(0, len(wanted), CHUNK):
        query = select(CaseReferral.referral_id, CaseReferral.case_id)
        for referral, case_id in session.execute(query.where(CaseReferral.case_id.in_(wanted[start : start + CHUNK]))):
            of[referral] = case_id
    table = lake.read("subjects")
    table = table.filter(pc.is_in(table["referral_id"], value_set=pa.array(sorted(of), pa.string())))
    rows = []
    for row in table.to_pylist():
        for name in ("addresses", "workplaces", "places"):
            row[name] = orjson.loads(row[name]) if row.get(name) else []
        rows.append({"case_id": of[row["referral_id"]], **row})
    return sorted(rows, key=lambda row: (row["case_id"], row["subject_id"]))
