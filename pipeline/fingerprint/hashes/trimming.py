"""Finding frames around a picture: plain borders, screens with text in their bars, blurred fills.

Three measures over the decoded luma, each giving a box or nothing. A wrong box costs one query that finds nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.fingerprint.hashes.kernels import kernel
from pipeline.fingerprint.hashes.planes import Plane, median

SEGMENTS = 16
"""Parts of a line over which its step to the next is averaged: texture averages out, a straight edge does not."""

SMALL = 256
"""Pixels that the shorter side is reduced to."""

Box = tuple[float, float, float, float]
"""Shares of the picture's width and height to take off: left, top, right, bottom."""

BARS = (" above and below", " at the sides")
"""Ends of names: only these bars of a finding are taken off."""

NOTHING: Box = (0.0, 0.0, 0.0, 0.0)


@kernel
def _alike(luma: NDArray[np.uint8], least: Any, most: Any, low: int, high: int) -> NDArray[np.float64]:
    """Share of each row's pixels, between columns `low` and `high`, that lie from `least` to `most` (uint8)."""
    out = np.empty(luma.shape[0])
    for row in range(luma.shape[0]):
        count = np.int32(0)
        for value in luma[row, low:high]:
            count += np.int32((value >= least) & (value <= most))
        out[row] = count / max(high - low, 1)
    return out


@kernel
def _steps(luma: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How much each row differs from the one above it: mean over segments of the absolute mean difference."""
    rows, columns = luma.shape
    out = np.zeros(rows)
    for row in range(1, rows):
        for segment in range(SEGMENTS):
            low, high = segment * columns // SEGMENTS, (segment + 1) * columns // SEGMENTS
            total = np.int32(0)
            for column in range(low, high):
                total += np.int32(luma[row, column]) - np.int32(luma[row - 1, column])
            out[row] += abs(total) / max(high - low, 1) / SEGMENTS
    return out


def small(plane: Plane) -> NDArray[np.uint8]:
    """The plane reduced by whole pixels to a shorter side of about 256: enough to place an edge to half a percent."""
    factor = round(min(plane.luma.shape) / SMALL)
    if factor < 2:
        return plane.luma
    return np.asarray(Image.fromarray(plane.luma).reduce(factor))


def plain_border(luma: NDArray[np.uint8], policy: dict[str, Any]) -> Box:
    """Box without rows and columns that are mostly of the outermost line's level (letters on them are allowed)."""
    sides = [luma.T, luma, luma.T[::-1], luma[::-1]]
    taken = [0, 0, 0, 0]
    for _ in range(2):  # rows first look whole; once side bars are known they are looked at between them
        for side in (1, 3, 0, 2):
            lines = sides[side]
            before, after = (taken[0], taken[2]) if side % 2 else (taken[1], taken[3])
            taken[side] = _border_depth(lines, before, lines.shape[1] - after, policy)
    height, width = luma.shape
    return taken[0] / width, taken[1] / height, taken[2] / width, taken[3] / height


def _border_depth(lines: NDArray[np.uint8], low: int, high: int, policy: dict[str, Any]) -> int:
    """Lines from the outside that belong to the border; a gap shorter than `gap` of the picture does not end it."""
    level = int(median(lines[0, low:high])) if high > low else 0
    deepest = int(len(lines) * policy["deepest"])
    looked_at = np.ascontiguousarray(lines[:deepest])
    least, most = np.uint8(max(level - policy["tolerance"], 0)), np.uint8(min(level + policy["tolerance"], 255))
    alike = _alike(looked_at, least, most, low, high) >= policy["share"]
    gap = max(int(len(lines) * policy["gap"]), 1)
    depth = 0
    for line in range(deepest):
        if alike[line]:
            depth = line + 1
        elif line - depth >= gap:
            break
    return depth


def straight_edges(luma: NDArray[np.uint8], policy: dict[str, Any]) -> Box:
    """Box inside the strongest straight step near each side, where it stands out from the picture's other steps."""
    down, across = _steps(luma), _steps(np.ascontiguousarray(luma.T))
    depths = [_edge_depth(steps, policy) for steps in (across, down, across[:0:-1], down[:0:-1])]
    height, width = luma.shape
    return depths[0] / width, depths[1] / height, depths[2] / width, depths[3] / height


@kernel
def _detail(luma: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How sharp each row is: mean over its pixels of the absolute second difference along it (grey levels)."""
    rows, columns = luma.shape
    out = np.zeros(rows)
    for row in range(rows):
        total = np.int32(0)
        for column in range(1, columns - 1):
            around = np.int32(luma[row, column - 1]) + np.int32(luma[row, column + 1])
            total += abs(2 * np.int32(luma[row, column]) - around)
        out[row] = total / max(columns - 2, 1)
    return out


def sharp_area(luma: NDArray[np.uint8], policy: dict[str, Any]) -> Box:
    """Box without blurred bars above and below, or at both sides: fills of a story made from the picture itself."""
    height, width = luma.shape
    above, below = _blurred(_detail(luma), policy)
    left, right = _blurred(_detail(np.ascontiguousarray(luma.T)), policy)
    return left / width, above / height, right / width, below / height


def _blurred(detail: NDArray[np.float64], policy: dict[str, Any]) -> tuple[int, int]:
    """Lines at both ends that are much less sharp than the rest; none where only one end has them."""
    limit = policy["blurred"] * float(np.percentile(detail, 75))
    sharp = np.flatnonzero(detail >= max(limit, 0.5))
    if not len(sharp):
        return 0, 0
    before, after = int(sharp[0]), len(detail) - 1 - int(sharp[-1])
    near, deep = policy["nearest"] * len(detail), policy["deepest"] * len(detail)
    return (before, after) if min(before, after) > near and max(before, after) <= deep else (0, 0)


def _edge_depth(steps: NDArray[np.float64], policy: dict[str, Any]) -> int:
    near = int(len(steps) * policy["nearest"]) + 1
    window = steps[near : int(len(steps) * policy["deepest"])]
    if not window.size:
        return 0
    place = int(window.argmax())
    stands_out = window[place] > policy["contrast"] * max(median(steps), 0.5)
    return near + place if stands_out else 0


def boxes(plane: Plane, policy: dict[str, Any]) -> list[tuple[str, Box]]:
    """Names and boxes of the frames found, each box once; nothing where none stands out.

    A dark or plain part of the picture itself may be taken for a bar, so that each finding is also given without its side bars
    and without its bars above and below.
    """
    luma = small(plane)
    found: list[tuple[str, Box]] = []
    for name, (left, top, right, bottom) in (
        ("border trimmed", plain_border(luma, policy)),
        ("trimmed to what is sharp", sharp_area(luma, policy)),
        ("trimmed to edges", straight_edges(luma, policy)),
    ):
        for part, box in (
            ("", (left, top, right, bottom)),
            (BARS[0], (0.0, top, 0.0, bottom)),
            (BARS[1], (left, 0.0, right, 0.0)),
        ):
            roomy = 1 - box[0] - box[2] >= policy["smallest"] and 1 - box[1] - box[3] >= policy["smallest"]
            if roomy and _differs(box, NOTHING) and all(_differs(box, other) for _, other in found):
                found.append((name + part, box))
    return found


def _differs(box: Box, other: Box) -> bool:
    return max(abs(a - b) for a, b in zip(box, other, strict=True)) > 0.004
