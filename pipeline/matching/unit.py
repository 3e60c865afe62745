"""Matching of one unit: exact first, then the plain hashes, then the geometric variants, then refinement, then video.

Each step takes only what the step before left without a match, so that the costly ones see few files:
1. digests, joined exactly; 2. PDQ and pHash of the picture as it is; 3. PDQ of its variants at the wide radius;
4. for variant candidates, the worker searches the geometry of the picture that brings it nearest to the known hash;
5. frames of videos. A variant or a refined match says so and is never graded as a plain one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import policy
from pipeline.algorithms import DIGESTS
from pipeline.contract import Night
from pipeline.fingerprint.hashes import packed
from pipeline.fingerprint.outcome import Refined
from pipeline.fingerprint.sandbox import pool
from pipeline.lake import Lake, Part
from pipeline.locator import Locator
from pipeline.matching import altered, knownvideos, levels
from pipeline.matching.evidence import MatchRow
from pipeline.matching.known import KnownSide
from pipeline.matching.pairs import Pairs, codes, first_of, reduced, spans
from pipeline.matching.stated import stated
from pipeline.settings import Settings

PLAIN = ("pdq", "phash256")
"""Hashes of the picture as it is: algorithms, and the columns of the fingerprints table."""


class Matcher:
    """Matches units against a known side (a whole release, or what a release changed). `counts` gathers figures."""

    def __init__(self, settings: Settings, known: KnownSide, night: Night) -> None:
        self.settings = settings
        self.known = known
        self.night = night
        self.rules = policy.load(settings, "matching").data
        self.counts: Counter[str] = Counter()

    def contents(self, lake: Lake, keys: Collection[str]) -> tuple[list[MatchRow], int]:
        """Rows for every fingerprint of the commits `keys`, and how many fingerprints there were."""
        parts = _parts(lake, "fingerprint", keys)
        prints = _read(lake, parts, "fingerprints")
        rows = self.exact(prints["sha256"], {a: prints[a] for a in DIGESTS})
        hit = {row["sha256"] for row in rows}
        rest = _without(prints, hit)
        near = self.plain(rest)
        found = hit | {row["sha256"] for row in near}
        frames = _without(_read(lake, parts, "video_frames"), hit)
        videos = self.videos(frames)
        videos += self.flipped_videos(_without(frames, {row["sha256"] for row in videos}))
        found |= {row["sha256"] for row in videos}
        further = self.altered(lake, _without(_read(lake, parts, "variants"), found), _without(rest, found))
        return rows + near + further + videos, prints.num_rows

    def claims(self, lake: Lake, keys: Collection[str]) -> tuple[list[MatchRow], int]:
        """Rows for every media file of the ingest commits `keys` that is described but not present."""
        media = _read(lake, _parts(lake, "ingest", keys), "media_files")
        media = media.filter(pc.not_equal(media["state"], "present"))
        rows = self.exact(media["file_id"], {a: media[f"claimed_{a}"] for a in DIGESTS}, kind="claimed")
        hit = pa.array(sorted({row["file_id"] for row in rows}), pa.string())
        rest = media.filter(pc.invert(pc.is_in(media["file_id"], hit)))
        return rows + self._near("pdq", rest["file_id"], rest["claimed_pdq"], kind="claimed"), media.num_rows

    def exact(self, ids: pa.ChunkedArray, digests: dict[str, pa.ChunkedArray], kind: str = "exact") -> list[MatchRow]:
        """One row per known media item that has one of the digests; the strongest digest that agrees is named."""
        identity = _identity(kind)
        best: dict[tuple[int, int], str] = {}
        for pair in self.known.exact(_queries(digests)).to_pylist():
            place = (pair["query_id"], pair["media_key"])
            if place not in best or DIGESTS.index(pair["algorithm"]) < DIGESTS.index(best[place]):
                best[place] = pair["algorithm"]
        total = Counter(i for i, _ in best)
        rows = []
        for (i, media), algorithm in sorted(best.items()):
            value = digests[algorithm][i].as_py().hex()
            pair = {"media_key": media, "kind": kind, "algorithm": algorithm, "distance": 0, "threshold": 0}
            rest = {"query_hash": value, "known_hash": value, "low_information": False, "total_hits": total[i]}
            rows.append(MatchRow({identity: ids[i].as_py(), **pair, **rest}))
        return rows

    def plain(self, prints: pa.Table) -> list[MatchRow]:
        """Near matches of the pictures as they are."""
        rows = [
            row
            for algorithm in PLAIN
            for row in self._near(algorithm, prints["sha256"], prints[algorithm], kind="near")
        ]
        facts = _facts(prints, {row["sha256"] for row in rows})
        for row in rows:
            row["quality"], row["low_information"], row["mostly_flat"] = facts[row["sha256"]]
        return rows

    def altered(self, lake: Lake, variants: pa.Table, prints: pa.Table) -> list[MatchRow]:
        """Matches of variants, and of what refinement makes of variant candidates further away."""
        rules = self.rules["variants"]
        table = altered.queries(variants, prints, rules["quality"])
        cap = int(self.rules["algorithms"]["pdq"]["cap"])
        found = altered.candidates(self.known, table, rules["families"], cap, self.counts)
        facts = _facts(prints, {row["sha256"] for row in found})
        for row in found:
            row["threshold"] = int(rules["radius"])
            row["low_information"] = row["quality"] < rules["quality"]  # of the variant's own hash: such are not asked
            row["mostly_flat"] = facts[row["sha256"]][2]
        close = [row for row in found if row["distance"] <= rules["radius"]]
        done = {row["sha256"] for row in close}
        stills = set(
            prints.filter(pc.is_valid(prints["pdq"]))["sha256"].to_pylist()
        )  # frames of a video are not refined
        far = [r for r in found if r["sha256"] in stills - done]
        return self._levelled(close + self.refined(lake, far), prints)

    def _levelled(self, rows: list[MatchRow], prints: pa.Table) -> list[MatchRow]:
        """The rows with their levels; a geometry stays only where it explains the difference."""
        few = prints.filter(pc.is_in(prints["sha256"], pa.array(sorted({r["sha256"] for r in rows}), pa.binary(32))))
        plain = dict(zip(few["sha256"].to_pylist(), few["pdq"].to_pylist(), strict=True))
        for row in rows:
            whole = plain[row["sha256"]]
            apart = (
                int(self.rules["algorithms"]["pdq"]["radius"]) + 1
            )  # at least: plain frames of a video were asked before
            if whole is not None:
                apart = packed.distance(whole, bytes.fromhex(row["known_hash"]))
            row["level"] = levels.of(row["kind"], row["distance"], apart, self.rules)
            if row["level"] != levels.ALTERED:
                row.pop("geometry", None)
        return rows

    def refined(self, lake: Lake, candidates: list[MatchRow]) -> list[MatchRow]:
        """Let the worker look for the geometry in which a candidate is nearest; keep what comes within the threshold.

        A candidate whose media is no longer in place stays as an `unrefined` lead, if it lies within the wide radius.
        """
        rules = self.rules["refinement"]
        by_content: dict[bytes, list[MatchRow]] = {}
        for row in sorted(candidates, key=lambda r: (r["sha256"], r["distance"], r["media_key"])):
            by_content.setdefault(row["sha256"], []).append(row)
        chosen = [row for rows in by_content.values() for row in rows[: rules["candidates"]]]
        self.counts["candidates_beyond_limit"] += len(candidates) - len(chosen)
        places = self._places(lake, set(by_content))
        items = [
            (places[r["sha256"]], r["sha256"], bytes.fromhex(r["known_hash"])) for r in chosen if r["sha256"] in places
        ]
        outcomes = iter(pool.refine(self.settings, items))
        kept: list[MatchRow] = []
        for row in chosen:
            outcome = next(outcomes) if row["sha256"] in places else None
            row["coarse_distance"] = row["distance"]
            if isinstance(outcome, Refined):
                self.counts["refined"] += 1
                distance = min(
                    outcome.distance, row["distance"]
                )  # the variant itself may lie nearer than any frame tried
                within = altered.confirmed(row["variant"], distance, outcome.weighed, self.rules)
                if within is not None:
                    change = {"kind": "refined", "distance": distance, "threshold": within}
                    kept.append(MatchRow({**row, **change, "geometry": outcome.geometry}))
            else:
                self.counts["not_refined"] += 1
                within = int(self.rules["algorithms"]["pdq"]["wide_radius"])
                if row["distance"] <= within:  # further out only firm bits tell a copy from a stranger
                    kept.append(MatchRow({**row, "kind": "unrefined", "threshold": within}))
        return kept

    def videos(self, frames: pa.Table) -> list[MatchRow]:
        """One row per known media item that enough frames of a video are near to."""
        rules = self.rules["video"]
        total = Counter(frames["sha256"].to_pylist())
        usable = frames.filter(pc.greater_equal(frames["quality"], rules["quality"]))
        reach = int(self.rules["algorithms"]["pdq"]["radius"])
        own = self._pairs("pdq", usable["pdq"], reach)
        said = stated(self.known.release, np.unique(own.media).tolist())
        known = knownvideos.among(said)
        every = known.together(own)
        pairs = every.take(first_of(every.place, every.media, every.distance))
        numbers = codes(usable["sha256"])
        owners = numbers[pairs.place]
        seconds = usable["seconds"].to_numpy()[pairs.place]
        chosen, count, least, most = spans(owners, pairs, seconds)
        frames_of = np.array([total[c] for c in usable["sha256"].to_pylist()], np.int64)[pairs.place[chosen]]
        share = count / np.maximum(frames_of, 1)
        enough = np.flatnonzero((count >= rules["min_frames"]) & (share >= rules["min_share"]))
        found = self._rows(
            pairs.take(chosen[enough]), "pdq", usable["sha256"], usable["pdq"], kind="video", reach=reach
        )
        for row, at in zip(found, enough.tolist(), strict=True):
            row["quality"] = usable["quality"][row["place"]].as_py()
            row["frames_matched"], row["frame_share"] = int(count[at]), round(float(share[at]), 6)
            row["first_seconds"], row["last_seconds"] = float(least[at]), float(most[at])
            of_row = np.flatnonzero((every.media == row["media_key"]) & (numbers[every.place] == owners[chosen[at]]))
            times = usable["seconds"].to_numpy()[every.place[of_row]]
            row.update(knownvideos.spanned(every.take(of_row), own.media[of_row], times, said) or {})
            row.update(known.nearest(row["media_key"], bytes.fromhex(row["query_hash"])))
        return found

    def flipped_videos(self, frames: pa.Table) -> list[MatchRow]:
        """Videos of which no frame is near as it is, with all frames mirrored, turned by 90 degrees or both (from the hashes alone)."""
        if not frames.num_rows:
            return []
        best: dict[tuple[bytes, int], MatchRow] = {}
        for flip in packed.FLIPS[1:]:
            flat = packed.flipped_codes(altered.matrix(frames["pdq"]), flip)
            column = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(32), len(flat), [None, pa.py_buffer(flat.tobytes())]
            )
            for row in self.videos(frames.set_column(frames.schema.get_field_index("pdq"), "pdq", column)):
                place = (row["sha256"], row["media_key"])
                explained = row["frames_matched"] > 1 or row["distance"] <= self.rules["levels"]["altered"]["gain"]
                row["variant"], row["level"] = flip, levels.ALTERED if explained else levels.SIMILAR
                if place not in best or row["frames_matched"] > best[place]["frames_matched"]:
                    best[place] = row
        return list(best.values())

    def _near(self, algorithm: str, owners: pa.ChunkedArray, values: pa.ChunkedArray, *, kind: str) -> list[MatchRow]:
        """Pairs within the radius, one for each query and media item (the nearest); `place` is the query's position."""
        reach = int(self.rules["algorithms"][algorithm]["radius"])
        return self._rows(self._pairs(algorithm, values, reach), algorithm, owners, values, kind=kind, reach=reach)

    def _pairs(self, algorithm: str, values: pa.ChunkedArray, reach: int) -> Pairs:
        """The nearest pair of each query and media item, in columns: clustered queries have hundreds each."""
        places = np.flatnonzero(values.is_valid().to_numpy())
        cap = int(self.rules["algorithms"][algorithm]["cap"])
        if not len(places):
            return Pairs.none()
        join = self.known.near(algorithm, altered.matrix(values), radius=reach, cap=cap)
        self.counts[f"{algorithm}_queries"] += len(places)
        return Pairs.none() if join is None else reduced(join, places)

    def _rows(
        self,
        pairs: Pairs,
        algorithm: str,
        owners: pa.ChunkedArray,
        values: pa.ChunkedArray,
        *,
        kind: str,
        reach: int,
    ) -> list[MatchRow]:
        """Match rows of chosen pairs: only what goes on is ever made into rows."""
        if not len(pairs.place):
            return []
        known = self.known.hashes(algorithm, pa.array(np.unique(pairs.media), pa.int64()))
        rows = []
        for place, media, distance, total in zip(*(c.tolist() for c in pairs.columns()), strict=True):
            value = values[place].as_py()
            identity = {_identity(kind): owners[place].as_py(), "place": place, "media_key": media, "kind": kind}
            bits = {"algorithm": algorithm, "distance": distance, "threshold": reach, "low_information": False}
            hashes = {"query_hash": value.hex(), "known_hash": altered.nearest(value, known[media]).hex()}
            rows.append(MatchRow({**identity, **bits, **hashes, "total_hits": total}))
        return rows

    def _places(self, lake: Lake, contents: set[bytes]) -> dict[bytes, Locator]:
        """Where each content can still be read, the first locator in order."""
        if not contents:
            return {}
        media = lake.read("media_files", ["sha256", "locator", "state"])
        wanted = pc.is_in(media["sha256"], value_set=pa.array(sorted(contents), media.schema.field("sha256").type))
        found: dict[bytes, Locator] = {}
        present = media.filter(pc.and_(wanted, pc.equal(media["state"], "present"))).to_pylist()
        for row in sorted(present, key=lambda r: str(r["locator"])):
            if row["sha256"] not in found:
                locator = Locator.parse(row["locator"])
                if locator.path(self.settings.landing_dir).exists():
                    found[row["sha256"]] = locator
        return found


def _parts(lake: Lake, stage: str, keys: Collection[str]) -> list[Part]:
    return [part for commit in lake.named(stage, keys) for part in commit.parts]


def _read(lake: Lake, parts: Iterable[Part], table: str) -> pa.Table:
    return lake.read(table, parts=[p for p in parts if p.table == table])


def _without(table: pa.Table, contents: set[bytes]) -> pa.Table:
    return table.filter(pc.invert(pc.is_in(table["sha256"], pa.array(sorted(contents), pa.binary(32)))))


def _identity(kind: str) -> str:
    """Column that names the query: a content, or a media file whose content was not sent."""
    return "file_id" if kind == "claimed" else "sha256"


def _queries(digests: dict[str, pa.ChunkedArray]) -> pa.Table:
    """Digest columns as one table of queries: query_id (position), algorithm, value; nulls left out."""
    pieces = []
    for algorithm in DIGESTS:
        places = np.flatnonzero(digests[algorithm].is_valid().to_numpy())
        values = digests[algorithm].drop_null().cast(pa.binary())
        names = pa.array([algorithm], pa.string()).take(pa.array(np.zeros(len(places), np.int64)))
        pieces.append(pa.table({"query_id": pa.array(places, pa.int64()), "algorithm": names, "value": values}))
    return pa.concat_tables(pieces)


def _facts(prints: pa.Table, contents: set[bytes]) -> dict[bytes, tuple[int | None, bool, bool | None]]:
    """PDQ quality of some contents, whether they have too little detail, and whether they are mostly text or a template."""
    few = prints.filter(pc.is_in(prints["sha256"], pa.array(sorted(contents), pa.binary(32))))
    columns = [few[name].to_pylist() for name in ("sha256", "pdq_quality", "low_information", "mostly_flat")]
    return {content: (quality, low, flat) for content, quality, low, flat in zip(*columns, strict=True)}
