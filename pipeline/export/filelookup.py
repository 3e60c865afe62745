"""Files in the known-hash store: hashed by the isolated worker and asked as a night asks them, altered copies too.

Apart from `lookup.py`, since a look-up of a hash needs neither the worker nor the stages. Whoever calls it has logged the look-up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from hashsets.release.releases import DESCRIBED, Release
from pipeline import policy
from pipeline.algorithms import DIGESTS
from pipeline.contract import Night
from pipeline.errors import InputError, UsageError
from pipeline.export import lookup
from pipeline.export.hashes import HashText
from pipeline.fingerprint.hashes import packed
from pipeline.fingerprint.outcome import Failure, Fingerprint, Item, Refined
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.locator import Locator
from pipeline.matching import altered, knownvideos, levels
from pipeline.matching.evidence import MatchRow
from pipeline.matching.known import WholeRelease
from pipeline.matching.unit import Matcher
from pipeline.settings import Settings


@dataclass(frozen=True)
class Hashed:
    """A local file as the isolated worker hashed it: hashes to look up, and why some are missing."""

    hashes: list[HashText]
    note: str
    altered: tuple[dict[str, Any], ...] = ()
    """What the families of query variants and refinement found, as a night would: columns of an answer."""


def hash_file(settings: Settings, path: Path, release: Release | None = None) -> Hashed:
    """Hash a local file in the isolated worker: digests, and perceptual hashes where it is a picture. Nothing is kept.

    With a `release` the same frames and families of variants are asked as in a night, where its plain hashes find nothing.

    Raises UsageError when there is no such file, InputError when even its digests cannot be read.
    """
    if not path.is_file():
        raise UsageError(
            f"There is no file {path.name!r}.", "Give a hash, a file, a list (.csv, .txt) or - for a pipe."
        )
    locator = Locator(path.name)
    with Pool(settings, root=path.parent, readable=[path], workers=1) as pool:
        _, outcome = next(pool.fingerprints([Item(locator, variants=release is not None)]))
        found = _asked_altered(settings, release, pool, locator, outcome) if release is not None else []
    digests = outcome.digests
    if digests is None:
        raise InputError(f"The file cannot be read: {outcome.reason}.")
    values: dict[str, bytes] = {name: getattr(digests, name) for name in DIGESTS}
    note = ""
    if isinstance(outcome, Failure):
        note = f"No perceptual hashes: {outcome.reason}."
    elif outcome.hashes is None:
        frames = len(outcome.video_frames)
        note = f"{frames} frames were asked about." if frames else f"No perceptual hashes: {outcome.reason}."
    else:
        values |= {"pdq": outcome.hashes.pdq, "phash256": outcome.hashes.phash256}
        if outcome.hashes.low_information:
            note = "The picture has too little detail for a near match to mean anything."
        elif outcome.hashes.mostly_flat:
            note = "Mostly text, a drawing or a template: a near match may be another of its kind."
    return Hashed([HashText(1, path.name, (name,), value) for name, value in values.items()], note, tuple(found))


def _asked_altered(
    settings: Settings, release: Release, pool: Pool, locator: Locator, outcome: Any
) -> list[dict[str, Any]]:
    """Matches of a file's frames, or of its variants, refined in the worker as in a night; nothing where its plain hashes match."""
    if isinstance(outcome, Failure):
        return []
    rules, known = policy.load(settings, "matching").data, WholeRelease(release, settings)
    plain = {"pdq": outcome.hashes.pdq, "phash256": outcome.hashes.phash256} if outcome.hashes else {}
    texts = [HashText(1, "", (name,), value) for name, value in plain.items()]
    if any(lookup.near(known, release, name, texts, rules["algorithms"][name]) for name in plain):
        return []
    if videos := _asked_frames(settings, known, outcome):
        return videos
    table = altered.queries(*altered.tables_of(outcome), rules["variants"]["quality"])
    cap = int(rules["algorithms"]["pdq"]["cap"])
    found = altered.candidates(known, table, rules["variants"]["families"], cap, Counter())
    rows = [row for row in found if row["distance"] <= rules["variants"]["radius"]]
    if not rows and outcome.hashes:  # frames of a video are not refined
        nearest = sorted(found, key=lambda r: (r["distance"], r["media_key"]))[: rules["refinement"]["candidates"]]
        items = [(locator, outcome.digests.sha256, bytes.fromhex(row["known_hash"])) for row in nearest]
        for row, refined in zip(nearest, pool.refinements(items), strict=True):
            bits, weighed = (refined.distance, refined.weighed) if isinstance(refined, Refined) else (256, 256)
            distance = min(bits, row["distance"])
            within = altered.confirmed(row["variant"], distance, weighed, rules)
            if within is not None:
                rows.append(MatchRow({**row, "kind": "refined", "distance": distance, "threshold": within}))
    for row in rows:
        apart = rules["algorithms"]["pdq"]["radius"] + 1  # at least: plain frames of a video were asked before
        if outcome.hashes:
            apart = packed.distance(outcome.hashes.pdq, bytes.fromhex(row["known_hash"]))
        row["result"] = levels.of(row["kind"], row["distance"], apart, rules)
        row.setdefault("threshold", rules["variants"]["radius"])
    return [{"algorithm": "pdq", **{n: row[n] for n in _ALTERED}} for row in rows]


def _asked_frames(settings: Settings, known: WholeRelease, outcome: Fingerprint) -> list[dict[str, Any]]:
    """Known videos and pictures that frames are near to as they are, or in one flip of all; the evidence as the note."""
    frames = altered.frames_of(outcome)
    matcher = Matcher(settings, known, Night("lookup", datetime.now(UTC)))
    rows = matcher.videos(frames) or matcher.flipped_videos(frames)
    found = []
    for row in rows:
        times = f"{row['frames_matched']} of {frames.num_rows} frames, from {row['first_seconds']:.0f} s to {row['last_seconds']:.0f} s"
        words = "; ".join(part for part in (times, row.get("variant"), knownvideos.words(row)) if part)
        result = row.get("level") or levels.of(row["kind"], row["distance"], None, matcher.rules)
        found.append(
            {"algorithm": "pdq", **{n: row[n] for n in _ALTERED if n != "result"}, "result": result, "note": words}
        )
    return found


_ALTERED = ("result", "distance", "threshold", "media_key", "known_hash")


def altered_rows(release: Release, name: str, hits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The hits of `Hashed.altered` as answers, the strongest level first; similar scenes last."""
    keys = pa.array(sorted({hit["media_key"] for hit in hits}), pa.int64())
    about = {row["media_key"]: row for row in release.describe(keys).to_pylist()} if hits else {}
    ordered = sorted(hits, key=lambda h: (levels.LEVELS.index(h["result"]), h["distance"], h["media_key"]))
    base = {"line": 1, "input": name, "release": release.number}
    rows = [{**base, **hit, **{n: about[hit["media_key"]].get(n) for n in DESCRIBED}} for hit in ordered]
    return [{column: row.get(column) for column in lookup.COLUMNS} for row in rows]
