"""Settling and merging: other programs read what is published, small files become few, and every snapshot stays what it was."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from pipeline.errors import UsageError
from pipeline.lake import Lake, settling
from pipeline.lake import lake as lakes
from pipeline.lake.delta import DataFile
from pipeline.lake.settling import Settler
from tests.pipeline.lake.test_lake import frames, variants


def nights(root: Path, count: int, start: int = 0) -> Lake:
    """One commit of two tables a night."""
    lake = Lake(root)
    for n in range(start, start + count):
        tables = {"variants": variants(2, n), "video_frames": frames(1 + n % 3)}
        lake.commit("fingerprint", f"k{n:03d}", tables, run_id=f"night-{n}")
    return lake


def rows(lake: Lake) -> tuple[list[int], int]:
    return sorted(lake.read("variants")["quality"].to_pylist()), lake.read("video_frames").num_rows


def test_other_programs_read_the_tables_after_settling(tmp_path: Path) -> None:
    lake = nights(tmp_path, 3)
    before = rows(lake)
    assert lake.settle("n") == 3
    assert rows(lake) == before == rows(Lake(tmp_path))
    table = DeltaTable(tmp_path / "variants")
    assert sorted(table.to_pyarrow_table()["quality"].to_pylist()) == before[0]
    found = duckdb.sql("SELECT count(*) FROM read_parquet($paths)", params={"paths": lake.paths("variants")}).fetchall()
    assert found == [(6,)]


def test_settling_again_adds_nothing(tmp_path: Path) -> None:
    lake = nights(tmp_path, 2)
    assert (lake.settle("n"), lake.settle("n"), Lake(tmp_path).settle("n")) == (2, 0, 0)
    nights(tmp_path, 1, 2)
    assert Lake(tmp_path).settle("n") == 1
    assert DeltaTable(tmp_path / "variants").to_pyarrow_table().num_rows == 6


def test_merging_changes_no_row_and_leaves_few_files(tmp_path: Path) -> None:
    lake = nights(tmp_path, 12)
    before, commits = rows(lake), lake.commits()
    assert lake.merge("n") == {"variants": 12, "video_frames": 12}
    assert len(lake.parts("variants")) == 1
    for reader in (lake, Lake(tmp_path)):
        assert rows(reader) == before
        assert reader.commits() == commits
    assert DeltaTable(tmp_path / "variants").to_pyarrow_table().num_rows == 24


def test_what_is_merged_at_a_time_is_bounded_by_its_size_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts of assessments are twenty times as large in memory as on disk: batches by bytes on disk went beyond 2 GiB, where
    Arrow puts no column in order, and the weekly merge ended with an error."""
    lake = nights(tmp_path, 12)
    before, commits = rows(lake), lake.commits()
    one = lake.read("variants", parts=lake.parts("variants")[:1]).nbytes
    held: list[int] = []
    real = settling.in_order

    def noted(table: pa.Table) -> pa.Table:
        held.append(table.nbytes)
        return real(table)

    monkeypatch.setattr(settling, "in_order", noted)
    monkeypatch.setattr(settling, "MEMORY", one * 7 // 2)
    monkeypatch.setattr(Settler, "_held", lambda _self, _table, _file: 0)  # a footer weighs more than these rows
    assert lake.merge("n")["variants"] == 12
    assert 0 < max(held) <= settling.MEMORY
    assert len(lake.parts("variants")) == 4
    for reader in (lake, Lake(tmp_path)):
        assert rows(reader) == before
        assert reader.commits() == commits
        assert [lake.read("variants", commits=[c]).num_rows for c in commits] == [2] * 12


def test_files_of_which_no_two_fit_into_memory_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = nights(tmp_path, 12)
    before = rows(lake)
    monkeypatch.setattr(settling, "MEMORY", 10)
    assert lake.merge("n") == {}
    assert (len(lake.parts("variants")), rows(lake)) == (12, before)
    version = DeltaTable(tmp_path / "variants").version()
    assert lake.merge("n") == {}
    assert DeltaTable(tmp_path / "variants").version() == version  # nothing was merged: there is nothing to say


def test_what_a_file_takes_in_memory_is_learned_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that repeat are small in a file and large in memory. Files of which no two could be merged were read in every
    weekly merge, more of them each time: 18 of 25 CPU seconds of a week after a year."""
    lake = Lake(tmp_path)
    alike = pa.concat_tables([variants(1, 7)] * 400).combine_chunks()
    for n in range(12):
        lake.commit("fingerprint", f"k{n:03d}", {"variants": alike}, run_id=f"night-{n}")
    before, commits = rows(lake), lake.commits()
    monkeypatch.setattr(settling, "MEMORY", lake.read("variants", parts=lake.parts("variants")[:1]).nbytes * 3 // 2)
    read: list[str] = []
    real = Settler.numbered

    def noted(self: Settler, table: str, file: DataFile, numbers: dict[str, int]) -> pa.Table:
        read.append(file.name)
        return real(self, table, file, numbers)

    monkeypatch.setattr(Settler, "numbered", noted)
    assert lake.merge("n") == {"variants": 12}
    assert sorted(set(read)) == sorted(read) and len(read) == 12
    assert len(lake.parts("variants")) == 12  # each is as it was, and says how large it is
    read.clear()
    assert (lake.merge("n"), read) == ({}, [])
    for reader in (lake, Lake(tmp_path)):
        assert rows(reader) == before
        assert reader.commits() == commits
        assert [lake.read("variants", commits=[c]).num_rows for c in commits] == [400] * 12


def test_rows_of_one_commit_are_found_after_merging(tmp_path: Path) -> None:
    lake = nights(tmp_path, 12)
    lake.merge("n")
    nights(tmp_path, 2, 12)
    chosen = lake.named("fingerprint", ["k003", "k013"])
    assert sorted(lake.read("variants", commits=chosen)["quality"].to_pylist()) == [3, 4, 13, 14]
    assert lake.read("variants", ["quality"], parts=chosen[0].parts[:1])["quality"].to_pylist() == [3, 4]
    assert lake.read("variants", stage="fingerprint").num_rows == 28
    assert lake.read("variants", stage="other").num_rows == 0


def test_a_snapshot_of_a_past_night_reads_as_it_was(tmp_path: Path) -> None:
    lake = nights(tmp_path, 3)
    then, moment = rows(lake), datetime.now(UTC)
    nights(tmp_path, 7, 3)
    lake.merge("n")
    assert rows(lake.after("night-2")) == then == rows(lake.at(moment))
    assert rows(lake.at(moment - timedelta(days=1))) == ([], 0)
    assert [c.key for c in lake.after("night-0").commits()] == ["k000"]
    with pytest.raises(UsageError, match="published nothing"):
        lake.after("night-99")


def test_snapshots_go_with_the_retention(tmp_path: Path) -> None:
    lake = nights(tmp_path, 6)
    lake.merge("n")
    now = rows(lake)
    assert lake.vacuum(timedelta(days=1)) == 0
    assert rows(lake.after("night-3"))[1] > 0
    assert lake.vacuum(timedelta(0)) >= 12
    assert rows(Lake(tmp_path)) == now
    with pytest.raises(UsageError, match="no longer kept"):
        rows(lake.after("night-3"))


def test_a_sweep_keeps_what_snapshots_need(tmp_path: Path) -> None:
    lake = nights(tmp_path, 6)
    lake.merge("n")
    nights(tmp_path, 1, 6)
    (tmp_path / "variants" / "left.parquet").write_bytes(b"left behind")
    assert lake.sweep() == 1
    assert rows(lake.after("night-3"))[1] > 0


@pytest.mark.parametrize("where", ["_publish", "_add"])
def test_killed_while_settling_it_is_finished_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    lake = nights(tmp_path, 2)
    before = rows(lake)
    original, calls = getattr(Settler, where), []

    def dies(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == (1 if where == "_publish" else 2):
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(Settler, where, dies)
    with pytest.raises(KeyboardInterrupt):
        lake.settle("n")
    monkeypatch.undo()
    assert rows(Lake(tmp_path)) == before
    nights(tmp_path, 1, 2)
    after = rows(Lake(tmp_path))
    assert Lake(tmp_path).settle("n") == 3
    assert rows(Lake(tmp_path)) == after
    assert DeltaTable(tmp_path / "variants").to_pyarrow_table().num_rows == 6


def test_killed_between_merging_and_its_record_nothing_is_seen_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = nights(tmp_path, 6)
    before = rows(lake)

    def dies(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(Settler, "name", dies)
    with pytest.raises(KeyboardInterrupt):
        lake.merge("n")
    monkeypatch.undo()
    assert rows(Lake(tmp_path)) == before
    nights(tmp_path, 1, 6)
    expected = rows(Lake(tmp_path))
    assert Lake(tmp_path).settle("n") == 1
    assert rows(Lake(tmp_path)) == expected


def test_writers_at_once_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    """Four writers commit side by side, two of them the same work, while a fifth settles and merges."""
    Lake(tmp_path).commit("f", "first", {"variants": variants(1)}, run_id="n")
    failed: list[BaseException] = []

    def write(name: str) -> None:
        try:
            lake = Lake(tmp_path)
            for n in range(6):
                lake.commit("f", f"{name}{n}", {"variants": variants(1), "video_frames": frames(1)}, run_id="n")
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    def keep() -> None:
        try:
            for _ in range(3):
                Lake(tmp_path).merge("n")
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "same", "same")]
    threads.append(threading.Thread(target=keep))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    lake = Lake(tmp_path)
    keys = [c.key for c in lake.commits("f")]
    assert sorted(keys) == sorted(["first", *(f"{w}{n}" for w in ("a", "b", "same") for n in range(6))])
    assert sorted(c.seq for c in lake.commits()) == sorted({c.seq for c in lake.commits()})
    assert (lake.read("variants").num_rows, lake.read("video_frames").num_rows) == (19, 18)
    lake.merge("n")
    assert (lake.read("variants").num_rows, lake.read("video_frames").num_rows) == (19, 18)


def test_a_snapshot_is_not_written_to(tmp_path: Path) -> None:
    nights(tmp_path, 1)
    with pytest.raises(lakes.TriageError, match="cannot be written"):
        Lake(tmp_path, as_of=1).commit("f", "x", {}, run_id="n")
