"""Distances of many groups of queries to edited photographs' own known hashes: what bench/recall_choose.py chooses from."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from bench.recall import photographs
from pipeline import policy
from pipeline.fingerprint.hashes import packed, picture
from pipeline.matching import altered
from pipeline.settings import Settings
from pipeline.validation import composed, edits, measuring
from pipeline.validation import run as runs
from pipeline.validation.composed import Composed

NEAR, WIDEST = 31, 47
"""Bits within which a query finds by itself, and within which it is a candidate for refinement."""

Bytes = NDArray[np.uint8]

CANDIDATES: dict[str, Any] = {
    "padded_all_sides": [1.5, 2.5, 3.25, 4, 4.75, 5.5, 6.25, 7, 8.5, 10, 11.5, 13, 15],
    "padded_one_side": [2.5, 5.5, 8.5, 11.5, 14.5, 17.5, 21, 25, 30, 36],
    "padded_corner": [2.5, 3.75, 5, 6.25, 7.5, 8.5, 9.5, 10.5, 11.5, 13.5, 15.5, 17.5, 20, 22.5, 25],
    "padded_across": [3.5, 8, 13],
    "turned": [
        [1.5, 0], [3, 0], [4.5, 0], [6, 0], [2.5, 2.5], [3.5, 4], [4.5, 5], [6, 6.5], [8, 0], [10, 0], [12.5, 0], [15, 0],
        [8, 7.5], [3, 5.5],
    ],
    "shapes": {
        "sides": [[16, 9], [3, 2], [4, 3], [5, 4], [1, 1], [4, 5], [3, 4], [2, 3], [9, 16]], "least": 0.03, "most": 1.1,
        "cut": [], "fits": 0.015, "made": [],
    },
    "inside": {
        "frames": 4, "parts": 3, "smallest": 0.3, "all_sides": [2.5, 4, 5.5, 7, 9, -2.5], "one_side": [5.5, 8, 11],
        "corner": [5.5, 8, 11],
        "of_parts": {"all_sides": [2.5, 4, 5.5, 7, 9, -2.5], "one_side": [5.5, 8, 11], "corner": [5.5, 8, 11]},
    },
    "uncovered": {
        "bars": 6, "least": 0.06, "most": 0.4,
        "plain": {"tolerance": 12, "seam": 0.006, "inside": 0.9, "beyond": 0.6},
    },
    "narrowed": [4, 6, 8, 10],
    "discs": {
        "places": [[50, 50], [38, 50], [62, 50], [50, 38], [50, 62], [40, 40], [60, 40], [40, 60], [60, 60]],
        "reaches": [14, 17, 20, 23],
    },
}  # fmt: skip
"""Frames tried beyond those of policy/fingerprint.yaml."""


def group(name: str) -> str:
    """What a policy can name of a variant's name: sides, ways and measured places left out."""
    name = re.sub(r"(left|top|right|bottom) and (left|top|right|bottom)(?= [\d.])", "corner", name)
    name = re.sub(r"\b(left|top|right|bottom)(?= [\d.]+ %)", "side", name)
    name = re.sub(r"(clockwise|anticlockwise)", "way", name)
    if name.startswith("inside"):
        kind = "part" if name.startswith("inside part") else "border"
        return f"inside {kind}, {name.split(', ')[-1]}"
    if name.startswith(("part", "shaped", "patched", "uncovered", "cell", "flattened")):
        return re.split(r" \d|, padded| area| the", name)[0] if not name.startswith("cell") else _cell(name)
    return name


def _cell(name: str) -> str:
    across, down = re.findall(r"of (\d)", name)
    return f"cell of {across} by {down}{', less' if 'less' in name else ''}"


@dataclass
class Collected:
    """Files by groups: nearest (bits) to the own known hash and queries, uint8 and uint16 (files, groups); and per file the edit,
    the picture's place, the plain distance and the refined one (bits)."""

    groups: list[str]
    nearest: NDArray[np.uint8]
    queries: NDArray[np.uint16]
    edit: NDArray[np.str_]
    place: NDArray[np.int64]
    plain: NDArray[np.int64]
    refined: NDArray[np.int64]


def _between() -> dict[str, Composed]:
    """Edits between those of the bench, so that what is chosen fits no percentage in particular."""

    def plain(edit: edits.Edit) -> Composed:
        return lambda picture, random, _: edit(picture, random)

    crops = {
        f"crop {percent} % {where}": plain(partial(edits._crop, where=where, percent=percent))
        for where in ("centre", "side", "corner")
        for percent in (3.5, 7.5, 12.5)
    }
    borders = {
        f"{kind} border {percent} %": plain(partial(edits._border, kind=kind, percent=percent))
        for kind, percent in (("black", 7), ("blurred", 15), ("white", 25))
    }
    steps = {
        "mirrored, crop 7.5 % centre": (composed.mirror, composed.centre(7.5)),
        "mirrored, crop 7.5 % corner": (composed.mirror, composed.corner(7.5)),
        "mirrored, turned 5 degrees": (composed.mirror, composed.turn(5)),
        "rotated 90, crop 8 % centre": (composed.quarter, composed.centre(8)),
        "crop 7 % centre, white border 7 %": (composed.centre(7), composed.border("white", 7)),
        "crop 7 % corner, black border 14 %": (composed.corner(7), composed.border("black", 14)),
        "turned 7 degrees": (composed.turn(7),),
        "turned 12 degrees": (composed.turn(12),),
    }
    return {
        **crops,
        **borders,
        **{name: partial(composed.combined, steps=chosen) for name, chosen in steps.items()},
        "turned 5 degrees, corners cut": plain(partial(edits._turn, degrees=5, inside=True)),
        "keystone 8 %": partial(composed.keystone, percent=8),
        "emoji 35 %": partial(composed.emoji, percent=35),
        "caption bar added 17 %": partial(composed.caption_added, percent=17),
        "caption bar over 20 %": partial(composed.caption_over, percent=20),
    }


BETWEEN = _between()


def chosen_edits() -> list[str]:
    """The edits of the bench that a plain hash does not find."""
    easy = [
        n for n, (kind, _) in edits.EDITS.items() if kind in ("colour", "flip") and n not in ("logo", "watermark text")
    ]
    return [name for name in runs.names() if name not in easy]


def edited(name: str, pictures: list[Image.Image], place: int) -> bytes:
    """The file of a picture under an edit, with other random choices than those of the bench."""
    random = np.random.default_rng([place, len(name), 77])
    if name in edits.EDITS:
        return edits.EDITS[name][1](pictures[place], random)
    edit = BETWEEN[name] if name in BETWEEN else composed.EDITS[name][1]
    return edit(pictures[place], random, runs._companions(pictures, place))


FLIPS = {"mirrored": "mirrored", "rotated 90": "rotated", "rotated 270": "rotated"}
"""Flips that are made from the hashes, and what their groups are called; the edits have no others."""


def asked(hashes: picture.PictureHashes, least: int) -> tuple[list[str], Bytes]:
    """Every query of a file: its group, and hashes (n, 32). The flips of whole borders are the worker's own."""
    usable = altered.queries(measuring.table(hashes.variants), measuring._print(hashes), least)
    codes = altered.matrix(usable["pdq"])
    names = usable["variant"].to_pylist()
    labels = [group(name) for name in names]
    plain = np.array([not name.startswith(("border", "trimmed", "colours", *packed.FLIPS[1:])) for name in names])
    chosen = [label for label, one in zip(labels, plain, strict=True) if one]
    pieces = [codes]
    for flip, called in FLIPS.items():
        pieces.append(packed.flipped_codes(codes[plain], flip))
        labels = [*labels, *(f"{label} | {called}" for label in chosen)]
    return labels, np.concatenate(pieces)


def collect(target: Path, corpora: Path, names: list[str], every: int, first: int) -> None:
    """Write distances of all groups for each `every`-th photograph, from the `first` on."""
    found = policy.load(Settings(), "fingerprint").data
    rules = {**found, "variants": {**found["variants"], **CANDIDATES}}
    least = policy.load(Settings(), "matching").data["variants"]["quality"]
    pictures = photographs(corpora)
    known = measuring.reference(pictures)
    rows: list[dict[str, tuple[int, int]]] = []
    facts: list[tuple[str, int, int, int]] = []
    tasks = [(name, place) for place in range(first, len(pictures), every) for name in names]
    for name, place in track(tasks, "collecting"):
        data = edited(name, pictures, place)
        with Image.open(io.BytesIO(data)) as image:
            hashes = picture.hash_picture(image, rules, variants=True)
        plain = int(
            measuring.bits(np.frombuffer(hashes.pdq, np.uint8).reshape(1, 32), known.pdq[place : place + 1])[0, 0]
        )
        phash = int(
            measuring.bits(np.frombuffer(hashes.phash256, np.uint8).reshape(1, 32), known.phash[place : place + 1])[
                0, 0
            ]
        )
        labels, codes = asked(hashes, least)
        apart = measuring.bits(codes, known.pdq[place : place + 1])[:, 0]
        row: dict[str, tuple[int, int]] = {}
        for label, distance in zip(labels, apart.tolist(), strict=True):
            near, count = row.get(label, (255, 0))
            row[label] = min(near, distance), count + 1
        refined = 256
        if min(plain, phash) > NEAR and 31 < apart.min() <= WIDEST:
            with Image.open(io.BytesIO(data)) as image:
                refined = picture.refine_many(image, [known.pdq[place].tobytes()], found)[0].distance
        rows.append(row)
        facts.append((name, place, min(plain, phash), refined))
    _write(target, rows, facts)


def _write(target: Path, rows: list[dict[str, tuple[int, int]]], facts: list[tuple[str, int, int, int]]) -> None:
    groups = sorted({label for row in rows for label in row})
    table = np.array([[row.get(label, (255, 0)) for label in groups] for row in rows], np.uint16)
    edit, place, plain, refined = zip(*facts, strict=True)
    np.savez_compressed(
        target, groups=groups, nearest=table[..., 0].astype(np.uint8), queries=table[..., 1], edit=edit, place=place,
        plain=plain, refined=refined,
    )  # fmt: skip
