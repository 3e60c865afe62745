"""The stage `hashset_release`: build, judge, publish. What needs a person's word is left waiting, and said to wait."""

from __future__ import annotations

from hashsets.release import publishing
from pipeline.approval import judging
from pipeline.approval.effects import Progressed
from pipeline.contract import Night, StageReport
from pipeline.settings import Settings


def run(
    settings: Settings, night: Night, shard: str | None = None, watched: Progressed = lambda _done, _all: None
) -> StageReport:
    """Build, verify, judge and publish. Nothing to do, or a release that waits or was refused, leaves the current one;
    the counts say which (`published` is the release's number, or 0)."""
    report = judging.run(settings, night, shard, watched)
    report.stage = "hashset_release"
    published = publishing.publish(settings)
    report.outputs = [f"release-{published}"] if published else []
    report.counts["published"] = published or 0
    return report
