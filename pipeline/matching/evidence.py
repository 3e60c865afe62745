"""What a match row carries beside the pair itself: what the release says of the known media, versions, identity."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hashsets.release.releases import DESCRIBED, Release
from pipeline import __version__, records
from pipeline.algorithms import version_of
from pipeline.matching import levels, stated

if TYPE_CHECKING:
    from pipeline.contract import Night


class MatchRow(dict[str, Any]):
    """A match under construction: columns of the record type `matches` by name."""


def finished(rows: list[MatchRow], release: Release, night: Night, rules: dict[str, Any]) -> pa.Table:
    """Match rows of the record's schema, in a fixed order, with the release's evidence.

    Near pairs that the rules of their hash sets do not admit (set disabled, or a narrower radius) are left out.
    """
    keys = pa.array(sorted({row["media_key"] for row in rows}), pa.int64())
    described = {d["media_key"]: d for d in release.describe(keys).to_pylist()}
    said = stated.stated(release, [row["media_key"] for row in rows if row["algorithm"] == "pdq"])
    complete = []
    for row in rows:
        about = described[row["media_key"]]
        if not admitted(row, about["sources"], rules):
            continue
        quality = _known_quality(row, said)
        owner = row.get("sha256") or hashlib.sha256(row["file_id"].encode()).digest()
        complete.append(
            {
                "level": levels.of(row["kind"], row["distance"], None, rules),
                **{name: value for name, value in row.items() if name != "place"},
                **{name: about[name] for name in DESCRIBED},
                "known_quality": quality,
                "low_information": row["low_information"]
                or (quality is not None and quality < rules["quality_of_known"]),
                "sha256": owner,
                "release": release.number,
                "algorithm_version": version_of(row["algorithm"]),
                "code_version": __version__,
                "run_id": night.run_id,
                "match_id": identity(owner, row, release.number),
            }
        )
    complete.sort(
        key=lambda r: (r["sha256"], r.get("file_id") or "", r["kind"], r["distance"], r["media_key"], r["algorithm"])
    )
    return records.build("matches", complete)


def _known_quality(row: MatchRow, said: dict[int, stated.StatedMedia]) -> int | None:
    """PDQ quality of the known hash of a match, where its set states it."""
    if row.get("known_quality") is not None:  # of a frame, by its own hash
        return int(row["known_quality"])
    about = said.get(row["media_key"])
    if row["algorithm"] != "pdq" or about is None or not row.get("known_hash"):
        return None
    return about.quality_of(bytes.fromhex(row["known_hash"]))


def identity(owner: bytes, row: MatchRow, release: int) -> str:
    """Stable identifier of a match: the same finding in the same release has the same one."""
    text = "\0".join(
        [owner.hex(), str(row.get("file_id")), str(row["media_key"]), row["algorithm"], row["kind"], str(release)]
    )
    return "M-" + hashlib.sha256(text.encode()).hexdigest()[:24]


def admitted(row: MatchRow, sources: list[str], rules: dict[str, Any]) -> bool:
    """Whether at least one set that holds the media item admits a near pair at this distance; exact pairs always."""
    if row["threshold"] == 0 or not rules["sets"]:
        return True
    for source in sources:
        of_set = rules["sets"].get(source)
        if of_set is None:
            return True
        radius = of_set.get("radius", {}).get(row["algorithm"], row["threshold"])
        if of_set.get("enabled", True) and row["distance"] <= radius:
            return True
    return not sources
