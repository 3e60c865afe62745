"""Query variants: PDQ of a picture as it would look uncropped, unframed, unflipped, unturned, from one decoded plane.

A copy that somebody cropped, framed, mirrored or turned lies far from the known hash. Each variant guesses one such
change back: padding guesses what a crop took away, a small crop removes a border, trimming removes one that is seen.
The grid is policy (`variants` in policy/fingerprint.yaml), and the name of a variant says what it guesses.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from pipeline.fingerprint.hashes import families, packed, sampling, trimming
from pipeline.fingerprint.hashes.families import SIDES, HashedVariant, NamedFrame
from pipeline.fingerprint.hashes.planes import Plane


def frames(policy: dict[str, Any]) -> tuple[tuple[NamedFrame, ...], sampling.Geometry]:
    """The fixed grid of the policy's `variants`: names with geometries, and the geometries as an array (n, 5)."""
    return _frames(json.dumps(policy, sort_keys=True))


@lru_cache(maxsize=4)
def _frames(text: str) -> tuple[tuple[NamedFrame, ...], sampling.Geometry]:
    policy = json.loads(text)
    grid = [*_padded(policy), *_cropped(policy), *_turned(policy)]
    return tuple(grid), np.array([geometry for _, geometry in grid], np.float64).reshape(-1, 5)


def _frame(name: str, percents: Sequence[float], degrees: float = 0.0) -> NamedFrame:
    left, top, right, bottom = percents
    return name, (left / 100, top / 100, right / 100, bottom / 100, degrees)


def _padded(policy: dict[str, Any]) -> list[NamedFrame]:
    grid = [_frame(f"padded all sides {p:g} %", [p] * 4) for p in policy["padded_all_sides"]]
    for place, side in enumerate(SIDES):
        following = (place + 1) % 4
        for percent in policy["padded_one_side"]:
            grid.append(_frame(f"padded {side} {percent:g} %", _on({place: percent})))
        for percent in policy["padded_corner"]:
            name = f"padded {side} and {SIDES[following]} {percent:g} %"
            grid.append(_frame(name, _on({place: percent, following: percent})))
        for one, two in policy["padded_uneven"]:
            for first, second in ((one, two), (two, one)):
                name = f"padded {side} {first:g} %, {SIDES[following]} {second:g} %"
                grid.append(_frame(name, _on({place: first, following: second})))
            opposite = {k: two if k in (place, following) else one for k in range(4)}
            grid.append(_frame(f"padded all sides {one:g} %, {side} and {SIDES[following]} {two:g} %", _on(opposite)))
    for percent in policy["padded_across"]:
        grid.append(_frame(f"padded left and right {percent:g} %", [percent, 0, percent, 0]))
        grid.append(_frame(f"padded top and bottom {percent:g} %", [0, percent, 0, percent]))
    return grid


def _on(percents: dict[int, float]) -> list[float]:
    return [percents.get(place, 0.0) for place in range(4)]


def _cropped(policy: dict[str, Any]) -> list[NamedFrame]:
    return [_frame(f"cropped all sides {p:g} %", [-p] * 4) for p in policy["cropped_all_sides"]]


def _turned(policy: dict[str, Any]) -> list[NamedFrame]:
    grid = []
    for degrees, percent in policy["turned"]:
        for angle in (degrees, -degrees):
            way = "clockwise" if angle > 0 else "anticlockwise"
            padding = f", padded {percent:g} %" if percent else ""
            grid.append(_frame(f"turned {degrees:g} degrees {way}{padding}", [percent] * 4, angle))
    return grid


def trimmed(plane: Plane, policy: dict[str, Any]) -> list[NamedFrame]:
    """Frames without the borders that are seen in this picture."""
    return [
        (name, (-left, -top, -right, -bottom, 0.0))
        for name, (left, top, right, bottom) in trimming.boxes(plane, policy["trimming"])
    ]


def all_variants(
    plane: Plane, policy: dict[str, Any], begins: tuple[str, ...] = families.EVERY
) -> tuple[HashedVariant, ...]:
    """Every variant of one picture: (name, PDQ, quality). The plain picture is not among them. With `begins` those whose names begin
    with one of them, in the same order: the others are not made.

    Flips and turns by 90 degrees of the whole picture and of each trimmed one, then the fixed grid, then the `families`.
    """
    source = sampling.base(plane)
    found = _flips(source, "", np.zeros(5), begins)
    borders = trimmed(plane, policy)
    for name, geometry in borders:
        found += _flips(source, name, np.array(geometry), begins)
    grid, geometries = frames(policy)
    places = [place for place, (name, _) in enumerate(grid) if name.startswith(begins)]
    if places:
        codes, measures = sampling.hash_frames(source.samples, source.edges, geometries[places], source.aspect)
        found += [(grid[place][0], codes[k].tobytes(), int(measures[k])) for k, place in enumerate(places)]
    found += families.all_families(plane, source, borders, policy, begins)
    return tuple(found)


def _flips(
    source: sampling.SampledBase, frame: str, geometry: sampling.Geometry, begins: tuple[str, ...]
) -> list[HashedVariant]:
    """The eight flips and turns of one frame: a flip of a picture only exchanges and negates its coefficients."""
    names = [
        ", ".join(part for part in (frame, flip if code else "") if part) for code, flip in enumerate(packed.FLIPS)
    ]
    asked = [code for code, name in enumerate(names) if name and name.startswith(begins)]
    if not asked:
        return []
    places = np.stack([source.mirrored(geometry, bool(k & 1), bool(k & 2)) for k in range(4)])
    codes, measures = sampling.hash_flips(source.samples, source.edges, places, source.aspect)
    return [(names[code], codes[code].tobytes(), int(measures[code])) for code in asked]
