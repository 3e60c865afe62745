"""Building a release and judging it: the stage `hashset_build`. Nothing is published here."""

from __future__ import annotations

from hashsets.release import approving, building, releases
from hashsets.release.approving import Judged
from pipeline import files
from pipeline.approval import effects
from pipeline.approval.page import page
from pipeline.contract import Night, StageReport, run_dir
from pipeline.settings import Settings

PAGE = "release.md"
"""The page of the difference, in the folder of the run that judged it."""


def run(
    settings: Settings, night: Night, shard: str | None = None, watched: effects.Progressed = lambda _done, _all: None
) -> StageReport:
    """Build the next release and judge it; the counts say whether it waits for a person. Repeating it changes nothing."""
    report = building.build_release(settings, night)
    report.stage = "hashset_build"
    found = judge(settings, night, watched)
    report.counts["waits"] = int(found is not None and found.state == approving.WAITS)
    if found is not None:
        report.counts |= found.difference.counts
    return report


def judge(settings: Settings, night: Night, watched: effects.Progressed = lambda _done, _all: None) -> Judged | None:
    """Judge the release that was built, with the cases that would move; None when there is none, or nothing before it. `watched` is
    told how far the matching of earlier nights is, which takes minutes where there are many.

    Writes the page of the difference into the run's folder.
    """
    release = approving.built(settings)
    if release is None or not releases.exists(settings):
        return None
    found = approving.judged(settings, release)
    if found is None or (not found.person and found.difference.moved is None):
        moved, looked_at = effects.moved(settings, night, release, watched)
        found = approving.judge(settings, release, moved, looked_at)
    files.write_bytes(run_dir(settings, night.run_id) / PAGE, page(found).encode())
    return found
