"""One edited photograph, asked about as a night would: what bench/recall.py counts.

Three methods on the same file: the plain hashes, the grid of before (the fixed frames that were asked before the families, all at
47 bits, with flips and seen borders), and the families of the policies. All comparisons are plain ones, without the core.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.fingerprint.hashes import families, packed, picture, planes, sampling, variants
from pipeline.matching import altered, levels
from pipeline.validation import measuring
from pipeline.validation import run as runs

Codes = NDArray[np.uint8]

WIDE = 47
"""Bits within which the grid of before was asked."""

BEFORE: dict[str, Any] = {
    "padded_all_sides": [1.5, 2.5, 4, 5.5, 7, 8.5, 10, 11.5, 13],
    "padded_one_side": [2.5, 5, 7.5, 10, 12.5, 15, 17.5, 20, 22.5, 25],
    "padded_corner": [2.5, 5, 7.5, 9.5, 11.5, 13.5, 15.5, 17.5, 20, 22.5, 25],
    "padded_uneven": [[3, 7], [5, 10]],
    "padded_across": [3.5, 8],
    "cropped_all_sides": [2, 4, 6.5, 9, 11.5, 13.5, 15, 17, 19],
    "turned": [[1.5, 0], [3, 0], [4.5, 0], [6, 0], [2.5, 2.5], [3.5, 4], [4.5, 5], [6, 6.5]],
}
"""The grid before there were families, as policy/fingerprint.yaml had it."""


PROBED = (
    "JPEG quality 90",
    "caption bar over 25 %",
    "centre crop to 16:9",
    "centre crop to 9:16",
    "centre crop to 4:5",
)
"""Edits whose nearest other photographs are refined, to see how near a wrong one comes."""


@dataclass
class AskedFile:
    """What came of one edited file of the photograph at `place`. Distances in bits; `refined` only where a candidate was refined."""

    edit: str
    place: int
    plain: int
    phash: int
    before: int
    families: int
    candidate: bool
    refined: int | None
    level: str
    family: str
    variant: str = ""
    """Name of the nearest query within its radius."""
    others: dict[str, int] = field(default_factory=dict)
    """Nearest other photograph: plain PDQ, plain pHash, any variant."""
    queries: dict[str, int] = field(default_factory=dict)
    by_family: dict[str, int] = field(default_factory=dict)
    hash_ms: float = 0.0
    codes: list[tuple[int, str, Codes]] = field(default_factory=list)
    """(radius, family, hashes) of what was asked."""
    plain_codes: tuple[bytes, bytes] = (b"", b"")
    refined_others: list[int] = field(default_factory=list)
    weighed_others: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Levels at which other photographs were taken for known ones."""

    def found(self, limits: dict[str, Any]) -> bool:
        return self.level != ""

    def found_before(self, limits: dict[str, Any]) -> bool:
        """Whether the plain hashes or the grid of before, refined, would have found it."""
        plain = limits["algorithms"]
        if self.plain <= plain["pdq"]["radius"] or self.phash <= plain["phash256"]["radius"]:
            return True
        refined = self.refined if self.refined is not None else 256
        within = self.before <= limits["variants"]["radius"]
        return within or (self.before <= WIDE and min(refined, self.before) <= limits["refinement"]["radius"])


def ask(name: str, place: int, pictures: list[Image.Image], known: measuring.KnownSet, rules: Any) -> AskedFile:
    """One photograph under one edit against all known ones."""
    companions = runs._companions(pictures, place)
    data = runs.edited(name, pictures[place], place, companions)
    others = np.array(sorted(set(range(len(known))) - {place, *companions.places}))
    began = time.process_time()
    with Image.open(io.BytesIO(data)) as image:
        hashes = picture.hash_picture(image, rules.fingerprint, variants=True)
    spent = 1000 * (time.process_time() - began)
    plain = measuring.bits(np.frombuffer(hashes.pdq, np.uint8).reshape(1, 32), known.pdq)[0]
    phash = measuring.bits(np.frombuffer(hashes.phash256, np.uint8).reshape(1, 32), known.phash)[0]
    row = AskedFile(name, place, int(plain[place]), int(phash[place]), 256, 256, False, None, "", "", hash_ms=spent)
    row.plain_codes = hashes.pdq, hashes.phash256
    nearest, candidates = _families(row, hashes, place, known, rules)
    row.others = {
        "plain": int(plain[others].min()),
        "phash": int(phash[others].min()),
        "variant": int(nearest[others].min()),
    }
    row.before = _before(data, hashes, known.pdq[place], rules)
    _judge(row, data, known.pdq[place].tobytes(), rules)
    near = {int(k) for k in others if plain[k] <= rules.matching["algorithms"]["pdq"]["radius"]}
    near |= {int(k) for k in others if phash[k] <= rules.matching["algorithms"]["phash256"]["radius"]}
    row.wrong = [levels.NEAR for _ in near]
    for k in sorted((candidates & set(others.tolist())) - near):
        row.wrong += _wrong(data, int(nearest[k]), int(plain[k]), known.pdq[k].tobytes(), rules)
    if name in PROBED or (place % 4 == 0 and name in ("crop 10 % corner", "turned 4 degrees", "collage 2x2")):
        probes = [known.pdq[k].tobytes() for k in others[np.argsort(nearest[others], kind="stable")[:3]]]
        with Image.open(io.BytesIO(data)) as image:
            found = picture.refine_many(image, probes, rules.fingerprint)
        row.refined_others = [one.distance for one in found]
        row.weighed_others = [one.weighed for one in found if one.weighed < 256]
    return row


def _families(
    row: AskedFile, hashes: picture.PictureHashes, place: int, known: measuring.KnownSet, rules: Any
) -> tuple[NDArray[np.int64], set[int]]:
    """Ask every family; the nearest distance (n,) to each known picture by any query, and the candidates."""
    candidates: set[int] = set()
    policy = rules.matching["variants"]
    usable = altered.queries(measuring.table(hashes.variants), measuring._print(hashes), policy["quality"])
    nearest = np.full(len(known), 256)
    best = 256, "", ""
    for one in altered.asked(usable, policy["families"]):
        apart = measuring.bits(one.codes, known.pdq)
        nearest = np.minimum(nearest, apart.min(axis=0))
        candidates |= set(np.flatnonzero(apart.min(axis=0) <= one.radius).tolist())
        row.queries[str(one.radius)] = row.queries.get(str(one.radius), 0) + len(one.rows)
        names = usable["variant"].take(one.rows).to_pylist()
        family = np.array([_family(text, policy["families"]) for text in names])
        for label in np.unique(family):
            chosen = family == label
            row.by_family[str(label)] = row.by_family.get(str(label), 0) + int(chosen.sum())
            row.codes.append((one.radius, str(label), one.codes[chosen]))
        own = apart[:, place]
        within = np.flatnonzero(own <= one.radius)
        if len(within):
            first = within[own[within].argmin()]
            best = min(best, (int(own[first]), str(family[first]), one.name(int(first), usable["variant"])))
        row.families = min(row.families, int(own.min()))
    if best[0] < 256:
        row.candidate, row.families, row.family, row.variant = True, *best
    return nearest, candidates


def _wrong(data: bytes, distance: int, plain: int, known: bytes, rules: Any) -> list[str]:
    """The level at which a wrong candidate would be reported, or nothing."""
    close, kind, weighed = rules.matching["variants"]["radius"], "variant", 256
    if distance > close:
        kind = "refined"
        with Image.open(io.BytesIO(data)) as image:
            found = picture.refine_many(image, [known], rules.fingerprint)[0]
        distance, weighed = min(distance, found.distance), found.weighed
    limits = rules.matching["refinement"]
    within = (
        distance <= limits["radius"] or weighed <= limits["weighed"]
    )  # whatever family asked: counts too many, not too few
    return [levels.of(kind, distance, plain, rules.matching)] if within else []


def _family(name: str, rules: list[dict[str, Any]]) -> str:
    """What a query's family is called: the first word of its names, the flips of the picture, or its one name."""
    words = rules[altered._family(altered.TIME.sub("", name), rules)]["begins"]
    begins = str(words if isinstance(words, str) else words[0])
    return begins if begins in (altered.PICTURE, altered.INVERTED) else begins.split(" ", maxsplit=1)[0] or "flips"


def _before(data: bytes, hashes: picture.PictureHashes, known: Codes, rules: Any) -> int:
    """The nearest that the grid of before comes to the picture's own known hash."""
    with Image.open(io.BytesIO(data)) as image:
        source = sampling.base(planes.decode(image, rules.fingerprint["canonical"]))
    grid = families.hashed(source, variants.frames(BEFORE)[0])
    borders = [v for v in hashes.variants if v[0].startswith(("border", "trimmed to edges")) or v[0] in packed.FLIPS]
    least = rules.fingerprint["quality"]["low_information_below"]
    codes = [code for _, code, quality in [*grid, *borders] if quality >= least]
    return min((packed.distance(code, known.tobytes()) for code in codes), default=256)


def _judge(row: AskedFile, data: bytes, known: bytes, rules: Any) -> None:
    """Refine where a method has a candidate only; then the level, "" where the file is not found."""
    limits = rules.matching
    plain = limits["algorithms"]
    if row.plain <= plain["pdq"]["radius"] or row.phash <= plain["phash256"]["radius"]:
        row.level = levels.NEAR
        return
    close = limits["variants"]["radius"]
    wanted = (row.candidate and row.families > close) or close < row.before <= WIDE
    weighed = 256
    if wanted:
        with Image.open(io.BytesIO(data)) as image:
            found = picture.refine_many(image, [known], rules.fingerprint)[0]
        row.refined, weighed = found.distance, found.weighed
    if not row.candidate:
        return
    distance = row.families if row.families <= close or row.refined is None else min(row.refined, row.families)
    if altered.confirmed(row.variant, distance, weighed, limits) is not None:
        row.level = levels.of("variant" if row.families <= close else "refined", distance, row.plain, limits)
