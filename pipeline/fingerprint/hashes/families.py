"""Families of query variants for copies that were put into something else, covered, or seen at an angle.

| family | first word of a variant's name | guesses back |
|---|---|---|
| shapes | `opened` | a centre crop to a usual shape: padded back to another usual shape; `opened from` where the file has exactly a shape that people crop to and no size that cameras make |
| inside | `inside` | a crop within a border, a screen or a caption: the small grid on each frame found |
| uncovered | `uncovered` | a bar laid over a side: the side is guessed anew from what is left; `uncovered plain bar` where it has one ground up to its seam |
| patched | `patched` | another picture laid over it: its box is guessed from what surrounds it |
| parts | `part` | captions, screens, pairs, collages, insets: boxes between straight edges (`panels`) |
| cells | `cell` | pairs and collages whose seams are not seen: halves, quarters, ninths |
| shaped | `shaped` | a picture of a usual shape between bars of which one seam is seen, or none, and at the picture's ends |
| beside | `beside` | what lies on either side of one seam: a caption, or a second picture, taken off at one end only |
| flattened | `flattened` | a photograph of a screen, a warped picture: four corners found (`perspective`) |
| narrowed | `narrowed` | one side shortened, without ground beside it |
| disc | `disc` | an emoji or a sticker: a disc guessed from what surrounds it |

Boxes are sampled from the base of the whole picture: measured on collages of 2 x 2 and 3 x 3 that is as near to the original
as cropping the pixels (median 12 and 13 bits against 14 and 18).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.fingerprint.hashes import covering, panels, perspective, sampling, trimming
from pipeline.fingerprint.hashes.planes import Plane
from pipeline.fingerprint.hashes.trimming import Box

Thing = TypeVar("Thing")
HashedVariant = tuple[str, bytes, int]
NamedFrame = tuple[str, tuple[float, float, float, float, float]]
"""Name, and geometry as `sampling.sample` takes it: shares added left, top, right, bottom, and degrees."""

WHOLE = ("bright area", "area inside the ground", "edges")
"""Quads that are asked in every padding; of the others there are several, asked in the first two."""

SIDES = ("left", "top", "right", "bottom")

GUESSED = ("opened from", "uncovered plain bar")
"""How names begin whose frame is exact and of which a large part is guessed: a refinement weighs their bits (`refine.weighed`)."""


EVERY = ("",)
"""How names begin of which none is left out."""


def all_families(
    plane: Plane,
    source: sampling.SampledBase,
    trimmed: Sequence[NamedFrame],
    policy: dict[str, Any],
    begins: tuple[str, ...] = EVERY,
) -> list[HashedVariant]:
    """Every variant (name, PDQ, quality) of these families, and of the fixed grid's none; of them those whose names begin with one
    of `begins`: the others are not made.

    `trimmed` are the frames without seen borders, as `variants.trimmed` gives them; `policy` is `variants` of the policy.
    """
    found_in = _look(plane, source, trimmed, policy, begins)
    found = hashed(source, wanted(found_in.of_whole, begins))
    for name, box in found_in.framed:
        if grid := wanted(_inside(name, policy["inside"]), begins):
            found += hashed(sampling.part(source, box), grid)
    for frame, box in found_in.uncovered:
        if frame[0].startswith(begins):
            found += hashed(sampling.part(source, box), [frame])
    return found + _at_an_angle(wanted(found_in.quads, begins), source) + _without(found_in, source, begins)


def wanted(named: Sequence[tuple[str, Thing]], begins: tuple[str, ...]) -> list[tuple[str, Thing]]:
    """Those whose names begin with one of `begins`."""
    return [one for one in named if one[0].startswith(begins)]


@dataclass(frozen=True)
class FoundFrames:
    """What the detectors found in one picture: frames of the whole, boxes to look into, uncovered sides, quads, covers."""

    of_whole: list[NamedFrame]
    framed: list[tuple[str, Box]]
    uncovered: list[tuple[NamedFrame, Box]]
    quads: list[tuple[str, perspective.Quad]]
    patches: list[tuple[str, Box]]
    discs: list[tuple[str, tuple[float, float, float]]]


def _look(
    plane: Plane,
    source: sampling.SampledBase,
    trimmed: Sequence[NamedFrame],
    policy: dict[str, Any],
    begins: tuple[str, ...] = EVERY,
) -> FoundFrames:
    """`begins` spares the search for boxes whose names cannot begin so; what else is found is found all the same."""
    luma = trimming.small(plane)
    borders: list[Box] = [(-g[0], -g[1], -g[2], -g[3]) for _, g in trimmed]
    parts = panels.boxes(luma, policy["panels"], borders)
    shaped: Sequence[Box] = []
    beside: Sequence[Box] = []
    if any(one.startswith(word) or word.startswith(one) for one in begins for word in ("shaped ", "beside ")):
        shaped = panels.shaped(luma, source.aspect, {**policy["panels"], **policy["shaped"]}, [*borders, *parts])
        beside = panels.beside(luma, policy["panels"], borders, [*borders, *parts, *shaped])
    of_whole = [
        *_shapes(source.aspect, (plane.width, plane.height), policy["shapes"]),
        *_placed("part", parts),
        *_placed("shaped", shaped),
        *_placed("beside", beside),
        *_cells(policy["cells"]),
    ]
    return FoundFrames(
        of_whole,
        list(_framed(trimmed, borders, parts, policy["inside"])),
        list(_uncovered([*borders, *parts], policy["uncovered"], luma)),
        _quads(luma, policy),
        list(_patches(parts, policy["patched"])),
        _discs(policy["discs"]),
    )


def _framed(
    trimmed: Sequence[NamedFrame], borders: Sequence[Box], parts: Sequence[Box], policy: dict[str, Any]
) -> Iterator[tuple[str, Box]]:
    """The frames that the small grid is tried in: borders with all their bars first, and parts that span the picture one way."""
    named = [(name, box) for (name, _), box in zip(trimmed, borders, strict=True)]
    yield from sorted(named, key=lambda one: one[0].endswith(trimming.BARS))[: policy["frames"]]
    spanning = [b for b in parts if (max(b[0], b[2]) == 0 or max(b[1], b[3]) == 0) and _size(b) >= policy["smallest"]]
    for box in spanning[: policy["parts"]]:
        yield f"part {_place(box)}", box


def _patches(parts: Sequence[Box], policy: dict[str, Any]) -> Iterator[tuple[str, Box]]:
    """Boxes that may be a picture laid over this one: they leave room beside them both across and down."""
    taken: list[Box] = []
    for box in parts:
        beside = min(max(box[0], box[2]), max(box[1], box[3]))
        apart = all(max(abs(a - b) for a, b in zip(box, other, strict=True)) > policy["apart"] for other in taken)
        if beside > 0 and policy["least"] <= _size(box) <= policy["most"] and apart and len(taken) < policy["boxes"]:
            taken.append(box)
            yield f"patched {_place(box)}", box


def _size(box: Box) -> float:
    return (1 - box[0] - box[2]) * (1 - box[1] - box[3])


def hashed(source: sampling.SampledBase, frames: Sequence[NamedFrame]) -> list[HashedVariant]:
    """The variants that some frames of one base make."""
    if not frames:
        return []
    codes, measures = sampling.hash_frames(source.samples, source.edges, _geometries(frames), source.aspect)
    return [(name, codes[k].tobytes(), int(measures[k])) for k, (name, _) in enumerate(frames)]


def _all_sides(name: str, percent: float) -> NamedFrame:
    share = percent / 100
    return f"{name}, padded {percent:g} %" if percent else name, (share, share, share, share, 0.0)


def _boxed(name: str, box: Box) -> NamedFrame:
    return name, (-box[0], -box[1], -box[2], -box[3], 0.0)


def _placed(begins: str, boxes: Sequence[Box]) -> Iterator[NamedFrame]:
    """Frames of boxes, each with a name of its own: places are said more exactly where two boxes lie within a per cent, and a box that
    is another's to a ten-thousandth is left out."""
    taken: dict[str, Box] = {}
    for box in boxes:
        finer = (f"{begins} {_place(box, digits)}" for digits in range(3))
        name = next((name for name in finer if name not in taken), None)
        if name is not None and not any(_same(box, other) for other in taken.values()):
            taken[name] = box
            yield _boxed(name, box)


def _same(box: Box, other: Box) -> bool:
    return not panels.differs(box, other, 1e-4)


def _place(box: Box, digits: int = 0) -> str:
    left, top, right, bottom = (round(100 * side, digits) for side in (box[0], box[1], 1 - box[2], 1 - box[3]))
    return f"{left:.{digits}f}-{right:.{digits}f} % across, {top:.{digits}f}-{bottom:.{digits}f} % down"


def _shapes(aspect: float, size: tuple[int, int], policy: dict[str, Any]) -> list[NamedFrame]:
    """Padding across or down to the usual shapes of a photograph, as if the middle had been cut out of it.

    A picture of exactly the pixels (width, height) that cameras and screens make is no crop by its shape.
    """
    found: list[NamedFrame] = []
    cuts = [] if list(size) in policy["made"] else policy["cut"]
    apart = {(wide, high): abs(wide / high / aspect - 1) for wide, high in cuts}
    cut = next((shape for shape, by in apart.items() if by <= policy["fits"]), None)
    begins = f"opened from {cut[0]}.{cut[1]} to" if cut else "opened to"
    for wide, high in policy["sides"]:
        factor = wide / high / aspect
        more = (max(factor, 1 / factor) - 1) / 2
        if policy["least"] <= more <= policy["most"]:
            across, down = (more, 0.0) if factor > 1 else (0.0, more)
            found.append((f"{begins} {wide}.{high}", (across, down, across, down, 0.0)))
    return found


def _inside(frame: str, policy: dict[str, Any]) -> list[NamedFrame]:
    """The small grid within a frame: padded on all sides, one side, two neighbouring sides; cropped. A part has its own grid."""
    policy = policy["of_parts"] if frame.startswith("part") else policy
    found = [_all_sides(f"inside {frame}", percent) for percent in policy["all_sides"]]
    for place, side in enumerate(SIDES):
        following = (place + 1) % 4
        for percent in policy["one_side"]:
            found.append((f"inside {frame}, padded {side} {percent:g} %", _one_side(place, percent / 100)))
        for percent in policy["corner"]:
            name = f"inside {frame}, padded {side} and {SIDES[following]} {percent:g} %"
            found.append((name, (*_of_four(place, percent / 100, following=True), 0.0)))
    return found


def _uncovered(boxes: Sequence[Box], policy: dict[str, Any], luma: Any) -> Iterator[tuple[NamedFrame, Box]]:
    """Each single side on which a bar was found, guessed anew from the rest of the picture: frame of the rest, and the rest."""
    asked: dict[tuple[int, int], float] = {}
    for box in boxes:
        for place, share in enumerate(box):
            percent = round(100 * share)
            known = any((place, percent + k) in asked for k in (-1, 0, 1))
            if not known and policy["least"] <= share <= policy["most"] and len(asked) < policy["bars"]:
                asked[place, percent] = share
    plain = _plain_bars(asked, policy["plain"], luma)
    for (place, percent), share in asked.items():
        bar = "plain bar " if (place, percent) in plain else ""
        frame = f"uncovered {bar}at the {SIDES[place]} {percent} %", _one_side(place, share / (1 - share))
        yield frame, _of_four(place, share)


def _plain_bars(asked: dict[tuple[int, int], float], policy: dict[str, Any], luma: Any) -> set[tuple[int, int]]:
    """The deepest bar of one ground on each side, where the opposite side has none: lines of letters end no bar, a frame covers nothing."""
    deepest: dict[int, int] = {}
    for (place, percent), share in asked.items():
        if percent > deepest.get(place, 0) and covering.plain_bar(luma, place, share, policy):
            deepest[place] = percent
    return {(place, percent) for place, percent in deepest.items() if (place + 2) % 4 not in deepest}


def _one_side(place: int, share: float) -> tuple[float, float, float, float, float]:
    return (*_of_four(place, share), 0.0)


def _of_four(place: int, share: float, following: bool = False) -> Box:
    """`share` at one of the four sides, and at the one that follows it if asked; nothing at the others."""
    chosen = {place, (place + 1) % 4} if following else {place}
    left, top, right, bottom = (share if k in chosen else 0.0 for k in range(4))
    return left, top, right, bottom


def _cells(policy: Sequence[dict[str, Any]]) -> Iterator[NamedFrame]:
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
        for percent in policy["corners"]["padded"][: None if name in WHOLE else 2]:
            label = f"flattened {name}, padded {percent:g} %" if percent else f"flattened {name}"
            found.append((label, perspective.padded(quad, percent / 100)))
    for side in SIDES:
        for percent in policy["narrowed"]:
            found.append((f"narrowed at the {side} {percent:g} %", perspective.narrowed(side, percent / 100)))
    return found


def _at_an_angle(quads: Sequence[tuple[str, perspective.Quad]], source: sampling.SampledBase) -> list[HashedVariant]:
    if not quads:
        return []
    matrices = np.array([perspective.matrix(quad) for _, quad in quads])
    return _named(quads, *sampling.hash_quads(source.samples, matrices))


def _named(
    things: Sequence[tuple[str, Any]], codes: NDArray[np.uint8], measures: NDArray[np.int16]
) -> list[HashedVariant]:
    return [(name, codes[k].tobytes(), int(measures[k])) for k, (name, _) in enumerate(things)]


def _discs(policy: dict[str, Any]) -> list[tuple[str, tuple[float, float, float]]]:
    """Names, and discs as `sampling.hash_covered` takes them."""
    return [
        (f"disc at {x:g} % across, {y:g} % down, {2 * reach:g} % wide", (x / 100, y / 100, reach / 100))
        for x, y in policy["places"]
        for reach in policy["reaches"]
    ]


def _without(look: FoundFrames, source: sampling.SampledBase, begins: tuple[str, ...]) -> list[HashedVariant]:
    """The picture without one disc, and without one box, each guessed from its rim."""
    found: list[HashedVariant] = []
    for every, hashing in ((look.discs, covering.hash_discs), (look.patches, covering.hash_boxes)):
        if things := wanted(every, begins):
            places = np.array([place for _, place in things])
            found += _named(things, *hashing(source.samples, source.edges, places, source.aspect))
    return found


@dataclass(frozen=True)
class RefinementBase:
    """Where a refinement may start: what was done to the picture first (nothing: ""), its base, frames (n, 5) in it, and those of
    them (m, 5) of which a large part is guessed."""

    first: str
    source: sampling.SampledBase
    frames: sampling.Geometry
    guessed: sampling.Geometry


def bases(
    plane: Plane, source: sampling.SampledBase, trimmed: Sequence[NamedFrame], policy: dict[str, Any]
) -> list[RefinementBase]:
    """Every base of a refinement, the whole picture first."""
    look = _look(plane, source, trimmed, policy)
    found = [("", source, _geometries(look.of_whole), _guessed(look.of_whole))]
    nothing = _geometries([])
    for name, box in look.framed:
        grid = _geometries(_inside(name, policy["inside"]))
        found.append((f"inside {name}", sampling.part(source, box), grid, nothing))
    for frame, box in look.uncovered:
        found.append((frame[0], sampling.part(source, box), _geometries([frame]), _guessed([frame])))
    still = np.zeros((1, 5))
    for name, quad in look.quads:
        found.append((name, sampling.projected(source, perspective.matrix(quad)), still, nothing))
    for name, disc in look.discs:
        found.append((name, covering.without_disc(source, np.array(disc)), still, nothing))
    for name, box in look.patches:
        found.append((name, covering.without_box(source, np.array(box)), still, nothing))
    return [RefinementBase(*one) for one in found]


def _guessed(frames: Sequence[NamedFrame]) -> sampling.Geometry:
    """The frames whose name says that a large part is guessed."""
    return _geometries([frame for frame in frames if frame[0].startswith(GUESSED)])


def _geometries(frames: Sequence[NamedFrame]) -> sampling.Geometry:
    return np.array([geometry for _, geometry in frames], np.float64).reshape(-1, 5)
