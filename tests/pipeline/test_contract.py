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
    folder = contract.run_dir(settings, night.run_id)
    lines = [json.dumps(StageReport(stage, night.run_id).as_dict()) for stage in stages]
    (folder / contract.REPORTS).write_text("".join(f"{line}\n" for line in lines))
    if listed:
        (folder / "hashsets.json").write_text("[]")


def test_a_run_that_read_hash_sets_has_nothing_to_reconcile_unless_a_night_was_begun_in_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with_stages(settings, "refresh", "hashset_import", "hashset_build", listed=True)
    with_stages(settings, "both", "hashset_import", "ingest", "reconcile", "hashset_import", listed=True)
    with_stages(settings, "hashset-20261129T071534")
    with_stages(settings, "night-2026-11-29", "ingest")
    names = ("refresh", "both", "hashset-20261129T071534", "night-2026-11-29")
    assert [contract.of_hash_sets(settings, name) for name in names] == [True, False, True, False]
