"""Upkeep: new files are checked every night, old ones take turns, and a maintenance run leaves few files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import IntegrityError
from pipeline.lake import Lake, upkeep
from pipeline.settings import Settings
from tests.pipeline.lake.test_lake import variants

T0 = datetime(2026, 1, 1, 1, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def publish(settings: Settings, run: str) -> Lake:
    lake = Lake.of(settings)
    lake.commit("f", run, {"variants": variants(2, int(run))}, run_id=run)
    return lake


def test_every_file_has_its_turn_and_new_ones_are_checked_at_once(settings: Settings) -> None:
    for n in range(40):
        publish(settings, str(n))
    first = upkeep.check(settings, publish(settings, "40"), "40", T0)
    assert (first.parts, first.new) == (41, 1)
    seen = 0
    for day in range(1, 29):
        checked = upkeep.check(settings, publish(settings, str(40 + day)), str(40 + day), T0 + timedelta(days=day))
        assert checked.new == 1 and checked.parts < 25
        assert checked.whole_since == (T0 + timedelta(days=day - 28)).date()
        seen += checked.parts - checked.new
    assert seen >= 41


def test_nights_left_out_are_made_up_for(settings: Settings) -> None:
    for n in range(30):
        publish(settings, str(n))
    upkeep.check(settings, Lake.of(settings), "29", T0)
    later = upkeep.check(settings, Lake.of(settings), "x", T0 + timedelta(days=90))
    assert later.parts == 30
    again = upkeep.check(settings, Lake.of(settings), "x", T0 + timedelta(days=90))
    assert again.parts == 30


def test_a_damaged_old_file_is_found_on_its_day(settings: Settings) -> None:
    lake = publish(settings, "1")
    upkeep.check(settings, lake, "1", T0)
    part = lake.parts("variants")[0]
    part.path.write_bytes(part.path.read_bytes()[:-1] + b"X")
    days = 0
    with pytest.raises(IntegrityError, match="not what was written"):
        for days in range(1, 30):
            upkeep.check(settings, Lake.of(settings), f"n{days}", T0 + timedelta(days=days))
    assert 1 <= days <= 28


def test_maintenance_merges_and_says_so(settings: Settings) -> None:
    for n in range(9):
        publish(settings, str(n))
    assert upkeep.maintain(settings, "weekly") == {"commits_settled": 9, "files_merged": 9, "files_removed": 0}
    assert upkeep.maintain(settings, "weekly") == {"commits_settled": 0, "files_merged": 0, "files_removed": 0}
    assert len(Lake.of(settings).parts("variants")) == 1
