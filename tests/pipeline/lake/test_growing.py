"""What must not grow with the nights: opening a log."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.lake import Lake, delta
from tests.pipeline.lake.test_settling import nights


def test_a_log_has_a_checkpoint_every_so_many_versions(tmp_path: Path) -> None:
    """Without one, opening reads every version since the first: after 1,000 nights 0.15 s a table instead of 0.01 s."""
    lake = nights(tmp_path, delta.CHECKPOINT + 2)
    checkpoint = json.loads((tmp_path / "commits" / "_delta_log" / "_last_checkpoint").read_text())
    assert checkpoint["version"] == delta.CHECKPOINT - 1
    assert Lake(tmp_path).commits() == lake.commits()
    assert Lake(tmp_path, as_of=5).read("variants").num_rows == 10
