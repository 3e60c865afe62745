"""Look-ups in the known-hash store: exact for digests, nearest neighbours for perceptual hashes, one row per hit.

The same function answers the command line, the web page and the HTTP API. Whoever calls it has logged the look-up. Files are
looked up by `filelookup.py`: what only they need (the media worker, the stages of a night) is not loaded for a hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hashsets.release.releases import Release
from pipeline import policy
from pipeline.algorithms import DIGESTS, EMPTY_FILE
from pipeline.export.hashes import WIDTHS, HashText
from pipeline.matching.evidence import DESCRIBED
from pipeline.matching.known import WholeRelease, grouped
from pipeline.settings import Settings

NEAR = ("pdq", "phash256")
OPAQUE = ("photodna", "phash64", "dhash64")
"""Looked up by equality only: 64 bits are too few for a near match alone, PhotoDNA is never computed here."""

COLUMNS = (
    "line", "input", "result", "algorithm", "distance", "threshold", "media_key", *DESCRIBED, "known_hash", "release", "note",
)  # fmt: skip
"""Columns of every answer, in order."""


def not_read(rejects: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows for lines that are no hashes (`line`, `text`, `reason`), in the form of an answer: nothing asked is left out."""
    empty: dict[str, Any] = dict.fromkeys(COLUMNS)
    return [{**empty, "line": r["line"], "input": r["text"], "result": f"not read: {r['reason']}"} for r in rejects]


def look_up(
    settings: Settings, release: Release, hashes: Sequence[HashText], radius: int | None = None
) -> list[dict[str, Any]]:
    """One row per hash and known media item it is equal or near to, else one row with result `not known`.

    `radius`: most bits that may differ instead of the policy's. `result` is exact, near or not known. Rows come in the order of the hashes, exact before near, nearest first.
    """
    rules = policy.load(settings, "matching").data["algorithms"]
    known = WholeRelease(release, settings)
    found: list[list[dict[str, Any]]] = [[] for _ in hashes]
    for hit in _exact(known, hashes):
        found[hit["place"]].append(hit)
    for algorithm in NEAR:
        for hit in near(known, release, algorithm, hashes, rules[algorithm] | ({"radius": radius} if radius else {})):
            if not any(h["media_key"] == hit["media_key"] and h["result"] == "exact" for h in found[hit["place"]]):
                found[hit["place"]].append(hit)
    keys = sorted({hit["media_key"] for hits in found for hit in hits})
    about = {row["media_key"]: row for row in release.describe(pa.array(keys, pa.int64())).to_pylist()} if keys else {}
    rows = []
    for text, hits in zip(hashes, found, strict=True):
        empty = any(EMPTY_FILE.get(name) == text.value for name in text.algorithms)
        note = "the hash of an empty file: it says nothing of any content" if empty else None
        base = {"line": text.line, "input": text.text, "release": release.number, "note": note}
        hits.sort(key=lambda h: (h["result"] != "exact", h["distance"], h["media_key"]))
        for hit in hits or [{"result": "not known", "algorithm": "/".join(text.algorithms)}]:
            known_media = about.get(hit.get("media_key"), {})
            row = {**base, **hit, **{name: known_media.get(name) for name in DESCRIBED}}
            rows.append({name: row.get(name) for name in COLUMNS})
    return rows


def _exact(known: WholeRelease, hashes: Sequence[HashText]) -> list[dict[str, Any]]:
    """Equal digests, and equal opaque hashes."""
    queries = [
        (place, algorithm, text.value)
        for place, text in enumerate(hashes)
        for algorithm in text.algorithms
        if algorithm in DIGESTS + OPAQUE
    ]
    if not queries:
        return []
    table = pa.table(
        {
            "query_id": pa.array([q[0] for q in queries], pa.int64()),
            "algorithm": pa.array([q[1] for q in queries], pa.string()),
            "value": pa.array([q[2] for q in queries], pa.binary()),
        }
    )
    hits = known.exact(table).to_pylist()
    best: dict[tuple[int, int], dict[str, Any]] = {}
    for hit in hits:
        value = hashes[hit["query_id"]].value
        row = {
            "place": hit["query_id"], "result": "exact", "algorithm": hit["algorithm"], "distance": 0, "threshold": 0,
            "media_key": hit["media_key"], "known_hash": value.hex(),
        }  # fmt: skip
        best.setdefault((hit["query_id"], hit["media_key"]), row)
    return list(best.values())


def near(
    known: WholeRelease, release: Release, algorithm: str, hashes: Sequence[HashText], rules: dict[str, int]
) -> list[dict[str, Any]]:
    """All known media within the algorithm's threshold, at most `cap` a hash."""
    places = [i for i, text in enumerate(hashes) if algorithm in text.algorithms]
    if not places or algorithm not in release.indexes:
        return []
    queries = np.frombuffer(b"".join(hashes[i].value for i in places), np.uint8).reshape(len(places), WIDTHS[algorithm])
    joined = known.near(algorithm, queries, radius=rules["radius"], cap=rules["cap"])
    if joined is None:
        return []
    table = joined.table
    values = grouped(release.hashes(algorithm, table["known_id"]))
    rows = []
    for pair in table.to_pylist():
        text = hashes[places[pair["query_id"]]]
        nearest = min(values[pair["known_id"]], key=lambda v: (_distance(v, text.value), v))
        rows.append(
            {
                "place": places[pair["query_id"]],
                "result": "near",
                "algorithm": algorithm,
                "distance": pair["distance"],
                "threshold": rules["radius"],
                "media_key": pair["known_id"],
                "known_hash": nearest.hex(),
            }
        )
    return rows


def _distance(left: bytes, right: bytes) -> int:
    return (int.from_bytes(left) ^ int.from_bytes(right)).bit_count()
