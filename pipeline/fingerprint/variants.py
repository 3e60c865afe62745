"""Query variants: PDQ of a picture as it would look uncropped, untrimmed, unflipped, unturned, from one decoded plane.

A copy that somebody cropped, framed, mirrored or turned lies far from the known hash. Each variant guesses one such
change back: padding guesses what a crop took away (by mirroring what is left), a small crop removes a border, trimming
removes one that is seen. All are sampled from one smoothed 256 x 256 plane, about 20 microseconds each. The grid
is policy (`variants` in policy/fingerprint.yaml), and the name of a variant says what it guesses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fingerprint import pdq
from pipeline.fingerprint.kernels import kernel
from pipeline.fingerprint.planes import Plane

BASE = 256
"""Samples a side of the smoothed plane: four for each cell of the PDQ grid."""

Floats = NDArray[np.float32]
Variant = tuple[str, bytes, int]


@dataclass(frozen=True)
class Base:
    """Smoothed plane that variants are sampled from: float32 (256, 256), and the picture's width / height."""

    samples: Floats
    aspect: float


def base(plane: Plane) -> Base:
    """Smooth a plane as PDQ does and sample it 256 x 256."""
    return Base(pdq.grid(plane, BASE), plane.width / plane.height)


@kernel
def reflected(position: float) -> float:
    """Sample position in 0 to 255, mirrored at the picture's edges."""
    if position < -0.5:
        position = -1.0 - position
    if position > 255.5:
        position = 511.0 - position
    return min(max(position, 0.0), 255.0)


@kernel
def sample(plane: Floats, geometry: NDArray[np.float64], aspect: float) -> Floats:
    """64 x 64 grid of the picture in another frame.

    `geometry` is (left, top, right, bottom, degrees): shares of width and height that the frame adds to each side
    (negative: takes off), and how far the picture is turned clockwise in it.
    """
    left, top, right, bottom, degrees = geometry
    out = np.empty((64, 64), np.float32)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    width, height = 1 + left + right, 1 + top + bottom
    for i in range(64):
        down = (i + 0.5) / 64 * height - top - 0.5
        for j in range(64):
            across = (j + 0.5) / 64 * width - left - 0.5
            x = reflected((across * cosine - down * sine / aspect + 0.5) * 256 - 0.5)
            y = reflected((across * aspect * sine + down * cosine + 0.5) * 256 - 0.5)
            x0, y0 = min(int(x), 254), min(int(y), 254)
            fx, fy = np.float32(x - x0), np.float32(y - y0)
            upper = plane[y0, x0] + fx * (plane[y0, x0 + 1] - plane[y0, x0])
            lower = plane[y0 + 1, x0] + fx * (plane[y0 + 1, x0 + 1] - plane[y0 + 1, x0])
            out[i, j] = upper + fy * (lower - upper)
    return out


@kernel
def hash_all(
    plane: Floats, geometries: NDArray[np.float64], aspect: float, matrix: Floats, matrix_t: Floats
) -> tuple[NDArray[np.uint8], NDArray[np.int16], Floats]:
    """PDQ (n, 32), quality (n,) and coefficients (n, 16, 16) of the picture in each of n frames."""
    count = geometries.shape[0]
    codes = np.empty((count, 32), np.uint8)
    measures = np.empty(count, np.int16)
    coefs = np.empty((count, 16, 16), np.float32)
    for k in range(count):
        grid = sample(plane, geometries[k], aspect)
        coefs[k] = pdq.coefficients(grid, matrix, matrix_t)
        codes[k] = pdq.pack(coefs[k].ravel())
        measures[k] = pdq.quality(grid)
    return codes, measures, coefs


def frames(policy: dict[str, Any]) -> tuple[list[str], NDArray[np.float64]]:
    """Names and geometries (n, 5) of the fixed grid."""
    names, rows = [], []
    for percent in policy["padded_all_sides"]:
        names.append(f"padded all sides {percent:g} %")
        rows.append([percent / 100] * 4 + [0.0])
    for side, place in (("left", 0), ("top", 1), ("right", 2), ("bottom", 3)):
        for percent in policy["padded_one_side"]:
            names.append(f"padded {side} {percent:g} %")
            rows.append([percent / 100 * (place == k) for k in range(4)] + [0.0])
    for percent in policy["cropped_all_sides"]:
        names.append(f"cropped all sides {percent:g} %")
        rows.append([-percent / 100] * 4 + [0.0])
    for degrees in policy["turned"]:
        names.append(f"turned {degrees:+g} degrees")
        rows.append([0.0] * 4 + [float(degrees)])
    return names, np.array(rows)


def all_variants(source: Base, policy: dict[str, Any]) -> tuple[Variant, ...]:
    """Every variant of one picture: (name, PDQ, quality). The plain picture is not among them."""
    names, rows = frames(policy)
    codes, measures, _ = hash_all(source.samples, rows, source.aspect, pdq.DCT, pdq.DCT_T)
    found = [(name, code.tobytes(), int(measure)) for name, code, measure in zip(names, codes, measures, strict=True)]
    return (*_flips(source), *found)


def _flips(source: Base) -> list[Variant]:
    grid = sample(source.samples, np.zeros(5), source.aspect)
    coefs = pdq.coefficients(grid, pdq.DCT, pdq.DCT_T)
    measure = int(pdq.quality(grid))
    return [
        (name, pdq.pack(pdq.flipped(coefs, code)).tobytes(), measure) for code, name in enumerate(pdq.FLIPS) if code
    ]
