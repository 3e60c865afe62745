"""The tables of a batch do not depend on how many rows are turned into columns at once."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import records
from pipeline.ingest.writing import tables
from pipeline.ingest.writing.tables import NAMES, Tables
from tests import factory


def package(container: str, state: str) -> dict[str, Any]:
    return {
        "package_id": "p", "landing_folder": "other", "container": container, "state": state, "reasons": [], "files": 0,
        "defects": 0, "first_seen": factory.AS_OF, "run_id": "run",
    }  # fmt: skip


def defect(number: int) -> dict[str, Any]:
    return {"referral_id": "r", "package_id": "p", "field": f"/{number}", "problem": "[synthetic problem]"}


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_all_rows_in_their_order_whatever_is_made_at_once(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(tables, "_AT_ONCE", at_once)
    made = Tables()
    made.add_package(package("other/b", "accepted"))
    for number in range(10):
        made.add("defects", [defect(number), defect(number + 100)])
    made.add("narratives", [])
    made.add_package(package("other/a", "quarantined"))
    found = made.finish()
    assert list(found) == list(NAMES)
    assert found["packages"]["container"].to_pylist() == ["other/a", "other/b"]
    wanted = records.build("defects", [row for n in range(10) for row in (defect(n), defect(n + 100))])
    assert found["defects"].equals(wanted)
    assert found["defects"]["field"].num_chunks == 1
    assert all(found[name].schema == records.arrow_schema(name) for name in NAMES)
    assert made.counts["defects"] == 20
    assert made.counts["packages_quarantined"] == made.counts["packages_accepted"] == 1
    assert made.counts["narratives"] == 0
