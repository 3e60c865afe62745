"""Erasing referrals: their values are gone from every file, their rows are still counted."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline import records
from pipeline.errors import IntegrityError, UsageError
from pipeline.lake import Lake
from pipeline.lake.erasing import ERASED, Wanted

SECRET = "synthetic person"


def subject(number: int, referral: str) -> dict[str, object]:
    return {"subject_id": f"S-{number}", "referral_id": referral, "role": "suspect", "name": f"{SECRET} {number}"}


def identifier(number: int, referral: str) -> dict[str, object]:
    return {
        "identifier_id": f"I-{number}", "referral_id": referral, "kind": "username", "value": f"{SECRET} {number}",
        "original": f"{SECRET} {number}", "time_ambiguous": False,
    }  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    for number in (1, 2, 3):
        tables = {
            "subjects": records.build("subjects", [subject(number, f"R-{number}")]),
            "identifiers": records.build("identifiers", [identifier(number, f"R-{number}"), identifier(9, "R-9")]),
        }
        made.commit("ingest", f"k{number}", tables, run_id=f"n{number}")
    return made


def in_files(lake: Lake, tmp_path: Path, text: str) -> list[str]:
    return [
        path.name
        for path in (tmp_path / "lake").rglob("*.parquet")
        if path.parent.name in records.tables() and text in str(pq.read_table(path).to_pylist())
    ]


def test_values_leave_every_file_and_rows_stay(lake: Lake, tmp_path: Path) -> None:
    assert in_files(lake, tmp_path, f"{SECRET} 2")
    assert lake.erase(Wanted({"R-2"}), "e") == {"identifiers": 1, "subjects": 1}
    assert in_files(lake, tmp_path, f"{SECRET} 2") == []
    fresh = Lake(tmp_path / "lake")
    names = {r["referral_id"]: r["name"] for r in fresh.read("subjects").to_pylist()}
    assert names == {"R-1": f"{SECRET} 1", "R-2": None, "R-3": f"{SECRET} 3"}
    values = [r["value"] for r in fresh.read("identifiers").to_pylist() if r["referral_id"] == "R-2"]
    assert values == [f"{ERASED} I-2"], "a value of its own: erased ones are not taken for the same"
    assert fresh.read("identifiers").num_rows == 6


def test_rows_of_a_commit_are_still_found_and_verified(lake: Lake, tmp_path: Path) -> None:
    lake.erase(Wanted({"R-2"}), "e")
    fresh = Lake(tmp_path / "lake")
    rows = fresh.read("subjects", commits=fresh.named("ingest", ["k2"])).to_pylist()
    assert [(r["referral_id"], r["name"]) for r in rows] == [("R-2", None)]
    assert fresh.verify() > 0


def test_erasing_again_changes_nothing_and_merging_brings_nothing_back(lake: Lake, tmp_path: Path) -> None:
    lake.erase(Wanted({"R-2"}), "e")
    assert Lake(tmp_path / "lake").erase(Wanted({"R-2"}), "e2") == {}
    Lake(tmp_path / "lake").merge("m")
    assert in_files(lake, tmp_path, f"{SECRET} 2") == []
    assert Lake(tmp_path / "lake").erase(Wanted(set()), "e3") == {}


def test_every_table_with_personal_values_of_a_referral_can_be_erased() -> None:
    """A new record type with personal columns has a key by which it is erased, or is named here with the reason."""
    everything = Wanted({"R"}, contents={bytes(32)})
    keyless = {
        t for t in records.tables() if records.personal_columns(t) and everything.of(t, records.empty(t)) is None
    }
    assert keyless == {"flood_releases"}, "of people here who decided on a flood"


def test_a_state_before_the_erasure_is_said_to_be_no_longer_kept(lake: Lake, tmp_path: Path) -> None:
    """Not that a file is damaged and is to be restored: that would bring the person back."""
    before = lake.now()
    lake.erase(Wanted({"R-2"}), "e")
    with pytest.raises(UsageError, match="no longer kept"):
        before.read("subjects")
    now = Lake(tmp_path / "lake").now()
    assert now.read("subjects").num_rows == 3
    [part] = now.parts("subjects")[:1]
    part.path.unlink()
    with pytest.raises(IntegrityError):
        Lake(tmp_path / "lake").now().read("subjects")
