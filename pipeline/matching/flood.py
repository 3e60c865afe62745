"""The flood guard: a known picture that comes near to an implausible part of a night's files is set aside.

One wrong entry in a hash set (a plain frame, a logo) can drown a night in near matches. Its near matches stay in the
lake, listed in the table `floods`, and the assessment leaves them out until a person decides; exact matches always
count. The run report and `triage status` say so.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import policy, records
from pipeline.contract import Night, StageReport
from pipeline.lake import Commit, Lake
from pipeline.settings import Settings

SURE = ("exact", "claimed")
"""Kinds that rest on a digest and are never set aside."""


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """List the known media whose near matches of this run pass both limits of policy/matching.yaml `flood`.

    The night's matches are judged against the night's contents, those of retro-matching against the past contents that
    it went through.
    """
    lake = Lake.of(settings)
    rules = policy.load(settings, "matching").data["flood"]
    prints = lake.commits("fingerprint", run_id=night.run_id)
    report = StageReport("flood", night.run_id)
    flooded: list[dict[str, object]] = []
    for stage, contents in (("match", prints), ("retro", _past(lake, night))):
        parts = [part for c in lake.commits(stage, run_id=night.run_id) for part in c.parts if part.table == "matches"]
        total = sum(part.rows for c in contents for part in c.parts if part.table == "fingerprints")
        counts = near(lake.read("matches", ["sha256", "media_key", "kind", "release"], parts=parts))
        report.read += len(counts)
        flooded += flooding(counts, total, rules, night)
    listed = {(r["media_key"], r["release"]) for r in _listed(lake, night)}  # the night's, when retro_match follows it
    fresh = {
        (f["media_key"], f["release"]): f for f in reversed(flooded) if (f["media_key"], f["release"]) not in listed
    }
    if fresh:
        key = f"{night.run_id}-{hashlib.sha256(repr(sorted(fresh)).encode()).hexdigest()[:12]}"
        rows = [fresh[place] for place in sorted(fresh)]
        lake.commit("flood", key, {"floods": records.build("floods", rows)}, run_id=night.run_id)
    if flooded:
        report.rejected = {"flooded": len(flooded)}
    report.kept = report.read - len(flooded)
    return report


def _listed(lake: Lake, night: Night) -> list[dict[str, object]]:
    """Rows of `floods` that this run has written already."""
    parts = [part for c in lake.commits("flood", run_id=night.run_id) for part in c.parts]
    rows: list[dict[str, object]] = lake.read("floods", ["media_key", "release"], parts=parts).to_pylist()
    return rows


def _past(lake: Lake, night: Night) -> list[Commit]:
    """Fingerprint commits of the units that retro-matching brought up to date in this run."""
    units = {u for c in lake.commits("retro", run_id=night.run_id) for u in c.meta["units"]}
    return lake.named("fingerprint", [u.removeprefix("content-") for u in units if u.startswith("content-")])


def flooding(
    counts: Counter[tuple[int, int]], total: int, rules: Mapping[str, float], night: Night
) -> list[dict[str, object]]:
    """Rows of `floods`: the known media whose near matches pass both limits, of `total` contents looked at."""
    return [
        {"media_key": key, "release": release, "files": files, "night_files": total, "run_id": night.run_id}
        for (key, release), files in sorted(counts.items())
        if files >= rules["min_files"] and files >= rules["share"] * total
    ]


def near(matches: pa.Table) -> Counter[tuple[int, int]]:
    """Distinct contents that each (known media item, release) came near to."""
    unsure = matches.filter(pc.invert(pc.is_in(matches["kind"], pa.array(SURE))))
    pairs = unsure.group_by(["media_key", "sha256", "release"]).aggregate([])
    return Counter(zip(pairs["media_key"].to_pylist(), pairs["release"].to_pylist(), strict=True))


def counted(lake: Lake, matches: pa.Table) -> pa.Table:
    """The matches (with columns kind and media_key) that count: near matches to flooded media are left out.

    Floods that a person has released count again.
    """
    aside = pa.array(sorted(flooded_media(lake)), pa.int64())
    unsure = pc.invert(pc.is_in(matches["kind"], pa.array(SURE)))
    return matches.filter(pc.invert(pc.and_(unsure, pc.is_in(matches["media_key"], aside))))


def aside(lake: Lake, matches: pa.Table) -> pa.Table:
    """The matches (columns sha256 and match_id) that are left out: what has no other is neither new nor known until a
    person decides."""
    listed = pa.array(sorted(flooded_media(lake)), pa.int64())
    unsure = pc.invert(pc.is_in(matches["kind"], pa.array(SURE)))
    left_out = matches.filter(pc.and_(unsure, pc.is_in(matches["media_key"], listed)))
    return left_out.select(["sha256", "match_id"])


def latest(lake: Lake, media: pa.Array | None = None) -> pa.Table:
    """Of each finding (content or described file, known media item, algorithm, kind) the row of the latest release;
    `media`: only of these known media items."""
    matches = lake.read("matches")
    if media is not None:
        matches = matches.filter(pc.is_in(matches["media_key"], media))
    names = ["sha256", "file_id", "media_key", "algorithm", "kind", "release"]
    newest: dict[tuple[object, ...], tuple[int, int]] = {}
    for place, (*finding, release) in enumerate(zip(*[matches[n].to_pylist() for n in names], strict=True)):
        held = newest.get(tuple(finding))
        if held is None or release > held[0]:
            newest[tuple(finding)] = (release, place)
    return matches.take(pa.array(sorted(place for _, place in newest.values()), pa.int64()))


def flooded_media(lake: Lake) -> set[int]:
    """Known media that are set aside now: flooded in some run and not released by a person since."""
    return set(lake.read("floods", ["media_key"])["media_key"].to_pylist()) - set(
        lake.read("flood_releases", ["media_key"])["media_key"].to_pylist()
    )


def release_flood(settings: Settings, media_key: int, person: str, reason: str, night: Night) -> None:
    """A person decides that a flooded media item's near matches count after all."""
    row = {
        "media_key": media_key,
        "person": person,
        "reason": reason,
        "decided_at": night.as_of,
        "run_id": night.run_id,
    }
    Lake.of(settings).commit(
        "flood-release", f"{media_key}", {"flood_releases": records.build("flood_releases", [row])}, run_id=night.run_id
    )
