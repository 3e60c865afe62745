"""Retro-matching: what a new release changes about everything fingerprinted before.

Only the difference is matched. Media items that are new since a unit was last covered are put to all its fingerprints
(the index is built from them, since they are the smaller side); items that were withdrawn or re-graded get new rows for
the matches they already have. Nothing is hashed again. Which release a unit is covered up to stands in the commits.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hashsets.releases import Release
from pipeline import files, policy
from pipeline.lake import Lake
from pipeline.matching import flood, stage
from pipeline.matching.evidence import Row, finished
from pipeline.matching.known import ChangedMedia
from pipeline.matching.unit import Matcher
from pipeline.night import Night, StageReport, run_dir
from pipeline.settings import Settings

BATCH = 200
"""Units matched together: enough queries to fill the core's buckets, few enough to stay small in memory."""

CARRIED = (
    "match_id",
    "release",
    "run_id",
    "grade",
    "category",
    "sources",
    "series",
    "tags",
    "code_version",
    "algorithm_version",
)
"""Columns of an old row that the new release states anew."""


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """Bring every unit up to the current release. `read` counts units, `counts` the new rows by why they are new."""
    report = StageReport("retro_match", night.run_id)
    release = stage.release_or_none(settings)
    if release is None:
        return report
    lake = Lake(settings.lake_dir)
    behind: dict[int, list[str]] = {}
    for unit, covered in coverage(lake).items():
        if covered < release.number:
            behind.setdefault(covered, []).append(unit)
    counts: Counter[str] = Counter()
    for covered, units in sorted(behind.items()):
        change = Change(settings, night, lake, release, covered)
        for start in range(0, len(units), BATCH):
            batch = sorted(units)[start : start + BATCH]
            counts += change.bring_up(batch)
            report.read += len(batch)
    report.kept = report.read
    report.counts = {"release": release.number, **dict(sorted(counts.items()))}
    return report


def coverage(lake: Lake) -> dict[str, int]:
    """Every matched unit and the release that its matches are up to."""
    covered = {str(c.meta["unit"]): int(c.meta["release"]) for c in lake.commits("match")}
    for commit in lake.commits("retro"):
        for unit in commit.meta["units"]:
            covered[unit] = max(covered[unit], int(commit.meta["release"]))
    return covered


class Change:
    """What happened between release `since` and `release`, to be applied to the units that are covered up to `since`."""

    def __init__(self, settings: Settings, night: Night, lake: Lake, release: Release, since: int) -> None:
        self.settings, self.night, self.lake, self.release, self.since = settings, night, lake, release, since
        delta = release.delta(since)
        self.added = delta.filter(pc.equal(delta["change"], "new"))["media_key"].combine_chunks()
        self.changed = delta.filter(pc.not_equal(delta["change"], "new"))["media_key"].combine_chunks()

    def bring_up(self, units: list[str]) -> Counter[str]:
        """Match what changed against some units and commit the rows; counts of new and of restated rows."""
        key = f"{self.since}-{self.release.number}-{hashlib.sha256(' '.join(units).encode()).hexdigest()[:16]}"
        contents = [u.removeprefix(stage.CONTENT) for u in units if u.startswith(stage.CONTENT)]
        claims = [u.removeprefix(stage.CLAIMED) for u in units if u.startswith(stage.CLAIMED)]
        rows = self._new(contents, claims) if len(self.added) else []
        again = self._restated(contents, claims) if len(self.changed) else []
        table = finished(rows + again, self.release, self.night, policy.load(self.settings, "matching").data)
        meta = {"units": units, "since": self.since, "release": self.release.number}
        meta |= {"new_media": len(self.added), "changed_media": len(self.changed)}
        self.lake.commit("retro", key, {"matches": table}, run_id=self.night.run_id, meta=meta)
        return Counter({"new_matches": len(rows), "restated_matches": len(again)})

    def _new(self, contents: list[str], claims: list[str]) -> list[Row]:
        """Matches of the units with media items that the release added."""
        scratch = run_dir(self.settings, self.night.run_id) / "scratch"
        files.make_folder(scratch)
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            known = ChangedMedia(self.release, self.settings, self.added, Path(folder))
            matcher = Matcher(self.settings, known, self.night)
            return matcher.contents(self.lake, contents)[0] + matcher.claims(self.lake, claims)[0]

    def _restated(self, contents: list[str], claims: list[str]) -> list[Row]:
        """The units' matches with media items whose opinions changed, to be described again."""
        matches = flood.latest(self.lake)
        prints = commit_rows(self.lake, "fingerprint", contents, "fingerprints", "sha256")
        files_ = commit_rows(self.lake, "ingest", claims, "media_files", "file_id")
        claimed = pc.is_in(matches["file_id"], files_)
        found = pc.and_(pc.is_null(matches["file_id"]), pc.is_in(matches["sha256"], prints))
        mine = pc.and_(pc.or_(claimed, found), pc.is_in(matches["media_key"], self.changed))
        rows = matches.filter(mine).to_pylist()
        return [
            Row({name: value for name, value in row.items() if name not in CARRIED and value is not None})
            for row in rows
        ]


def commit_rows(lake: Lake, of_stage: str, keys: list[str], table: str, column: str) -> pa.Array:
    """One column of the rows that some commits wrote."""
    wanted = set(keys)
    parts = [p for c in lake.commits(of_stage) if c.key in wanted for p in c.parts if p.table == table]
    return lake.read(table, [column], parts=parts)[column].combine_chunks()
