"""Many cases assessed in shards beside each other: the same rows and figures as by the stage alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pipeline.assess import stage
from pipeline.cases.publishing import assessing, assessing_parts
from pipeline.contract import StageReport
from pipeline.errors import UsageError
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit, fact, identifier, referral, start
from tests.pipeline.assess.test_stage import content_of

NAMES = [f"R{i}" for i in range(7)]
TABLES: dict[str, list[dict[str, Any]]] = {
    "referrals": [*(referral(n) for n in NAMES), referral("S", supplements="R0")],
    "facts": [*(fact(n, "grooming") for n in NAMES[::2]), fact("S", "access_to_children")],
    "identifiers": [identifier(n, "email", "a@b.example") for n in NAMES[:3]],
}


@pytest.fixture
def large(settings: Settings) -> Settings:
    """A home in which more than two cases are many."""
    made = dataclasses.replace(settings, large_night=2)
    commit(made, "a", **TABLES)
    return made


def shards(settings: Settings, night: int = 1) -> list[StageReport]:
    run = start(settings, night)
    with assessing_parts.together(settings) as work:
        return [work(settings, run, name) for name in assessing_parts.plan(settings, run)]


def versions(settings: Settings) -> list[tuple[str, int, str]]:
    return sorted((r["case_id"], r["version"], r["inputs_sha256"]) for r in content_of(settings))


def test_shards_and_what_is_left_give_the_rows_and_figures_of_the_stage_alone(large: Settings) -> None:
    whole = dataclasses.replace(large, home=large.home / "whole")
    commit(whole, "a", **TABLES)
    expected = stage.run(whole, start(whole))
    done = shards(large)
    assert len(done) == 4 and all(r.balanced for r in done) and sum(r.read for r in done) == 7
    before = content_of(large)
    report = assessing.run(large, start(large))
    assert content_of(large) == before == content_of(whole)
    assert (report.read, report.kept) == (expected.read, expected.kept)
    same = ("new", "raised", "lowered", "changed", "unchanged", "looked_at", "for_transfer", "band_medium", "band_low")
    assert {n: report.counts.get(n) for n in same} == {n: expected.counts.get(n) for n in same}
    assert assessing_parts.plan(large, start(large)) == []
    assert assessing.run(large, start(large, 2)).counts["looked_at"] == 0  # a later night has nothing to look at


def test_what_comes_between_is_assessed_by_the_stage(large: Settings) -> None:
    shards(large)
    commit(large, "late", facts=[fact("R1", "grooming")])
    report = assessing.run(large, start(large))
    assert report.counts["changed"] + report.counts["raised"] == 1
    assert {case: version for case, version, _ in versions(large)}[
        next(r["case_id"] for r in content_of(large) if r["referral_id"] == "R1")
    ] == 2


def test_a_shard_that_was_killed_is_done_again_and_others_are_not(large: Settings) -> None:
    run = start(large)
    planned = assessing_parts.plan(large, run)
    assessing_parts.run(large, run, planned[0])
    rows = Lake(large.lake_dir).read("assessments").num_rows
    assert assessing_parts.run(large, run, planned[0]).read == 2
    assert Lake(large.lake_dir).read("assessments").num_rows == rows == 2
    assert assessing.run(large, run).counts["looked_at"] == 7
    assert [v for _, v, _ in versions(large)] == [1] * 7


def test_few_cases_are_not_cut_and_a_shard_must_be_planned(large: Settings) -> None:
    assert assessing_parts.plan(dataclasses.replace(large, large_night=7), start(large)) == []
    with pytest.raises(UsageError, match="no shard 'nonsense'"):
        assessing_parts.run(large, start(large), "nonsense")
