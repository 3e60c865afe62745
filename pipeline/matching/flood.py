"""The flood guard: a known picture that comes near to an implausible part of a night's files is set aside.

One wrong entry in a hash set (a plain frame, a logo) can drown a night in near matches. Its near matches stay in the
lake, listed in the table `floods`, and the assessment leaves them out until a person decides; exact matches always
count. The run report and `triage status` say so.
"""

from __future__ import annotations

import hashlib
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import policy, records
from pipeline.lake import Lake
from pipeline.night import Night, StageReport
from pipeline.settings import Settings

SURE = ("exact", "claimed")
"""Kinds that rest on a digest and are never set aside."""


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """List the known media whose near matches of this run pass both limits of policy/matching.yaml `flood`."""
    lake = Lake(settings.lake_dir)
    rules = policy.load(settings, "matching").data["flood"]
    mine = [part for c in lake.commits("match") if c.run_id == night.run_id for part in c.parts]
    matches = lake.read("matches", ["sha256", "media_key", "kind", "release"], parts=mine)
    prints = [part for c in lake.commits("fingerprint") if c.run_id == night.run_id for part in c.parts]
    total = sum(part.rows for part in prints if part.table == "fingerprints")
    near = matches.filter(pc.invert(pc.is_in(matches["kind"], pa.array(SURE))))
    pairs = {(r["media_key"], r["sha256"], r["release"]) for r in near.to_pylist()}
    counts = Counter((key, release) for key, _, release in pairs)
    flooded = [
        {"media_key": key, "release": release, "files": files, "night_files": total, "run_id": night.run_id}
        for (key, release), files in sorted(counts.items())
        if files >= rules["min_files"] and files >= rules["share"] * total
    ]
    if flooded:
        text = repr([(f["media_key"], f["release"]) for f in flooded])
        key = f"{night.run_id}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        lake.commit("flood", key, {"floods": records.build("floods", flooded)}, run_id=night.run_id)
    return StageReport(
        "flood",
        night.run_id,
        read=len(counts),
        kept=len(counts) - len(flooded),
        rejected={"flooded": len(flooded)} if flooded else {},
    )


def counted(lake: Lake, matches: pa.Table) -> pa.Table:
    """The matches (with columns kind and media_key) that count: near matches to flooded media are left out.

    Floods that a person has released count again.
    """
    aside = pa.array(sorted(flooded_media(lake)), pa.int64())
    near = pc.invert(pc.is_in(matches["kind"], pa.array(SURE)))
    return matches.filter(pc.invert(pc.and_(near, pc.is_in(matches["media_key"], aside))))


def latest(lake: Lake) -> pa.Table:
    """Of each finding (content or described file, known media item, algorithm, kind) the row of the latest release."""
    matches = lake.read("matches")
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
    Lake(settings.lake_dir).commit(
        "flood-release", f"{media_key}", {"flood_releases": records.build("flood_releases", [row])}, run_id=night.run_id
    )
