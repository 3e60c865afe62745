"""What follows from parts is the same whether it was kept, is made again, or was harmed; and goes with its parts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline import files
from pipeline.lake import Lake
from pipeline.lake import parts as lake_parts
from pipeline.lake.erasing import Wanted
from pipeline.lake.kept import extracts
from pipeline.lake.kept.extracts import Extract
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit, media

COLUMNS = ("file_id", "referral_id", "sha256")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extracts, "LEAST", 1)
    monkeypatch.setattr(lake_parts, "GROUP", 7)


def filled(settings: Settings, *, merged: bool = True) -> Lake:
    for night in range(5):
        commit(
            settings,
            f"in{night}",
            media_files=[media(f"R{n % 5}", f"{night}-{n}", file_id=f"M{night}-{n}") for n in range(16)],
        )
    lake = Lake.of(settings)
    if merged:
        lake.merge("weekly")
    return lake


def of_third(calls: list[int] | None = None) -> Extract:
    """The files of the referral R3."""

    def make(rows: pa.Table) -> pa.Table:
        if calls is not None:
            calls.append(rows.num_rows)
        return rows.filter(pc.equal(rows["referral_id"], "R3")).select(["file_id"])

    return Extract("media_files", "third-1", COLUMNS, make)


def told(lake: Lake, extract: Extract) -> list[str]:
    return [name for _, rows in lake.extract(extract) for name in rows["file_id"].to_pylist()]


def files_of(settings: Settings) -> list[Path]:
    return sorted((settings.home / "cache" / "lake").glob("*.extract"))


@pytest.mark.parametrize("merged", [False, True])
def test_it_says_of_all_parts_what_their_rows_say(settings: Settings, *, merged: bool) -> None:
    lake = filled(settings, merged=merged)
    rows = lake.read("media_files", list(COLUMNS))
    assert told(lake, of_third()) == rows.filter(pc.equal(rows["referral_id"], "R3"))["file_id"].to_pylist()
    assert len(told(lake, of_third())) == 15
    assert len(files_of(settings)) == (1 if merged else 5)


def test_rows_are_looked_at_once_a_part(settings: Settings) -> None:
    filled(settings)
    calls: list[int] = []
    told(Lake.of(settings), of_third(calls)), told(Lake.of(settings), of_third(calls))
    assert calls == [80]
    commit(settings, "later", media_files=[media("R3", "later", file_id="M9")])
    assert "M9" in told(Lake.of(settings), of_third(calls))
    assert calls == [80, 1]


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\1"),
        lambda path: path.write_bytes(b""),
    ],
    ids=["gone", "cut short", "one byte", "empty"],
)
def test_what_is_gone_or_harmed_is_made_again_and_the_same(settings: Settings, harm: Callable[[Path], None]) -> None:
    lake = filled(settings)
    before = told(lake, of_third())
    [path] = files_of(settings)
    written = path.read_bytes()
    harm(path)
    assert told(Lake.of(settings), of_third()) == before
    assert path.read_bytes() == written


def test_where_nothing_can_be_kept_it_is_made_each_time(settings: Settings) -> None:
    filled(settings)
    calls: list[int] = []
    lake = Lake(settings.home / "lake")
    assert told(lake, of_third(calls)) == told(lake, of_third(calls))
    assert calls == [80, 80]
    assert files_of(settings) == []


def test_it_goes_with_its_part_and_with_an_erasure(settings: Settings) -> None:
    lake = filled(settings, merged=False)
    told(lake, of_third())
    lake.merge("weekly")
    told(lake, of_third())
    assert len(files_of(settings)) == 6
    lake.vacuum(timedelta(days=90))
    assert [p.name.partition(".")[0] for p in files_of(settings)] == [p.sha256 for p in lake.parts("media_files")]
    lake.erase(Wanted(["R3"]), "erasing")
    assert files_of(settings) == []


@pytest.mark.parametrize("places", [[], [0], [6, 7], [3, 20, 21, 22, 79], list(range(80))])
def test_rows_of_a_part_by_their_place(settings: Settings, places: list[int]) -> None:
    lake = filled(settings)
    [part] = lake.parts("media_files")
    found = lake.rows_at(part, list(COLUMNS), np.array(places, np.int64))
    assert found.equals(lake.read("media_files", list(COLUMNS)).take(pa.array(places, pa.int64())))


@pytest.mark.parametrize(("tables", "again"), [(5, 0), (2, 3), (0, 5)])
def test_a_stage_that_asks_twice_reads_once_what_there_is_room_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tables: int, again: int
) -> None:
    before = filled(settings, merged=False).extract(of_third())
    read: list[Path] = []
    sealed = files.read_sealed

    def watched(path: Path) -> Any:
        read.append(path)
        return sealed(path)

    monkeypatch.setattr(files, "read_sealed", watched)
    monkeypatch.setattr(extracts, "HELD_BYTES", tables * before[0][1].nbytes)
    lake = Lake.of(settings)
    for number in (5, 5 + again):
        assert [rows for _, rows in lake.extract(of_third())] == [rows for _, rows in before]
        assert len(read) == number
