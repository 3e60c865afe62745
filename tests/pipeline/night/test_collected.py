"""The collected referrals that the first version judged wrongly, each through the stages of a night."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract import start
from pipeline.lake import Lake
from pipeline.night import stages
from pipeline.settings import Settings
from tests.pipeline.matching.synthetic_night import known, publish

CASES = os.environ.get("TRIAGE_CASES")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CASES, reason="TRIAGE_CASES is not set: nothing collected here")]
STAGES = ("ingest", "fingerprint", "match", "flood", "assess")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake after the stages of a night that judge the collected referrals, against a release without any of their files."""
    settings = Settings(home=tmp_path_factory.mktemp("collected") / "home", threads=1)
    shutil.copytree(Path(str(CASES)) / "referrals", settings.landing_dir / "nca")
    publish(settings, "elsewhere", [known(1)], run="h")
    run = start(settings, "n", datetime(2026, 11, 21, 1, tzinfo=UTC))
    for name in STAGES:
        stage = stages.find(name)
        for shard in stages.plan_shards(settings, stage, run) if stage.sharded else [None]:
            stages.run_stage(settings, stage, run, shard)
    return Lake(settings.lake_dir)


def assessed(lake: Lake, reference: int) -> tuple[dict[str, Any], set[str]]:
    """Counters of a referral's assessment, and the features that gave its reasons."""
    [referral] = [r for r in lake.read("referrals").to_pylist() if r["source_reference"] == str(reference)]
    [row] = [r for r in lake.read("assessments").to_pylist() if r["referral_id"] == referral["referral_id"]]
    return json.loads(row["summary"]), {reason["feature"] for reason in json.loads(row["reasons"])}


def test_a_text_is_no_unknown_picture(lake: Lake) -> None:
    summary, features = assessed(lake, 90000001)
    assert (summary["files"], summary["unknown_files"], summary["files_unexamined"]) == (1, 0, 0)
    assert "unknown_files" not in features


def test_films_are_decoded_before_they_count_as_unknown(lake: Lake) -> None:
    films = [f for f in lake.read("fingerprints").to_pylist() if f["media_type"].startswith("video/")]
    assert {(f["media_type"], f["state"]) for f in films} == {("video/mpeg", "hashed"), ("video/x-ms-wmv", "hashed")}
    summary, _ = assessed(lake, 90000002)
    assert (summary["files"], summary["unknown_files"], summary["files_unexamined"]) == (2, 2, 0)


def test_a_digest_of_zeros_links_nobody_and_is_a_defect(lake: Lake) -> None:
    assert lake.read("links").num_rows == 0
    defects = lake.read("defects").to_pylist()
    assert [d["field"].rsplit("/", 1)[-1] for d in defects] == ["verificationHash"] * 2
    assert len({d["referral_id"] for d in defects}) == 2
