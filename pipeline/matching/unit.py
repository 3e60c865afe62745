"""Matching of one unit: exact first, then the plain hashes, then the geometric variants, then refinement, then video.

Each step takes only what the step before left without a match, so that the costly ones see few files:
1. digests, joined exactly; 2. PDQ and pHash of the picture as it is; 3. PDQ of its variants at the wide radius;
4. for variant candidates, the worker searches the geometry of the picture that brings it nearest to the known hash;
5. frames of videos. A variant or a refined match says so and is never graded as a plain one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import policy
from pipeline.fingerprint import pool
from pipeline.fingerprint.outcome import Refined
from pipeline.lake import Lake, Part
from pipeline.locator import Locator
from pipeline.matching.evidence import Row
from pipeline.matching.known import Known
from pipeline.night import Night
from pipeline.settings import Settings

DIGESTS = ("sha256", "sha1", "md5")
"""Digest algorithms, the strongest first."""

PLAIN = (("pdq", "pdq"), ("phash256", "phash256"))
"""Hashes matched as they are: algorithm and column of the fingerprints table."""


class Matcher:
    """Matches units against a known side (a whole release, or what a release changed). `counts` gathers figures."""

    def __init__(self, settings: Settings, known: Known, night: Night) -> None:
        self.settings = settings
        self.known = known
        self.night = night
        self.rules = policy.load(settings, "matching").data
        self.counts: Counter[str] = Counter()

    def contents(self, lake: Lake, key: str) -> tuple[list[Row], int]:
        """Rows for every fingerprint of the commit `key`, and how many fingerprints there were."""
        commit = next(c for c in lake.commits("fingerprint") if c.key == key)
        prints = _read(lake, commit.parts, "fingerprints")
        rows = self.exact(prints["sha256"].to_pylist(), {a: prints[a].to_pylist() for a in DIGESTS})
        hit = {row["sha256"] for row in rows}
        rest = prints.filter(pc.invert(pc.is_in(prints["sha256"], pa.array(sorted(hit), pa.binary(32)))))
        near = self.plain(rest)
        found = hit | {row["sha256"] for row in near}
        variants = _without(_read(lake, commit.parts, "variants"), found)
        altered = self.altered(lake, variants, rest)
        frames = _without(_read(lake, commit.parts, "video_frames"), hit)
        return rows + near + altered + self.videos(frames), prints.num_rows

    def claims(self, lake: Lake, key: str) -> tuple[list[Row], int]:
        """Rows for every media file of the ingest commit `key` that is described but not present."""
        commit = next(c for c in lake.commits("ingest") if c.key == key)
        media = _read(lake, commit.parts, "media_files")
        media = media.filter(pc.not_equal(media["state"], "present"))
        ids = media["file_id"].to_pylist()
        rows = self.exact(ids, {a: media[f"claimed_{a}"].to_pylist() for a in DIGESTS}, kind="claimed")
        hit = {row["file_id"] for row in rows}
        left = [
            (i, h) for i, h in zip(ids, media["claimed_pdq"].to_pylist(), strict=True) if h is not None and i not in hit
        ]
        rows += self._near("pdq", left, kind="claimed", identity="file_id")
        return rows, media.num_rows

    def exact(self, ids: list[Any], digests: dict[str, list[bytes | None]], kind: str = "exact") -> list[Row]:
        """One row a known media item that has one of the digests; the strongest digest that agrees is named."""
        identity = "sha256" if kind == "exact" else "file_id"
        number, algorithms, values = [], [], []
        for algorithm in DIGESTS:
            for i, value in enumerate(digests[algorithm]):
                if value is not None:
                    number.append(i)
                    algorithms.append(algorithm)
                    values.append(value)
        queries = pa.table(
            {
                "query_id": pa.array(number, pa.int64()),
                "algorithm": pa.array(algorithms, pa.string()),
                "value": pa.array(values, pa.binary()),
            }
        )
        best: dict[tuple[int, int], str] = {}
        for pair in self.known.exact(queries).to_pylist():
            place = (pair["query_id"], pair["media_key"])
            if place not in best or DIGESTS.index(pair["algorithm"]) < DIGESTS.index(best[place]):
                best[place] = pair["algorithm"]
        total = Counter(i for i, _ in best)
        return [
            Row(
                {
                    identity: ids[i],
                    "media_key": media,
                    "kind": kind,
                    "algorithm": algorithm,
                    "distance": 0,
                    "threshold": 0,
                    "query_hash": _hex(digests[algorithm][i]),
                    "known_hash": _hex(digests[algorithm][i]),
                    "low_information": False,
                    "total_hits": total[i],
                }
            )
            for (i, media), algorithm in sorted(best.items())
        ]

    def plain(self, prints: pa.Table) -> list[Row]:
        """Near matches of the pictures as they are."""
        rows: list[Row] = []
        facts = {r["sha256"]: r for r in prints.select(["sha256", "pdq_quality", "low_information"]).to_pylist()}
        for algorithm, column in PLAIN:
            queries = [
                (s, h)
                for s, h in zip(prints["sha256"].to_pylist(), prints[column].to_pylist(), strict=True)
                if h is not None
            ]
            for row in self._near(algorithm, queries, kind="near"):
                fact = facts[row["sha256"]]
                rows.append(Row({**row, "quality": fact["pdq_quality"], "low_information": fact["low_information"]}))
        return rows

    def altered(self, lake: Lake, variants: pa.Table, prints: pa.Table) -> list[Row]:
        """Matches of variants, and of what refinement makes of variant candidates further away."""
        rules = self.rules["variants"]
        usable = variants.filter(pc.greater_equal(variants["quality"], rules["quality"]))
        names, owners = usable["variant"].to_pylist(), usable["sha256"].to_pylist()
        wide = int(self.rules["algorithms"]["pdq"]["wide_radius"])
        pairs = self._near(
            "pdq", list(enumerate(usable["pdq"].to_pylist())), kind="variant", identity="sha256", radius=wide
        )
        nearest: dict[tuple[bytes, int], Row] = {}
        for row in pairs:
            place = int(row["sha256"])
            named = Row(
                {**row, "sha256": owners[place], "variant": names[place], "quality": usable["quality"][place].as_py()}
            )
            other = nearest.get((named["sha256"], named["media_key"]))
            if other is None or (named["distance"], named["variant"]) < (other["distance"], other["variant"]):
                nearest[named["sha256"], named["media_key"]] = named
        low = {r["sha256"] for r in prints.select(["sha256", "low_information"]).to_pylist() if r["low_information"]}
        for row in nearest.values():
            row["low_information"] = row["sha256"] in low
            row["threshold"] = int(rules["radius"])
        close = [r for r in nearest.values() if r["distance"] <= rules["radius"]]
        done = {r["sha256"] for r in close}
        far = [r for r in nearest.values() if r["sha256"] not in done and r["sha256"] not in low]
        return close + self.refined(lake, far)

    def refined(self, lake: Lake, candidates: list[Row]) -> list[Row]:
        """Let the worker look for the geometry in which a candidate is nearest; keep what comes within the threshold.

        A candidate whose media is no longer in place stays as an `unrefined` lead.
        """
        rules = self.rules["refinement"]
        chosen: list[Row] = []
        by_content: dict[bytes, list[Row]] = {}
        for row in sorted(candidates, key=lambda r: (r["sha256"], r["distance"], r["media_key"])):
            by_content.setdefault(row["sha256"], []).append(row)
        for rows in by_content.values():
            chosen += rows[: rules["candidates"]]
            self.counts["candidates_beyond_limit"] += max(0, len(rows) - rules["candidates"])
        places = self._places(lake, {row["sha256"] for row in chosen})
        items = [
            (places[r["sha256"]], r["sha256"], bytes.fromhex(r["known_hash"])) for r in chosen if r["sha256"] in places
        ]
        outcomes = iter(pool.refine(self.settings, items))
        kept: list[Row] = []
        for row in chosen:
            outcome = next(outcomes) if row["sha256"] in places else None
            coarse = row["distance"]
            if isinstance(outcome, Refined):
                self.counts["refined"] += 1
                if outcome.distance <= rules["radius"]:
                    kept.append(
                        Row(
                            {
                                **row,
                                "kind": "refined",
                                "distance": outcome.distance,
                                "coarse_distance": coarse,
                                "threshold": int(rules["radius"]),
                                "geometry": outcome.geometry,
                            }
                        )
                    )
            else:
                self.counts["not_refined"] += 1
                kept.append(
                    Row(
                        {
                            **row,
                            "kind": "unrefined",
                            "coarse_distance": coarse,
                            "threshold": int(self.rules["algorithms"]["pdq"]["wide_radius"]),
                        }
                    )
                )
        return kept

    def videos(self, frames: pa.Table) -> list[Row]:
        """One row a known media item that enough frames of a video are near to."""
        rules = self.rules["video"]
        owners, seconds = frames["sha256"].to_pylist(), frames["seconds"].to_pylist()
        total = Counter(owners)
        usable = [i for i, q in enumerate(frames["quality"].to_pylist()) if q >= rules["quality"]]
        hashes = frames["pdq"].to_pylist()
        pairs = self._near("pdq", [(i, hashes[i]) for i in usable], kind="video", identity="sha256")
        grouped: dict[tuple[bytes, int], list[tuple[int, Row]]] = {}
        for row in pairs:
            place = int(row["sha256"])
            grouped.setdefault((owners[place], row["media_key"]), []).append((place, row))
        rows = []
        for (owner, _), hits in sorted(grouped.items()):
            matched = sorted({place for place, _ in hits})
            share = len(matched) / total[owner]
            if len(matched) >= rules["min_frames"] and share >= rules["min_share"]:
                _, nearest = min(hits, key=lambda h: (h[1]["distance"], h[0]))
                times = [seconds[place] for place in matched]
                rows.append(
                    Row(
                        {
                            **nearest,
                            "sha256": owner,
                            "frames_matched": len(matched),
                            "frame_share": round(share, 6),
                            "first_seconds": min(times),
                            "last_seconds": max(times),
                        }
                    )
                )
        return rows

    def _near(
        self,
        algorithm: str,
        queries: list[tuple[Any, bytes]],
        *,
        kind: str,
        identity: str = "sha256",
        radius: int | None = None,
    ) -> list[Row]:
        """Pairs within the radius; the query's identity is put in the column `identity`."""
        if not queries:
            return []
        limits = self.rules["algorithms"][algorithm]
        reach = int(limits["radius"]) if radius is None else radius
        hashes = np.frombuffer(b"".join(h for _, h in queries), np.uint8).reshape(len(queries), -1)
        join = self.known.near(algorithm, hashes, radius=reach, cap=int(limits["cap"]))
        self.counts[f"{algorithm}_queries"] += len(queries)
        known = self.known.hashes(algorithm, join.table["known_id"])
        rows = []
        for pair in join.table.to_pylist():
            query, value = queries[pair["query_id"]]
            candidates = known.get(pair["known_id"], [])
            rows.append(
                Row(
                    {
                        identity: query,
                        "media_key": pair["known_id"],
                        "kind": kind,
                        "algorithm": algorithm,
                        "distance": int(pair["distance"]),
                        "threshold": reach,
                        "query_hash": value.hex(),
                        "known_hash": _nearest(value, candidates).hex(),
                        "low_information": False,
                        "total_hits": int(join.totals[pair["query_id"]]),
                    }
                )
            )
        return _best_per_media(rows, identity)

    def _places(self, lake: Lake, contents: set[bytes]) -> dict[bytes, Locator]:
        """Where each content can still be read, the first locator in order."""
        media = lake.read("media_files", ["sha256", "locator", "state"])
        found: dict[bytes, Locator] = {}
        for row in sorted(media.to_pylist(), key=lambda r: str(r["locator"])):
            if row["state"] == "present" and row["sha256"] in contents and row["sha256"] not in found:
                locator = Locator.parse(row["locator"])
                if locator.path(self.settings.landing_dir).exists():
                    found[row["sha256"]] = locator
        return found


def _read(lake: Lake, parts: Iterable[Part], table: str) -> pa.Table:
    return lake.read(table, parts=[p for p in parts if p.table == table])


def _without(table: pa.Table, contents: set[bytes]) -> pa.Table:
    return table.filter(pc.invert(pc.is_in(table["sha256"], pa.array(sorted(contents), pa.binary(32)))))


def _hex(value: bytes | None) -> str:
    return value.hex() if value is not None else ""


def _nearest(query: bytes, candidates: list[bytes]) -> bytes:
    """The known hash nearest to the query: a media item can have several of one algorithm."""
    number = int.from_bytes(query)
    return min(candidates, key=lambda c: ((number ^ int.from_bytes(c)).bit_count(), c))


def _best_per_media(rows: list[Row], identity: str) -> list[Row]:
    """One row a query and media item: the nearest, where the item has several hashes."""
    best: dict[tuple[Any, int], Row] = {}
    for row in rows:
        place = (row[identity], row["media_key"])
        if place not in best or row["distance"] < best[place]["distance"]:
            best[place] = row
    return list(best.values())
