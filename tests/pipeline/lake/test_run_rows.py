"""The table of what runs leave: appended beside each other, kept in order, merged without a loss, and checked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from pipeline.errors import IntegrityError
from pipeline.lake import Lake
from pipeline.lake.run_rows import FOLDER, PLAN, REPORT


def test_rows_are_told_apart_by_run_and_kind_and_keep_their_order(tmp_path: Path) -> None:
    rows = Lake(tmp_path).run_rows
    rows.append("one", [(REPORT, "ingest", "1"), (PLAN, "match", "2")])
    rows.append("two", [(REPORT, "ingest", "3")])
    rows.append("one", [(REPORT, "match", "4")])
    rows.append("one", [])
    again = Lake(tmp_path).run_rows
    assert [(r.seq, r.name, r.body) for r in again.of("one", REPORT)] == [(1, "ingest", "1"), (4, "match", "4")]
    assert [r.body for r in again.of("one", PLAN)] == ["2"]
    assert again.of("three", REPORT) == [] and again.newest(REPORT) == {"one": 4, "two": 3}
    assert [r.body for r in again.of_runs(None, REPORT)] == ["1", "3", "4"]
    assert [r.body for r in again.of_runs(["two"], REPORT)] == ["3"]


def test_an_empty_lake_has_none(tmp_path: Path) -> None:
    rows = Lake(tmp_path).run_rows
    assert rows.of("one", REPORT) == [] and rows.newest(REPORT) == {} and rows.merge() == 0 and rows.verify() == 0


def test_writers_beside_each_other_lose_nothing(tmp_path: Path) -> None:
    def work(name: str) -> None:
        rows = Lake(tmp_path).run_rows
        for number in range(6):
            rows.append(name, [(REPORT, "match", str(number))])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, "abcd"))
    rows = Lake(tmp_path).run_rows
    for name in "abcd":
        assert [r.body for r in rows.of(name, REPORT)] == list("012345")
    assert sorted(r.seq for r in rows.of_runs(None, REPORT)) == list(range(1, 25))


def test_merging_keeps_every_row_and_its_place_and_others_read_the_table(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for number in range(9):
        lake.run_rows.append(f"night-{number % 2}", [(REPORT, "match", str(number)), (PLAN, "match", "{}")])
    before = lake.run_rows.of_runs(None, REPORT)
    assert lake.merge("upkeep") == {FOLDER: 9}
    merged = Lake(tmp_path)
    assert merged.run_rows.of_runs(None, REPORT) == before
    assert [r.body for r in merged.run_rows.of("night-1", REPORT)] == ["1", "3", "5", "7"]
    merged.run_rows.append("night-1", [(REPORT, "match", "9")])
    assert merged.run_rows.newest(REPORT) == {"night-0": 17, "night-1": 19}
    assert merged.sweep() == 0, "what was merged away stays as long as policy keeps it"
    assert merged.vacuum(timedelta(0)) == 9
    seen = DeltaTable(tmp_path / FOLDER).to_pyarrow_dataset().to_table()
    assert seen.num_rows == 19 and set(seen["run_id"].to_pylist()) == {"night-0", "night-1"}


def test_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.run_rows.append("one", [(REPORT, "ingest", "1")])
    [path] = (tmp_path / FOLDER).glob("*.parquet")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="not what was written"):
        Lake(tmp_path).run_rows.of("one", REPORT)
    with pytest.raises(IntegrityError, match="not what was written"):
        Lake(tmp_path).verify()


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.run_rows.append("one", [(REPORT, "ingest", "1")])
    [path] = (tmp_path / FOLDER).glob("*.parquet")
    left = path.with_name(f"0000-2-2.{'0' * 64}.parquet")
    left.write_bytes(b"left over")
    assert lake.sweep() == 1 and not left.exists() and path.exists()


def test_rows_of_a_run_are_found_wherever_they_lie_in_merged_files(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for number in range(8):  # more rows than a row group has, so that most groups are left out
        lake.run_rows.append(f"night-{number}", [(REPORT, "match", f"{number}-{n}") for n in range(300)])
    lake.run_rows.append("night-0", [(REPORT, "match", "late")])
    assert lake.merge("upkeep") == {FOLDER: 9}
    rows = Lake(tmp_path).run_rows
    assert [r.body for r in rows.of("night-0", REPORT)] == [*(f"0-{n}" for n in range(300)), "late"]
    assert [r.body for r in rows.of_runs(["night-7", "night-3"], REPORT)] == [
        *(f"3-{n}" for n in range(300)),
        *(f"7-{n}" for n in range(300)),
    ]
    assert rows.of("night-35", REPORT) == []
    assert rows.newest(REPORT, after=2100) == {"night-0": 2401, "night-7": 2400}
    assert rows.newest(REPORT, after=2401) == {}
