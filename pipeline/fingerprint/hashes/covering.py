"""A picture with what was laid over it guessed anew from what surrounds it: an emoji, a sticker, another picture.

Inside the covered area each point is the mean of the points around its rim, weighted by 1 / distance squared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fingerprint.hashes import pdq, sampling
from pipeline.fingerprint.hashes.kernels import kernel
from pipeline.fingerprint.hashes.pdq import Floats
from pipeline.fingerprint.hashes.planes import median
from pipeline.fingerprint.hashes.sampling import Geometry, SampledBase

RIM = 32
"""Points around an area from which its inside is guessed."""

MARGIN = np.float32(0.75)
"""Cells of the 64 x 64 grid by which a box is taken larger than it was found: its edge is mixed with what it covers."""


def without_disc(source: SampledBase, disc: Geometry) -> SampledBase:
    """The base with one disc (3,) guessed from what surrounds it, see `hash_discs`."""
    return SampledBase(_without_disc(source.samples, disc, source.aspect), source.edges, source.aspect, source.offsets)


def without_box(source: SampledBase, box: Geometry) -> SampledBase:
    """The base with one box (4,) guessed from what surrounds it, see `hash_boxes`."""
    return SampledBase(_without_box(source.samples, box), source.edges, source.aspect, source.offsets)


def plain_bar(luma: NDArray[np.uint8], side: int, share: float, policy: dict[str, Any]) -> bool:
    """Whether a bar on one side (0 left, 1 top, 2 right, 3 bottom; share of the picture) has one ground up to its seam.

    A laid-on bar keeps its letters away from its edge, and the picture begins at once behind it; of a step inside a picture neither is true.
    `policy` is `uncovered.plain`: `tolerance` grey levels around the ground's, `inside` and `beyond` shares of a line's pixels.
    """
    lines = (luma.T, luma, luma.T[::-1], luma[::-1])[side]
    seam, near = round(share * len(lines)), max(2, round(policy["seam"] * len(lines)))
    if seam <= 2 * near or seam + 2 * near > len(lines):
        return False
    ground = int(median(lines[:seam]))
    alike = np.abs(lines[seam - 2 * near : seam + 2 * near].astype(np.int16) - ground) <= policy["tolerance"]
    inside, beyond = alike[:near].mean(), alike[3 * near :].mean()  # the lines at the seam itself may be mixed
    return bool(inside >= policy["inside"] and beyond <= policy["beyond"])


@kernel
def hash_discs(
    base_samples: Floats, edges: Floats, discs: Geometry, aspect: float
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """PDQ (n, 32) and quality (n,) of the picture with one of n discs (n, 3) guessed from what surrounds it.

    A disc is its centre (shares of the width and height) and its radius (share of the shorter side).
    """
    count = discs.shape[0]
    codes, measures = np.empty((count, 32), np.uint8), np.empty(count, np.int16)
    plain = sampling.sample(base_samples, edges, np.zeros(5), aspect)
    for k in range(count):
        grid = _without_disc(plain, discs[k], aspect)
        codes[k] = pdq.pack(pdq.coefficients(grid).ravel())
        measures[k] = pdq.quality(grid)
    return codes, measures


@kernel
def hash_boxes(
    base_samples: Floats, edges: Floats, boxes: Geometry, aspect: float
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """PDQ (n, 32) and quality (n,) of the picture with one of n boxes (n, 4) guessed from what surrounds it.

    A box is what lies beside it: shares of the width and height at the left, top, right and bottom.
    """
    count = boxes.shape[0]
    codes, measures = np.empty((count, 32), np.uint8), np.empty(count, np.int16)
    plain = sampling.sample(base_samples, edges, np.zeros(5), aspect)
    for k in range(count):
        grid = _without_box(plain, boxes[k])
        codes[k] = pdq.pack(pdq.coefficients(grid).ravel())
        measures[k] = pdq.quality(grid)
    return codes, measures


@kernel
def _without_disc(plain: Floats, disc: Geometry, aspect: float) -> Floats:
    """A square grid of samples with the inside of a disc guessed from its rim."""
    side = plain.shape[0]
    out, rim = plain.copy(), np.empty((RIM, 3), np.float32)
    x0, y0 = np.float32(disc[0] * side - 0.5), np.float32(disc[1] * side - 0.5)
    half_x, half_y = np.float32(side * disc[2] / max(aspect, 1.0)), np.float32(side * disc[2] * min(aspect, 1.0))
    for n in range(RIM):
        angle = 2 * np.pi * n / RIM
        x = min(max(x0 + (half_x + 1) * np.cos(angle), 0.0), side - 1.0)
        y = min(max(y0 + (half_y + 1) * np.sin(angle), 0.0), side - 1.0)
        rim[n, 0], rim[n, 1], rim[n, 2] = x, y, plain[int(y + 0.5), int(x + 0.5)]
    for i in range(max(int(y0 - half_y), 0), min(int(y0 + half_y) + 2, side)):
        for j in range(max(int(x0 - half_x), 0), min(int(x0 + half_x) + 2, side)):
            across, down = np.float32(j), np.float32(i)
            if ((across - x0) / half_x) ** 2 + ((down - y0) / half_y) ** 2 <= 1:
                out[i, j] = _guess(rim, RIM, across, down)
    return out


@kernel
def _without_box(plain: Floats, box: Geometry) -> Floats:
    """A square grid of samples with the inside of a box guessed from its rim; a side beyond the grid's edge has no rim."""
    side = plain.shape[0]
    margin = MARGIN * side / 64
    left, top = int(np.ceil(box[0] * side - 0.5 - margin)), int(np.ceil(box[1] * side - 0.5 - margin))
    right, bottom = int((1 - box[2]) * side - 0.5 + margin), int((1 - box[3]) * side - 0.5 + margin)
    out, rim, count = plain.copy(), np.empty((RIM, 3), np.float32), 0
    for n in range(RIM):
        along = (n % (RIM // 4) + 0.5) / (RIM // 4)
        x = int(left + along * (right - left) + 0.5) if n < RIM // 2 else (left - 1 if n < 3 * RIM // 4 else right + 1)
        y = int(top + along * (bottom - top) + 0.5) if n >= RIM // 2 else (top - 1 if n < RIM // 4 else bottom + 1)
        if 0 <= x < side and 0 <= y < side:
            rim[count, 0], rim[count, 1], rim[count, 2] = x, y, plain[y, x]
            count += 1
    for i in range(max(top, 0), min(bottom + 1, side)):
        for j in range(max(left, 0), min(right + 1, side)):
            out[i, j] = _guess(rim, count, np.float32(j), np.float32(i))
    return out


@kernel
def _guess(rim: Floats, count: int, across: Any, down: Any) -> Any:
    """Value of a point from the first `count` rows (x, y, value) of a rim."""
    total, weights = np.float32(0), np.float32(1e-6)
    for n in range(count):
        near = np.float32(1) / ((rim[n, 0] - across) ** 2 + (rim[n, 1] - down) ** 2 + np.float32(0.5))
        total += rim[n, 2] * near
        weights += near
    return total / weights
