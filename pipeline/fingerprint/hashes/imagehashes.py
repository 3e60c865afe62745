"""pHash and dHash exactly as the imagehash library defines them, faster, and from a reduced decode too.

imagehash resizes the luma with Pillow's Lanczos filter (rounding to bytes after the rows and again after the columns),
then compares DCT coefficients with their median (pHash) or neighbours in a row (dHash). The same fixed-point filter runs
here in Numba; for a JPEG decoded at 1/n its weights are summed over the pixels that a reduced pixel stands for.
At full decode the hashes are bit for bit those of imagehash.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fingerprint.hashes.kernels import kernel
from pipeline.fingerprint.hashes.pdq import decoded_place
from pipeline.fingerprint.hashes.planes import Plane

PRECISION = 22
"""Fraction bits of Pillow's 8-bit resampling weights."""

LOBES = 3.0
Taps = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]


@lru_cache(maxsize=1024)
def lanczos(length: int, size: int, scale: int = 1, backwards: bool = False) -> Taps:
    """Pillow's Lanczos weights from `length` full pixels to `size`, for an axis decoded at 1/`scale`.

    Returns int32 arrays (first pixel (size,), taps used (size,), weights (size, most taps)), 22 fraction bits.
    """
    first, count, taps = _lanczos(length, size, scale, backwards)
    return first, count, taps


@kernel
def _lanczos(length: int, size: int, scale: int, backwards: bool) -> Taps:
    ratio = length / size
    stretch = max(ratio, 1.0)
    reach = LOBES * stretch
    raw = np.empty(int(2 * reach) + 3)
    first, count = np.empty(size, np.int32), np.empty(size, np.int32)
    taps = np.zeros((size, int(2 * reach) // scale + 3), np.int32)
    for out in range(size):
        centre = (out + 0.5) * ratio
        low = max(int(centre - reach + 0.5), 0)
        high = min(int(centre + reach + 0.5), length)
        total = 0.0
        for x in range(low, high):
            raw[x - low] = _lobe((x - centre + 0.5) * (1.0 / stretch))
            total += raw[x - low]
        first[out] = decoded_place(low, length, scale, backwards)
        count[out] = decoded_place(high - 1, length, scale, backwards) - first[out] + 1
        for x in range(low, high):
            place = decoded_place(x, length, scale, backwards) - first[out]
            share = raw[x - low] / total
            taps[out, place] += np.int32(int((-0.5 if share < 0 else 0.5) + share * (1 << PRECISION)))
    return first, count, taps


@kernel
def _lobe(x: float) -> float:
    """Lanczos window of three lobes: sinc(x) sinc(x / 3)."""
    if not -LOBES <= x < LOBES:
        return 0.0
    if x == 0.0:
        return 1.0
    angle = x * math.pi
    return math.sin(angle) / angle * (math.sin(angle / LOBES) / (angle / LOBES))


@kernel
def _resize_rows(
    luma: NDArray[np.uint8], first: NDArray[np.int32], count: NDArray[np.int32], taps: NDArray[np.int32]
) -> NDArray[np.uint8]:
    """Resample each row: (rows, size), rounded and clipped to bytes."""
    size = first.size
    out = np.empty((luma.shape[0], size), np.uint8)
    for row in range(luma.shape[0]):
        for column in range(size):
            source = luma[row, first[column] : first[column] + count[column]]
            weights = taps[column]
            total: Any = np.int32(1 << 21)
            for tap in range(count[column]):
                total += np.int32(source[tap]) * weights[tap]
            out[row, column] = min(max(total >> 22, 0), 255)
    return out


def resized(plane: Plane, width: int, height: int) -> NDArray[np.uint8]:
    """The plane at width x height pixels, uint8 (height, width): Pillow's Lanczos resize of the full picture.

    Pillow resamples rows first; since version 13 columns first where the height shrinks by more than twice
    what the width does. The order decides how the bytes in between are rounded.
    """
    shrinks = plane.height - height
    columns_first = shrinks > 0 and shrinks > 2 * (plane.width - width)
    luma = plane.luma
    for along_columns in (columns_first, not columns_first):
        if along_columns:
            if plane.height != height or plane.scale > 1:
                taps = lanczos(plane.height, height, plane.scale, plane.rows_reversed)
                luma = _resize_rows(np.ascontiguousarray(luma.T), *taps).T
        elif plane.width != width or plane.scale > 1:
            taps = lanczos(plane.width, width, plane.scale, plane.columns_reversed)
            luma = _resize_rows(np.ascontiguousarray(luma), *taps)
    return luma


@lru_cache(maxsize=4)
def _dct_matrix(size: int, kept: int) -> NDArray[np.float64]:
    """DCT-II without normalisation, as scipy.fftpack: (kept, size)."""
    place = 2 * np.arange(size)[None, :] + 1
    return 2 * np.cos(np.pi * np.arange(kept)[:, None] * place / (2 * size))


def phash(plane: Plane, hash_size: int) -> bytes:
    """imagehash.phash(hash_size=16 or 8): hash_size squared bits, first coefficient first."""
    side = 4 * hash_size
    matrix = _dct_matrix(side, hash_size)
    low = matrix @ resized(plane, side, side).astype(np.float64) @ matrix.T
    return np.packbits(low > np.median(low)).tobytes()


def dhash(plane: Plane) -> bytes:
    """imagehash.dhash(hash_size=8): 64 bits, set where a pixel is brighter than its left neighbour."""
    small = resized(plane, 9, 8)
    return np.packbits(small[:, 1:] > small[:, :-1]).tobytes()
