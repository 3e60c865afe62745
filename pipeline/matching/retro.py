"""Retro-matching: what a new release changes about everything fingerprinted before.

Only the difference is matched. Media items that are new since a unit was last covered are put to all its fingerprints
(the index is built from them, since they are the smaller side); items that were withdrawn or re-graded get new rows for
the matches they already have. Nothing is hashed again. Which release a unit is covered up to stands in the commits.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hashsets.release.releases import Release
from pipeline import files, policy
from pipeline.contract import Night, StageReport, run_dir
from pipeline.lake import Lake, Part
from pipeline.matching import flood, stage
from pipeline.matching.evidence import MatchRow, finished
from pipeline.matching.known import ChangedMedia
from pipeline.matching.unit import Matcher
from pipeline.settings import Settings

BATCH = 500_000
"""Rows (fingerprints, variants, frames) matched together: enough to fill the core's buckets, few enough for memory."""

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
    lake = Lake.of(settings)
    counts: Counter[str] = Counter()
    for covered, units in behind(lake, release.number):
        with ReleaseChange(settings, night, lake, release, covered) as change:
            for batch in batches(lake, units):
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


def behind(lake: Lake, release: int) -> list[tuple[int, list[str]]]:
    """The units whose matches are not up to `release`, by the release that they are up to."""
    found: dict[int, list[str]] = {}
    for unit, covered in coverage(lake).items():
        if covered < release:
            found.setdefault(covered, []).append(unit)
    return [(covered, sorted(units)) for covered, units in sorted(found.items())]


def batches(lake: Lake, units: Sequence[str]) -> Iterator[list[str]]:
    """The units in groups of BATCH rows, more only where one unit has more."""
    batch: list[str] = []
    rows, parts = 0, unit_parts(lake, units)
    for unit in units:
        size = sum(part.rows for part in parts.get(unit, ()))
        if batch and rows + size > BATCH:
            yield batch
            batch, rows = [], 0
        batch.append(unit)
        rows += size
    if batch:
        yield batch


def unit_parts(lake: Lake, units: Sequence[str]) -> dict[str, tuple[Part, ...]]:
    """The parts that units of the match stage consist of, by unit: asked of the ledger at once, since years have thousands."""
    found: dict[str, tuple[Part, ...]] = {}
    for of_stage, begins in (("fingerprint", stage.CONTENT), ("ingest", stage.CLAIMED)):
        keys = [unit.removeprefix(begins) for unit in units if unit.startswith(begins)]
        found |= {f"{begins}{commit.key}": commit.parts for commit in lake.named(of_stage, keys)}
    return found


class ReleaseChange:
    """What happened between release `since` and `release`, to be applied to the units that are covered up to `since`.

    A context manager: the index of the new media is built once, in a scratch folder that goes at the end.
    """

    def __init__(self, settings: Settings, night: Night, lake: Lake, release: Release, since: int) -> None:
        self.settings, self.night, self.lake, self.release, self.since = settings, night, lake, release, since
        delta = release.delta(since)
        self.added = delta.filter(pc.equal(delta["change"], "new"))["media_key"].combine_chunks()
        self.changed = delta.filter(pc.not_equal(delta["change"], "new"))["media_key"].combine_chunks()
        self.matches = flood.latest(lake, self.changed) if len(self.changed) else None
        self.rules = policy.load(settings, "matching").data
        scratch = run_dir(settings, night.run_id) / "scratch"
        files.make_folder(scratch)
        self._folder = tempfile.TemporaryDirectory(dir=scratch)
        known = ChangedMedia(release, settings, self.added, Path(self._folder.name))
        self.matcher = Matcher(settings, known, night)

    def __enter__(self) -> ReleaseChange:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def bring_up(self, units: list[str]) -> Counter[str]:
        """Match what changed against some units and commit the rows; counts of new and of restated rows."""
        key = f"{self.since}-{self.release.number}-{hashlib.sha256(' '.join(units).encode()).hexdigest()[:16]}"
        table, counts = self.rows(units)
        meta = {"units": units, "since": self.since, "release": self.release.number}
        meta |= {"new_media": len(self.added), "changed_media": len(self.changed)}
        self.lake.commit("retro", key, {"matches": table}, run_id=self.night.run_id, meta=meta)
        return counts

    def rows(self, units: list[str]) -> tuple[pa.Table, Counter[str]]:
        """Rows of `matches` that the change brings to some units, and how many are new and restated. Writes nothing."""
        contents = [u.removeprefix(stage.CONTENT) for u in units if u.startswith(stage.CONTENT)]
        claims = [u.removeprefix(stage.CLAIMED) for u in units if u.startswith(stage.CLAIMED)]
        rows = self._new(contents, claims) if len(self.added) else []
        again = self._restated(self.matches, contents, claims) if self.matches is not None else []
        table = finished(rows + again, self.release, self.night, self.rules)
        return table, Counter({"new_matches": len(rows), "restated_matches": len(again)})

    def _new(self, contents: list[str], claims: list[str]) -> list[MatchRow]:
        """Matches of the units with media items that the release added."""
        return self.matcher.contents(self.lake, contents)[0] + self.matcher.claims(self.lake, claims)[0]

    def _restated(self, matches: pa.Table, contents: list[str], claims: list[str]) -> list[MatchRow]:
        """The units' matches with media items whose opinions changed, to be described again."""
        if not matches.num_rows:
            return []
        prints = commit_rows(self.lake, "fingerprint", contents, "fingerprints", "sha256")
        files_ = commit_rows(self.lake, "ingest", claims, "media_files", "file_id")
        claimed = pc.is_in(matches["file_id"], files_)
        found = pc.and_(pc.is_null(matches["file_id"]), pc.is_in(matches["sha256"], prints))
        mine = pc.or_(claimed, found)
        rows = matches.filter(mine).to_pylist()
        return [
            MatchRow({name: value for name, value in row.items() if name not in CARRIED and value is not None})
            for row in rows
        ]


def commit_rows(lake: Lake, of_stage: str, keys: list[str], table: str, column: str) -> pa.Array:
    """One column of the rows that some commits wrote."""
    parts = [p for c in lake.named(of_stage, keys) for p in c.parts if p.table == table]
    return lake.read(table, [column], parts=parts)[column].combine_chunks()
