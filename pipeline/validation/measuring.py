"""One edited file against some known hashes, as a night would judge it, by plain comparison instead of the matching core.

Comparing every query with every known hash is slow, obvious, and needs no index: it is the twin that the core's own joins are held
against (`exactness`), and what is measured here is the method, not the core.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import imagehash
import numpy as np
import pdqhash
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from pipeline import records
from pipeline.fingerprint.hashes import packed, picture
from pipeline.matching import altered, levels
from pipeline.matching.altered import Codes


@dataclass(frozen=True)
class KnownSet:
    """Known pictures as other tools hash them, at full decode: PDQ and pHash 256, uint8 (n, 32) each, and PDQ quality (n,)."""

    pdq: Codes
    phash: Codes
    quality: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pdq)


@dataclass(frozen=True)
class ValidationRules:
    """policy/fingerprint.yaml and policy/matching.yaml, read."""

    fingerprint: dict[str, Any]
    matching: dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """A match: which known picture (its place), the level, kind, bits, and the variant ("" for the plain picture)."""

    place: int
    level: str
    kind: str
    distance: int
    variant: str = ""


@dataclass(frozen=True)
class AskedCopies:
    """What came of one file: its matches, the nearest known picture (n,) by any query, queries by radius."""

    found: list[Finding]
    nearest: NDArray[np.int64]
    queries: dict[int, int]


def reference(pictures: Sequence[Image.Image]) -> KnownSet:
    """Hashes of upright RGB pictures by pdqhash and imagehash."""
    hashed = [pdqhash.compute(np.asarray(p)) for p in pictures]
    codes = [np.packbits(code) for code, _ in hashed]
    phashes = [np.packbits(imagehash.phash(p, 16).hash) for p in pictures]
    quality = np.array([measure for _, measure in hashed], np.int64)
    return KnownSet(np.array(codes, np.uint8).reshape(-1, 32), np.array(phashes, np.uint8).reshape(-1, 32), quality)


def bits(codes: Codes, others: Codes) -> NDArray[np.int64]:
    """Distances (n, m) of two sets of hashes, by plain comparison."""
    left, right = np.ascontiguousarray(codes).view(np.uint64), np.ascontiguousarray(others).view(np.uint64)
    apart: NDArray[np.int64] = np.bitwise_count(left[:, None, :] ^ right[None, :, :]).sum(axis=2).astype(np.int64)
    return apart


def ask(data: bytes, known: KnownSet, rules: ValidationRules) -> AskedCopies:
    """Judge one picture file by the policies, as the night would."""
    with Image.open(io.BytesIO(data)) as image:
        hashes = picture.hash_picture(image, rules.fingerprint, variants=True)
    plain, found = _plain(hashes, known, rules)
    nearest = plain.copy()
    usable = altered.queries(table(hashes.variants), _print(hashes), rules.matching["variants"]["quality"])
    best: dict[int, tuple[int, str]] = {}
    counts: dict[int, int] = {}
    for one in altered.asked(usable, rules.matching["variants"]["families"]):
        apart = bits(one.codes, known.pdq)
        nearest = np.minimum(nearest, apart.min(axis=0))
        counts[one.radius] = counts.get(one.radius, 0) + len(one.rows)
        for place in np.flatnonzero(apart.min(axis=0) <= one.radius):
            row = int(apart[:, place].argmin())
            candidate = int(apart[row, place]), one.name(row, usable["variant"])
            best[int(place)] = min(best.get(int(place), (256, "")), candidate)
    if not found:
        found = _altered(data, plain, best, known, rules)
    return AskedCopies(found, nearest, counts)


def _plain(
    hashes: picture.PictureHashes, known: KnownSet, rules: ValidationRules
) -> tuple[NDArray[np.int64], list[Finding]]:
    apart = bits(np.frombuffer(hashes.pdq, np.uint8).reshape(1, 32), known.pdq)[0]
    phash = bits(np.frombuffer(hashes.phash256, np.uint8).reshape(1, 32), known.phash)[0]
    limits = rules.matching["algorithms"]
    near = (apart <= limits["pdq"]["radius"]) | (phash <= limits["phash256"]["radius"])
    found = [Finding(int(k), levels.NEAR, "near", int(min(apart[k], phash[k]))) for k in np.flatnonzero(near)]
    return apart, found


def _altered(
    data: bytes, plain: NDArray[np.int64], best: dict[int, tuple[int, str]], known: KnownSet, rules: ValidationRules
) -> list[Finding]:
    """Matches of variants; where there is none, what refinement makes of the nearest candidates."""
    close = rules.matching["variants"]["radius"]
    hits = [(place, "variant", *b) for place, b in best.items() if b[0] <= close]
    if not hits and best:
        chosen = sorted(best, key=lambda place: (best[place], place))[: rules.matching["refinement"]["candidates"]]
        with Image.open(io.BytesIO(data)) as image:
            refined = picture.refine_many(image, [known.pdq[k].tobytes() for k in chosen], rules.fingerprint)
        hits = [
            (k, "refined", least, best[k][1])
            for k, r in zip(chosen, refined, strict=True)
            for least in [min(r.distance, best[k][0])]
            if altered.confirmed(best[k][1], least, r.weighed, rules.matching) is not None
        ]
    return [Finding(k, levels.of(kind, d, int(plain[k]), rules.matching), kind, d, name) for k, kind, d, name in hits]


_CONTENT = bytes(32)


def table(variants: Sequence[tuple[str, bytes, int]]) -> pa.Table:
    """Variants (name, PDQ, quality) of one file as rows of the lake's table."""
    rows = [{"sha256": _CONTENT, "variant": n, "pdq": c, "quality": q, "algorithm_version": ""} for n, c, q in variants]
    return records.build("variants", rows)


def _print(hashes: picture.PictureHashes) -> pa.Table:
    schema = records.arrow_schema("fingerprints")
    columns = {"sha256": [_CONTENT], "pdq": [hashes.pdq], "pdq_quality": [hashes.pdq_quality]}
    return pa.table({name: pa.array(values, schema.field(name).type) for name, values in columns.items()})


def distinct(pictures: Sequence[Image.Image], known: KnownSet, within: int) -> list[int]:
    """Places of pictures that are no flip or near copy of an earlier one: `within` bits in any flip count as the same."""
    kept: list[int] = []
    for place in range(len(pictures)):
        flips = np.concatenate([packed.flipped_codes(known.pdq[place : place + 1], flip) for flip in packed.FLIPS])
        if not kept or bits(flips, known.pdq[kept]).min() >= within:
            kept.append(place)
    return kept
