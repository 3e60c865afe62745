"""Bundles of shards: all of them once and in order, of the wanted size by measured cost, and never too many."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import contract as nights
from pipeline.contract import StageReport
from pipeline.night import bundles
from pipeline.settings import Settings


@pytest.mark.parametrize("number", [1, 2, 7, 499, 500, 501, 1025, 5000])
@pytest.mark.parametrize("each", [0.001, 5.0, 20.0, 1000.0])
def test_every_shard_is_in_one_bundle_and_none_is_empty(number: int, each: float) -> None:
    shards = [str(i) for i in range(number)]
    cut = bundles.cut(shards, each, wanted=120.0, at_most=500)
    assert [shard for bundle in cut for shard in bundle] == shards
    sizes = [len(bundle) for bundle in cut]
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1 and len(cut) <= 500


def test_a_bundle_holds_about_the_wanted_work() -> None:
    shards = [str(i) for i in range(30)]
    assert [len(b) for b in bundles.cut(shards, 20.0, wanted=120.0, at_most=500)] == [6] * 5
    assert len(bundles.cut(shards, 500.0, wanted=120.0, at_most=500)) == 30
    assert len(bundles.cut(shards, 0.5, wanted=120.0, at_most=500)) == 1
    assert bundles.cut([], 20.0, wanted=120.0, at_most=500) == []


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings.load({"TRIAGE_HOME": str(tmp_path)})


def put(home: Settings, run: str, *reports: tuple[str, str | None, int, float]) -> None:
    nights.start(home, run)
    for stage, shard, read, seconds in reports:
        nights.record(home, StageReport(stage, run, shard, read=read, kept=read, seconds=seconds))


def test_what_a_shard_costs_is_what_it_cost_in_the_newest_runs(home: Settings) -> None:
    assert bundles.measured(home, "match", 20.0) == 20.0
    put(home, "old", ("match", "a", 1000, 9000.0))
    for number in range(bundles.LOOKED_AT - 1):
        put(home, f"quiet-{number}", ("ingest", None, 5, 7.0))
    assert bundles.measured(home, "match", 20.0) == 9000.0
    again = ("match", "b", 1000, 0.1)
    put(home, "new", ("match", "b", 1000, 40.0), again, ("match", "c", 1000, 60.0), ("match", "d", 0, 0.2))
    assert bundles.measured(home, "match", 20.0) == 50.0
