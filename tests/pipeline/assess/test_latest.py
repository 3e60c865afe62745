"""The latest assessments are those that a look at every row finds, whatever files their rows are in."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pipeline.assess import stage, touched
from pipeline.assess.evidence.case_file import case_id
from pipeline.assess.latest import latest, standing
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit, fact, referral, start


def newest_rows(lake: Lake) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in lake.read("assessments").to_pylist():
        if row["case_id"] not in found or row["version"] > found[row["case_id"]]["version"]:
            found[row["case_id"]] = row
    return found


def test_there_are_none_in_an_empty_lake(settings: Settings) -> None:
    lake = Lake(settings.lake_dir)
    assert latest(lake) == {} == latest(lake, {"C-7F3A9C21KD"})
    assert set(standing(settings, lake, touched.Chains.read(lake)).values()) == {0}


@pytest.mark.parametrize("seed", range(3))
def test_of_every_case_the_row_with_the_highest_version(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    for rooms in ("pipeline.lake.kept.extracts.LEAST", "pipeline.lake.kept.keys.LEAST"):
        monkeypatch.setattr(rooms, 1)
    monkeypatch.setattr("pipeline.lake.parts.LEAST", 2)
    monkeypatch.setattr("pipeline.lake.parts.GROUP", 3)
    names = [f"R{n}" for n in range(12)]
    commit(settings, "a", referrals=[referral(name) for name in names])
    lake = Lake(settings.lake_dir)
    for night, said in enumerate(("grooming", "profession_teacher", "contact_offer"), 1):
        stage.run(settings, start(settings, night))
        if chance.random() < 0.5:
            lake.merge(f"night-{night}")
        commit(settings, f"b{night}", facts=[fact(name, said) for name in chance.sample(names, 5)])
    stage.run(settings, start(settings, 9))
    lake = Lake(settings.lake_dir)
    expected = newest_rows(lake)
    assert len({row["version"] for row in expected.values()}) > 1
    for only in (None, {case_id(name) for name in chance.sample(names, 4)} | {"C-0000000000"}):
        found = latest(lake, only)
        assert found.keys() == (expected.keys() if only is None else expected.keys() & only)
        for case, one in found.items():
            row = expected[case]
            assert (one.version, one.band, one.score) == (row["version"], row["band"], row["score"])
            assert one.inputs_sha256 == row["inputs_sha256"] and one.texts() == (row["reasons"], row["flags"])
    bands = [row["band"] for row in expected.values()]
    counted = standing(settings, lake, touched.Chains.read(lake))
    assert counted == {band: bands.count(band) for band in ("very_high", "high", "medium", "low")}
