"""Families of query variants for copies that were put into something else, covered, or seen at an angle.

| family | first word of a variant's name | guesses back |
|---|---|---|
| shapes | `opened` | a centre crop to a usual shape: padded back to another usual shape |
| inside | `inside` | a crop within a border, a screen or a caption: the small grid on each frame found |
| uncovered | `uncovered` | a bar laid over a side: the side is guessed anew from what is left |
| parts | `part` | captions, screens, pairs, collages, insets: boxes between straight edges (`panels`) |
| cells | `cell` | pairs and collages whose seams are not seen: halves, quarters, ninths |
| flattened | `flattened` | a photograph of a screen, a warped picture: four corners found (`perspective`) |
| narrowed | `narrowed` | one side shortened, without ground beside it |
| disc | `disc` | an emoji or a sticker: a disc guessed from what surrounds it |

Boxes are sampled from the base of the whole picture: measured on collages of 2 x 2 and 3 x 3 that is as near to the original
as cropping the pixels (median 12 and 13 bits against 14 and 18).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pipeline.fingerprint.hashes import panels, perspective, sampling, trimming
from pipeline.fingerprint.hashes.planes import Plane
from pipeline.fingerprint.hashes.trimming import Box

Variant = tuple[str, bytes, int]
Frame = tuple[str, tuple[float, float, float, float, float]]
"""Name, and geometry as `sampling.sample` takes it: shares added left, top, right, bottom, and degrees."""

SIDES = ("left", "top", "right", "bottom")


def all_families(
    plane: Plane, source: sampling.SampledBase, trimmed: Sequence[Frame], policy: dict[str, Any]
) -> list[Variant]:
    """Every variant (name, PDQ, quality) of these families, and of the fixed grid's none.

    `trimmed` are the frames without seen borders, as `variants.trimmed` gives them; `policy` is `variants` of the policy.
    """
    luma = trimming.small(plane)
    borders: list[Box] = [(-g[0], -g[1], -g[2], -g[3]) for _, g in trimmed]
    parts = panels.boxes(luma, policy["panels"], borders)
    of_whole = [
        *_shapes(source.aspect, policy["shapes"]),
        *(_boxed(_place(box), box) for box in parts),
        *_cells(policy["cells"]),
    ]
    found = hashed(source, of_whole)
    for (name, _), box in list(zip(trimmed, borders, strict=True))[: policy["inside"]["frames"]]:
        found += hashed(sampling.part(source, box), _inside(name, policy["inside"]))
    for frame, box in _uncovered([*borders, *parts], policy["uncovered"]):
        found += hashed(sampling.part(source, box), [frame])
    return found + _at_an_angle(luma, source, policy) + _uncovered_discs(source, policy["discs"])


def hashed(source: sampling.SampledBase, frames: Sequence[Frame]) -> list[Variant]:
    """The variants that some frames of one base make."""
    if not frames:
        return []
    codes, measures = sampling.hash_frames(source.samples, source.edges, _geometries(frames), source.aspect)
    return [(name, codes[k].tobytes(), int(measures[k])) for k, (name, _) in enumerate(frames)]


def _all_sides(name: str, percent: float) -> Frame:
    share = percent / 100
    return f"{name}, padded {percent:g} %" if percent else name, (share, share, share, share, 0.0)


def _boxed(name: str, box: Box) -> Frame:
    return name, (-box[0], -box[1], -box[2], -box[3], 0.0)


def _place(box: Box) -> str:
    left, top, right, bottom = box
    return f"part {100 * left:.0f}-{100 * (1 - right):.0f} % across, {100 * top:.0f}-{100 * (1 - bottom):.0f} % down"


def _shapes(aspect: float, policy: dict[str, Any]) -> list[Frame]:
    """Padding across or down to the usual shapes of a photograph, as if the middle had been cut out of it."""
    found: list[Frame] = []
    for wide, high in policy["sides"]:
        factor = wide / high / aspect
        more = (max(factor, 1 / factor) - 1) / 2
        if policy["least"] <= more <= policy["most"]:
            across, down = (more, 0.0) if factor > 1 else (0.0, more)
            found.append((f"opened to {wide}.{high}", (across, down, across, down, 0.0)))
    return found


def _inside(frame: str, policy: dict[str, Any]) -> list[Frame]:
    """The small grid within a frame: padded on all sides, one side, two neighbouring sides; cropped."""
    found = [_all_sides(f"inside {frame}", percent) for percent in policy["all_sides"]]
    for place, side in enumerate(SIDES):
        following = (place + 1) % 4
        for percent in policy["one_side"]:
            found.append((f"inside {frame}, padded {side} {percent:g} %", _one_side(place, percent / 100)))
        for percent in policy["corner"]:
            name = f"inside {frame}, padded {side} and {SIDES[following]} {percent:g} %"
            found.append((name, (*_of_four(place, percent / 100, following=True), 0.0)))
    return found


def _uncovered(boxes: Sequence[Box], policy: dict[str, Any]) -> Iterator[tuple[Frame, Box]]:
    """Each single side on which a bar was found, guessed anew from the rest of the picture: frame of the rest, and the rest."""
    asked: set[tuple[int, int]] = set()
    for box in boxes:
        for place, share in enumerate(box):
            percent = round(100 * share)
            known = any((place, percent + k) in asked for k in (-1, 0, 1))
            if known or not policy["least"] <= share <= policy["most"] or len(asked) >= policy["bars"]:
                continue
            asked.add((place, percent))
            name = f"uncovered at the {SIDES[place]} {percent} %"
            yield (name, _one_side(place, share / (1 - share))), _of_four(place, share)


def _one_side(place: int, share: float) -> tuple[float, float, float, float, float]:
    return (*_of_four(place, share), 0.0)


def _of_four(place: int, share: float, following: bool = False) -> Box:
    """`share` at one of the four sides, and at the one that follows it if asked; nothing at the others."""
    chosen = {place, (place + 1) % 4} if following else {place}
    left, top, right, bottom = (share if k in chosen else 0.0 for k in range(4))
    return left, top, right, bottom


def _cells(policy: Sequence[dict[str, Any]]) -> Iterator[Frame]:
    """Cells of plain grids, as they are and a little smaller (for the gutters between them)."""
    for grid in policy:
        across, down = grid["across"], grid["down"]
        for cell in range(across * down):
            column, row = cell % across, cell // across
            for percent in grid["cropped"]:
                gap_x, gap_y = percent / 100 / across, percent / 100 / down
                box = (
                    column / across + gap_x * (column > 0),
                    row / down + gap_y * (row > 0),
                    1 - (column + 1) / across + gap_x * (column + 1 < across),
                    1 - (row + 1) / down + gap_y * (row + 1 < down),
                )
                name = f"cell {column + 1} of {across} across, {row + 1} of {down} down"
                yield _boxed(f"{name}, less {percent:g} %" if percent else name, box)


def _quads(luma: Any, policy: dict[str, Any]) -> list[tuple[str, perspective.Quad]]:
    """The areas whose four corners were found, and the whole with one side shortened."""
    found: list[tuple[str, perspective.Quad]] = []
    for name, quad in perspective.quads(luma, policy["corners"]):
        for percent in policy["corners"]["padded"]:
            label = f"flattened {name}, padded {percent:g} %" if percent else f"flattened {name}"
            found.append((label, perspective.padded(quad, percent / 100)))
    for side in SIDES:
        for percent in policy["narrowed"]:
            found.append((f"narrowed at the {side} {percent:g} %", perspective.narrowed(side, percent / 100)))
    return found


def _at_an_angle(luma: Any, source: sampling.SampledBase, policy: dict[str, Any]) -> list[Variant]:
    quads = _quads(luma, policy)
    if not quads:
        return []
    codes, measures = sampling.hash_quads(source.samples, np.array([perspective.matrix(quad) for _, quad in quads]))
    return [(name, codes[k].tobytes(), int(measures[k])) for k, (name, _) in enumerate(quads)]


def _discs(policy: dict[str, Any]) -> list[tuple[str, tuple[float, float, float]]]:
    """Names, and discs as `sampling.hash_covered` takes them."""
    return [
        (f"disc at {x:g} % across, {y:g} % down, {2 * reach:g} % wide", (x / 100, y / 100, reach / 100))
        for x, y in policy["places"]
        for reach in policy["reaches"]
    ]


def _uncovered_discs(source: sampling.SampledBase, policy: dict[str, Any]) -> list[Variant]:
    discs = _discs(policy)
    if not discs:
        return []
    shares = np.array([disc for _, disc in discs])
    codes, measures = sampling.hash_covered(source.samples, source.edges, shares, source.aspect)
    return [(name, codes[k].tobytes(), int(measures[k])) for k, (name, _) in enumerate(discs)]


def bases(
    plane: Plane, source: sampling.SampledBase, trimmed: Sequence[Frame], policy: dict[str, Any]
) -> list[tuple[str, sampling.SampledBase, sampling.Geometry]]:
    """Where a refinement may start: what was done to the picture first (nothing: ""), its base, frames (n, 5) in it."""
    luma = trimming.small(plane)
    borders: list[Box] = [(-g[0], -g[1], -g[2], -g[3]) for _, g in trimmed]
    parts = panels.boxes(luma, policy["panels"], borders)
    whole = [*_shapes(source.aspect, policy["shapes"]), *(_boxed("", b) for b in parts), *_cells(policy["cells"])]
    found = [("", source, _geometries(whole))]
    for (name, _), box in list(zip(trimmed, borders, strict=True))[: policy["inside"]["frames"]]:
        found.append((f"inside {name}", sampling.part(source, box), _geometries(_inside(name, policy["inside"]))))
    for frame, box in _uncovered([*borders, *parts], policy["uncovered"]):
        found.append((frame[0], sampling.part(source, box), _geometries([frame])))
    still = np.zeros((1, 5))
    for name, quad in _quads(luma, policy):
        found.append((name, sampling.projected(source, perspective.matrix(quad)), still))
    for name, disc in _discs(policy["discs"]):
        found.append((name, sampling.covered(source, np.array(disc)), still))
    return found


def _geometries(frames: Sequence[Frame]) -> sampling.Geometry:
    return np.array([geometry for _, geometry in frames], np.float64).reshape(-1, 5)
