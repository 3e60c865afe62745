"""A picture photographed or warped at an angle: its four corners are looked for, and it is laid flat again.

The corners are those of the largest bright area (a lit screen in a dark room), of all that differs from the level of the
picture's own edge (a warped picture on a plain ground), each side a straight line fitted to the outermost pixels; or those where
four slanted edges meet (`slants`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fingerprint.hashes import slants
from pipeline.fingerprint.hashes.planes import histogram, median
from pipeline.fingerprint.hashes.slants import Luma

Corner = tuple[float, float]
Quad = tuple[Corner, Corner, Corner, Corner]
"""Upper left, upper right, lower right, lower left, as shares of width and height."""


def quads(luma: Luma, policy: dict[str, Any]) -> list[tuple[str, Quad]]:
    """Names and corners of the areas found in the small plane (uint8); nothing where their sides are not straight."""
    ring = np.concatenate([luma[0], luma[-1], luma[:, 0], luma[:, -1]])
    level = int(median(ring))
    masks = {
        "bright area": luma > _threshold(luma),
        "area inside the ground": np.abs(luma.astype(np.int16) - level) > policy["tolerance"],
    }
    found: list[tuple[str, Quad]] = []
    for name, mask in masks.items():
        quad = _corners(mask, policy)
        if quad is not None and _area(quad) >= policy["smallest"] and all(_apart(quad, other) for _, other in found):
            found.append((name, quad))
    for name, quad in _between_slants(luma, policy["slants"]):
        if _area(quad) >= policy["smallest"] and all(_apart(quad, other) for _, other in found):
            found.append((name, quad))
    return found


def _between_slants(luma: Luma, policy: dict[str, Any]) -> list[tuple[str, Quad]]:
    """Quads between slanted edges: the strongest of each side; of two, the outer ones and the inner ones."""
    height, width = luma.shape
    turned = np.ascontiguousarray(luma.T)
    sides: list[list[slants.Line]] = []
    for plane in (luma, turned, np.ascontiguousarray(luma[:, ::-1]), np.ascontiguousarray(turned[:, ::-1])):
        sides.append(slants.lines(np.ascontiguousarray(plane), policy))
        if not sides[-1]:  # most pictures have none at some side, and end here
            return []
    found = []
    for name, chosen in (
        ("edges", [side[0] for side in sides]),
        ("outer edges", [min(side, key=_middle) for side in sides]),
        ("inner edges", [max(side, key=_middle) for side in sides]),
    ):
        left, top, (a, b), (c, d) = chosen
        quad = _crossed(left, top, (-a, width - b), (-c, height - d), luma.shape)
        if quad is not None:
            found.append((name, quad))
    return found


def _middle(line: slants.Line) -> float:
    """How far inside a side's line lies, for comparing lines of one side: lines of a side hardly cross."""
    return line[0] * 128 + line[1]


def _threshold(luma: Luma) -> int:
    """Grey level that parts dark from bright best (Otsu, 1979)."""
    share = histogram(luma) / luma.size
    below, mean = np.cumsum(share), np.cumsum(share * np.arange(256))
    spread = np.zeros(256)
    inner = (below > 0) & (below < 1)
    spread[inner] = (mean[-1] * below[inner] - mean[inner]) ** 2 / (below[inner] * (1 - below[inner]))
    return int(spread.argmax())


def _corners(mask: NDArray[np.bool_], policy: dict[str, Any]) -> Quad | None:
    """Where the lines along the mask's four outlines meet; None where an outline is no line."""
    height, width = mask.shape
    rows = np.flatnonzero(mask.sum(axis=1) > policy["line"] * width)
    columns = np.flatnonzero(mask.sum(axis=0) > policy["line"] * height)
    if len(rows) < policy["side"] * height or len(columns) < policy["side"] * width:
        return None
    rows, columns = _inner(rows), _inner(columns)
    left = _line(rows, mask[rows].argmax(axis=1))
    right = _line(rows, width - mask[rows][:, ::-1].argmax(axis=1))
    top = _line(columns, mask[:, columns].argmax(axis=0))
    bottom = _line(columns, height - mask[::-1][:, columns].argmax(axis=0))
    if left is None or right is None or top is None or bottom is None:
        return None
    return _crossed(left, top, right, bottom, mask.shape)


def _crossed(
    left: slants.Line, top: slants.Line, right: slants.Line, bottom: slants.Line, shape: tuple[int, ...]
) -> Quad | None:
    """Where four lines (slope and offset in pixels) meet, as shares; None where that is far outside the picture."""
    height, width = shape
    met = [_meet(*pair) for pair in ((left, top), (right, top), (right, bottom), (left, bottom))]
    corners = [(x / width, y / height) for x, y in met]
    if not all(-0.2 < value < 1.2 for corner in corners for value in corner):
        return None
    return corners[0], corners[1], corners[2], corners[3]


def _inner(places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Without the first and last twelfth, where the neighbouring side's outline is seen."""
    cut = len(places) // 12
    return places[cut : len(places) - cut]


def _line(places: NDArray[np.int64], values: NDArray[np.int64]) -> tuple[float, float] | None:
    """Slope and offset of value over place, by least squares over the four fifths that fit best, repeated."""
    kept = np.ones(len(places), bool)
    slope = offset = 0.0
    for _ in range(4):
        if kept.sum() < 8:
            return None
        slope, offset = _fit(places[kept] + 0.5, values[kept])
        apart = np.abs(values - (slope * (places + 0.5) + offset))
        near = np.sort(apart[kept])
        kept = apart <= max(1.0, float(near[4 * len(near) // 5]))
    return slope, offset


def _fit(x: NDArray[Any], y: NDArray[np.int64]) -> tuple[float, float]:
    count, total = len(x), np.add.reduce  # `mean` and `var` do the same sums, and prepare them longer than they take
    centre, level = total(x) / count, total(y) / count
    apart = x - centre
    spread = total(apart * apart) / count
    slope = float(total(apart * (y - level)) / count / spread) if spread > 0 else 0.0
    return slope, float(level - slope * centre)


def _meet(upright: tuple[float, float], level: tuple[float, float]) -> Corner:
    """Crossing of x = a y + b and y = c x + d."""
    a, b = upright
    c, d = level
    x = (a * d + b) / (1 - a * c) if abs(1 - a * c) > 1e-6 else -1e9
    return x, c * x + d


def _area(quad: Quad) -> float:
    total = sum(quad[k][0] * quad[(k + 1) % 4][1] - quad[(k + 1) % 4][0] * quad[k][1] for k in range(4))
    return abs(total) / 2


def _apart(quad: Quad, other: Quad) -> bool:
    return max(abs(a - b) for p, q in zip(quad, other, strict=True) for a, b in zip(p, q, strict=True)) > 0.01


def narrowed(side: str, share: float) -> Quad:
    """Corners of a picture whose `side` was shortened by `share` at both of its ends."""
    s, t = share, 1 - share
    shapes: dict[str, Quad] = {
        "top": ((s, 0.0), (t, 0.0), (1.0, 1.0), (0.0, 1.0)),
        "bottom": ((0.0, 0.0), (1.0, 0.0), (t, 1.0), (s, 1.0)),
        "left": ((0.0, s), (1.0, 0.0), (1.0, 1.0), (0.0, t)),
        "right": ((0.0, 0.0), (1.0, s), (1.0, t), (0.0, 1.0)),
    }
    return shapes[side]


def padded(quad: Quad, share: float) -> Quad:
    """The corners moved away from their middle, so that each side grows by `share` at both ends (negative: shrinks)."""
    x0, y0 = sum(x for x, _ in quad) / 4, sum(y for _, y in quad) / 4
    factor = 1 + 2 * share
    moved = [(x0 + factor * (x - x0), y0 + factor * (y - y0)) for x, y in quad]
    return moved[0], moved[1], moved[2], moved[3]


def matrix(quad: Quad) -> NDArray[np.float64]:
    """The projection (8,) that takes the unit square's corners to those of a quad: (ax + by + c, dx + ey + f) / (gx + hy + 1)."""
    corners = [(0, 0), (1, 0), (1, 1), (0, 1)]
    rows, right = [], []
    for (x, y), (u, v) in zip(corners, quad, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    solution: NDArray[np.float64] = np.linalg.solve(np.array(rows, np.float64), np.array(right, np.float64))
    return solution
