"""What a run is: whether it read hash sets and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline import contract
from pipeline.contract import StageReport
from pipeline.settings import Settings


def with_stages(settings: Settings, name: str, *stages: str, listed: bool = False) -> None:
    """A run whose stages are on record; `listed`: hash sets were read in it."""
    night = contract.start(settings, name)
    for stage in stages:
        contract.record(settings, StageReport(stage, night.run_id))
    if listed:
        (contract.run_dir(settings, night.run_id) / "hashsets.json").write_text("[]")


def test_a_run_that_read_hash_sets_has_nothing_to_reconcile_unless_a_night_was_begun_in_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with_stages(settings, "refresh", "hashset_import", "hashset_build", listed=True)
    with_stages(settings, "both", "hashset_import", "ingest", "reconcile", "hashset_import", listed=True)
    with_stages(settings, "hashset-20261129T071534")
    with_stages(settings, "night-2026-11-29", "ingest")
    names = ("refresh", "both", "hashset-20261129T071534", "night-2026-11-29")
    assert [contract.of_hash_sets(settings, name) for name in names] == [True, False, True, False]
    reports = contract.reports_of(settings, names)
    assert [contract.of_hash_sets(settings, n, reports.get(n, [])) for n in names] == [True, False, True, False]


def test_reports_that_a_version_before_kept_in_a_file_are_read_still(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    contract.start(settings, "old")
    lines = [json.dumps(StageReport(stage, "old", read=3, kept=3).as_dict()) for stage in ("ingest", "match")]
    text = "".join(f"{line}\n" for line in lines) + '{"stage": "cut sho'
    (contract.run_dir(settings, "old") / contract.BEFORE_ROWS).write_text(text)
    contract.record(settings, StageReport("assess", "old", read=1, kept=1))
    assert [(r.stage, r.read) for r in contract.reports(settings, "old")] == [
        ("ingest", 3),
        ("match", 3),
        ("assess", 1),
    ]


def test_reports_of_a_run_keep_their_order_and_are_nobody_elses(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    for run in ("one", "two"):
        contract.start(settings, run)
        for number in range(3):
            contract.record(settings, StageReport("match", run, f"{run}-{number}", counts={"pairs": number}))
    assert [r.shard for r in contract.reports(settings, "two")] == ["two-0", "two-1", "two-2"]
    assert contract.reports(settings, "three") == []
    assert {run: len(found) for run, found in contract.reports_of(settings, ["one", "three"]).items()} == {"one": 3}
