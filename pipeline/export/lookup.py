"""Look-ups in the known-hash store: exact for digests, nearest neighbours for perceptual hashes, one row per hit.

The same function answers the command line, the web page and the HTTP API. Whoever calls it has logged the look-up. Files are
looked up by `filelookup.py`: what only they need (the media worker, the stages of a night) is not loaded for a hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hashsets.release.finding import FEW
from hashsets.release.releases import DESCRIBED, Release
from pipeline import policy
from pipeline.algorithms import ALGORITHMS, DIGESTS, EMPTY_FILE
from pipeline.export.hashes import WIDTHS, HashText
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.matching.known import WholeRelease

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
    found: list[list[dict[str, Any]]] = [[] for _ in hashes]
    with release.kept_open():
        for hit in _exact(release, hashes):
            found[hit["place"]].append(hit)
        for hit in _near(settings, release, hashes, radius):
            if not any(h["media_key"] == hit["media_key"] and h["result"] == "exact" for h in found[hit["place"]]):
                found[hit["place"]].append(hit)
        about = _described(release, sorted({hit["media_key"] for hits in found for hit in hits}))
    rows = []
    for text, hits in zip(hashes, found, strict=True):
        empty = any(EMPTY_FILE.get(name) == text.value for name in text.algorithms)
        note = "the hash of an empty file: it says nothing of any content" if empty else None
        base = {"line": text.line, "input": text.text, "release": release.number, "note": note}
        hits.sort(key=lambda h: (h["result"] != "exact", h["distance"], h["media_key"]))
        for hit in hits or [{"result": "not known", "algorithm": "/".join(text.algorithms)}]:
            known_media = about.get(hit["media_key"], {}) if "media_key" in hit else {}
            row = {**base, **hit, **{name: known_media.get(name) for name in DESCRIBED}}
            rows.append({name: row.get(name) for name in COLUMNS})
    return rows


def _exact(release: Release, hashes: Sequence[HashText]) -> list[dict[str, Any]]:
    """Equal digests, and equal opaque hashes."""
    queries = [
        (place, algorithm, text.value)
        for place, text in enumerate(hashes)
        for algorithm in text.algorithms
        if algorithm in DIGESTS + OPAQUE
    ]
    few = len(queries) <= FEW and all(ALGORITHMS[algorithm].computed for _, algorithm, _ in queries)
    hits = release.exact_few(queries) if few else _exact_many(release, queries)
    best: dict[tuple[int, int], dict[str, Any]] = {}
    for place, algorithm, media_key in hits:
        row = {
            "place": place, "result": "exact", "algorithm": algorithm, "distance": 0, "threshold": 0,
            "media_key": media_key, "known_hash": hashes[place].value.hex(),
        }  # fmt: skip
        best.setdefault((place, media_key), row)
    return list(best.values())


def _exact_many(release: Release, queries: Sequence[tuple[int, str, bytes]]) -> list[tuple[int, str, int]]:
    """What `Release.exact_few` gives, for a long list."""
    import pyarrow as pa  # not for one digest, which takes less time than loading it

    places, algorithms, values = zip(*queries, strict=True)
    table = pa.table(
        {
            "query_id": pa.array(places, pa.int64()),
            "algorithm": pa.array(algorithms, pa.string()),
            "value": pa.array(values, pa.binary()),
        }
    )
    found = release.exact(table).to_pydict()
    return list(zip(found["query_id"], found["algorithm"], found["media_key"], strict=True))


def _described(release: Release, media_keys: list[int]) -> dict[int, dict[str, Any]]:
    """What the release says of media, by media key."""
    if not media_keys:
        return {}
    rows = release.describe_few(media_keys) if len(media_keys) <= FEW else release.describe(media_keys).to_pylist()
    return {row["media_key"]: row for row in rows}


def _near(
    settings: Settings, release: Release, hashes: Sequence[HashText], radius: int | None
) -> Iterator[dict[str, Any]]:
    """Known media within the distance that the policy sets, or within `radius`, for what can be near to anything."""
    asked = [name for name in NEAR if any(name in text.algorithms for text in hashes)]
    if not asked:
        return
    from pipeline.matching.known import WholeRelease  # with NumPy and Arrow, which a digest does without

    rules = policy.load(settings, "matching").data["algorithms"]
    known = WholeRelease(release, settings)
    for algorithm in asked:
        chosen = rules[algorithm] | ({"radius": radius} if radius else {})
        yield from near(known, release, algorithm, hashes, chosen)


def near(
    known: WholeRelease, release: Release, algorithm: str, hashes: Sequence[HashText], rules: dict[str, int]
) -> list[dict[str, Any]]:
    """All known media within the algorithm's threshold, at most `cap` a hash."""
    places = [i for i, text in enumerate(hashes) if algorithm in text.algorithms]
    if not places or algorithm not in release.indexes:
        return []
    import numpy as np

    queries = np.frombuffer(b"".join(hashes[i].value for i in places), np.uint8).reshape(len(places), WIDTHS[algorithm])
    joined = known.near(algorithm, queries, radius=rules["radius"], cap=rules["cap"], compiled=False)
    if joined is None:
        return []
    table = joined.table
    values = _hashes(release, algorithm, table["known_id"].to_pylist())
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


def _hashes(release: Release, algorithm: str, media_keys: list[int]) -> dict[int, list[bytes]]:
    """The values of media, by media key."""
    if len(media_keys) <= FEW:
        return release.hashes_few(algorithm, media_keys)
    from pipeline.matching.known import grouped

    return grouped(release.hashes(algorithm, media_keys))


def _distance(left: bytes, right: bytes) -> int:
    return (int.from_bytes(left) ^ int.from_bytes(right)).bit_count()
