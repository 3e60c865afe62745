"""Straight edges that stand at a slant: the sides of a screen, a print or a page that was photographed at an angle.

For each side of the picture, lines are tried that cross its middle, and the one along which the picture steps most evenly is
taken: a step that goes the same way in most parts of the line. Texture steps both ways, the edge of a screen does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fingerprint.hashes.kernels import kernel
from pipeline.fingerprint.hashes.planes import median

PARTS = 9
"""Parts of a line. Its strength is the step that two thirds of them reach."""

BAND = (0.2, 0.8)
"""The stretch of a side that a line has to run along: its ends may lie beyond the corners of what is looked for."""

Luma = NDArray[np.uint8]
Line = tuple[float, float]
"""Slope and offset in pixels: across = slope * down + offset."""


@kernel
def _strengths(luma: Luma, places: NDArray[np.int64], shifts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Strength (places, shifts) of lines that cross the middle row at a place and move by a shift along the band.

    The places follow each other. For one shift and row the lines of all places step side by side, so that their steps are added as
    they lie in memory; a line that leaves the picture goes along its edge.
    """
    rows, columns = luma.shape
    count = places.size
    first, last = int(BAND[0] * rows), int(BAND[1] * rows)
    reach = 1
    for shift in shifts:
        reach = max(reach, abs(shift) + 2)
    steps = np.empty((last - first, count + 2 * reach), np.int16)
    for row in range(first, last):
        for k in range(steps.shape[1]):
            place = min(max(places[0] - reach + k, 1), columns - 2)
            steps[row - first, k] = np.int16(luma[row, place + 1]) - np.int16(luma[row, place - 1])
    out, totals = np.empty((count, shifts.size), np.float32), np.empty(count, np.int32)
    parts = np.empty((PARTS, count), np.float32)
    for s in range(shifts.size):
        for part in range(PARTS):
            low = first + part * (last - first) // PARTS
            high = first + (part + 1) * (last - first) // PARTS
            totals[:] = 0
            for row in range(low, high):
                moved = shifts[s] * (row - (first + last) / 2) / (last - first)
                begin = reach + int(np.floor(moved + 0.5))
                for p in range(count):
                    totals[p] += steps[row - first, begin + p]
            for p in range(count):
                parts[part, p] = abs(totals[p]) / max(high - low, 1)
        for end in range(PARTS - 1, 0, -1):  # in order, from the least on
            for k in range(end):
                for p in range(count):
                    one, other = parts[k, p], parts[k + 1, p]
                    parts[k, p], parts[k + 1, p] = min(one, other), max(one, other)
        for p in range(count):
            out[p, s] = parts[PARTS // 3, p]
    return out


def lines(luma: Luma, policy: dict[str, Any]) -> list[Line]:
    """The strongest line near the left side of a plane, and the strongest one well apart from it; fewer where none stands out.

    `policy` are `slants` of policy/fingerprint.yaml. Found on a plane of half the size first, then placed on the plane itself.
    """
    half = np.ascontiguousarray(luma[::2, ::2])
    columns = half.shape[1]
    tilt = max(int(policy["tilt"] * columns), 1)
    places = np.arange(max(int(policy["nearest"] * columns), 1), max(int(policy["deepest"] * columns), 2))
    shifts = np.arange(-tilt, tilt + 1, 2)
    strengths = _strengths(half, places, shifts)
    least = max(policy["step"], policy["contrast"] * median(strengths))
    found: list[Line] = []
    taken: list[int] = []
    for place in np.argsort(-strengths.max(axis=1), kind="stable"):
        shift = int(strengths[place].argmax())
        if strengths[place, shift] < least or len(found) == policy["lines"]:
            break
        if all(abs(place - other) > policy["apart"] * columns for other in taken):
            taken.append(int(place))
            found.append(_placed(luma, 2 * int(places[place]), 2 * int(shifts[shift])))
    return found


def _placed(luma: Luma, place: int, shift: int) -> Line:
    """The strongest line within three pixels of one."""
    places, shifts = place + np.arange(-3, 4), shift + np.arange(-3, 4)
    strengths = _strengths(luma, places, shifts)
    p, s = divmod(int(strengths.argmax()), len(shifts))
    rows = luma.shape[0]
    first, last = int(BAND[0] * rows), int(BAND[1] * rows)
    slope = float(shifts[s]) / (last - first)
    return slope, float(places[p]) + 0.5 - slope * (first + last) / 2
