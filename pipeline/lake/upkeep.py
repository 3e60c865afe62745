"""Upkeep of the lake: what a maintenance run does, and which files a night checks again.

New files are checked every night. Old ones take turns: each has its day, given by its digest, so that every file is read
once in `recheck_days` nights (policy/lake.yaml) and a night reads an equal share of the past.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pipeline import policy
from pipeline.lake.lake import Lake
from pipeline.lake.parts import Part
from pipeline.lake.shared import SharedFiles
from pipeline.settings import Settings

STAGE = "verify"
UNNAMED = timedelta(hours=1)
"""How old a shared object is that no file has any more, before it is removed: another machine may be sending one."""


@dataclass(frozen=True)
class Checked:
    """What a night has checked: files, of these new ones, and the day since which every file was checked at least once."""

    parts: int
    new: int
    whole_since: date


def check(settings: Settings, lake: Lake, run_id: str, as_of: datetime) -> Checked:
    """Check the files of a run's commits and the turns since the last check. Raises IntegrityError at a damaged one.

    What was done is published as a commit, so that a night that was left out is made up for by the next one. The first
    check of all reads every file.
    """
    days = int(policy.load(settings, "lake").data["recheck_days"])
    new = {p.path for c in lake.commits(run_id=run_id) for p in c.parts}
    today = as_of.astimezone(UTC).date()
    before = [c for c in lake.newest(STAGE, 2) if c.key != run_id]
    since = int(before[0].meta["day"]) if before else today.toordinal() - days
    turns = {day % days for day in range(max(since, today.toordinal() - days) + 1, today.toordinal() + 1)}
    chosen = [p for p in lake.everything() if p.path in new or turn(p, days) in turns]
    verified = lake.verify(chosen)
    lake.commit(STAGE, run_id, {}, run_id=run_id, meta={"day": today.toordinal(), "files": verified})
    return Checked(verified, sum(p.path in new for p in chosen), today - timedelta(days=days))


def turn(part: Part, days: int) -> int:
    """The day of the round on which a file is checked, 0 to `days` - 1."""
    return int(part.sha256[:8], 16) % days


def maintain(settings: Settings, run_id: str) -> dict[str, int]:
    """Settle, merge small files, and remove what the retention of policy no longer keeps; counts of each.

    Beside a running night: readers keep the files that they opened, writers are not waited for and do not wait.
    """
    lake = Lake.of(settings)
    days = int(policy.load(settings, "lake").data["snapshots_days"])
    settled = lake.settle(run_id)
    merged = lake.merge(run_id)
    removed = lake.vacuum(timedelta(days=days))
    counts = {"commits_settled": settled, "files_merged": sum(merged.values()), "files_removed": removed}
    shared = SharedFiles.of(settings)
    if shared is not None:
        counts |= {"shared_files_merged": shared.merge(), "shared_objects_removed": shared.sweep(UNNAMED)}
        shared.vacuum(timedelta(days=days))
    return counts
