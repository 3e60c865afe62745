"""PDQ (Meta, "The TMK+PDQF and PDQ hashing algorithms", 2019) from a luma plane, in Numba.

The reference smooths the whole picture with two passes of a box filter in each direction (Jarosz), samples 64 x 64
points, takes the 16 x 16 lowest frequencies of a DCT (constant term left out) and sets a bit where a coefficient exceeds the median.
Filter and sampling are linear and separable, so that each sample is a weighted sum of few rows and columns; the
weights are computed from the reference's own window rules, and for a JPEG decoded at a reduced scale
they are summed over the pixels that one reduced pixel stands for. So a reduced decode follows the full one closely, at one
multiplication a pixel.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fingerprint.hashes.kernels import kernel
from pipeline.fingerprint.hashes.planes import Plane

SIDE = 64
FREQUENCIES = 16
WINDOWS = 128
"""Two box passes of n/128 pixels spread each sample over n/64 pixels: one cell of the 64 x 64 grid."""

Floats = NDArray[np.float32]
Weights = tuple[NDArray[np.int32], Floats]


def _dct_matrix() -> Floats:
    frequency = np.arange(1, FREQUENCIES + 1)[:, None]
    place = 2 * np.arange(SIDE)[None, :] + 1
    matrix: Floats = (np.sqrt(2 / SIDE) * np.cos(np.pi / 2 / SIDE * frequency * place)).astype(np.float32)
    return matrix


DCT = _dct_matrix()
DCT_T = np.ascontiguousarray(DCT.T)


@lru_cache(maxsize=1024)
def weights(length: int, samples: int, scale: int = 1, backwards: bool = False) -> Weights:
    """Which pixels make each of `samples` samples along an axis of `length` full pixels, decoded at 1/`scale`.

    Returns (first pixel int32 (samples,), weights float32 (samples, most taps)); each row of weights sums to 1.
    """
    first, taps = _tents(length, samples, -(-length // WINDOWS), scale, backwards)
    return first, taps


def sampling_offset(length: int) -> float:
    """How far, as a share of the axis, the reference's samples lie beyond the middles of their cells, on average.

    A window of even width reaches one pixel further forwards than back, in each of two passes; and the sampled pixel is a
    rounded-down one. A mirrored picture is sampled on the other side, which costs up to 15 bits in small pictures.
    """
    window = -(-length // WINDOWS)
    cells = (np.arange(SIDE) + 0.5) * length / SIDE
    return float(np.mean(np.floor(cells) + 0.5 - cells) + (window % 2 == 0)) / length


@kernel
def decoded_place(full: int, length: int, scale: int, backwards: bool) -> int:
    """Pixel of an axis decoded at 1/`scale` that holds full pixel `full` of `length`; backwards counts from the end."""
    if backwards:
        return (length + scale - 1) // scale - 1 - (length - 1 - full) // scale
    return full // scale


@kernel
def _tents(length: int, samples: int, window: int, scale: int, backwards: bool) -> Weights:
    """Weights of two box passes; near an edge the reference averages over the pixels that exist."""
    before, after = (window - 1) // 2, window // 2
    pixels = (length + scale - 1) // scale
    reach = min((2 * window + scale - 1) // scale + 2, pixels)
    first = np.empty(samples, np.int32)
    taps = np.zeros((samples, reach), np.float32)
    for sample in range(samples):
        centre = int((sample + 0.5) * length / samples)
        low, high = max(centre - before, 0), min(centre + after, length - 1)
        start = max(low - before, 0)
        steps = np.zeros(2 * window + 2)
        for outer in range(low, high + 1):
            inner_low, inner_high = max(outer - before, 0), min(outer + after, length - 1)
            share = 1.0 / ((high - low + 1) * (inner_high - inner_low + 1))
            steps[inner_low - start] += share
            steps[inner_high + 1 - start] -= share
        end = min(high + after, length - 1)
        first[sample] = min(decoded_place(start, length, scale, backwards), pixels - reach)
        weight = 0.0
        for full in range(start, end + 1):
            weight += steps[full - start]
            taps[sample, decoded_place(full, length, scale, backwards) - first[sample]] += weight
    return first, taps


@kernel
def _project(luma: NDArray[np.uint8], first: NDArray[np.int32], taps: Floats) -> Floats:
    """Weighted sums of rows: (samples, columns of luma)."""
    samples, reach = taps.shape
    columns = luma.shape[1]
    out = np.zeros((samples, columns), np.float32)
    for sample in range(samples):
        for tap in range(reach):
            weight = taps[sample, tap]
            if weight != 0:
                row = luma[first[sample] + tap]
                for column in range(columns):
                    out[sample, column] += weight * np.float32(row[column])
    return out


@kernel
def _project_columns(rows: Floats, first: NDArray[np.int32], taps: Floats) -> Floats:
    """Weighted sums of columns of `rows` (n, columns): (n, samples). Works on the transpose, in contiguous runs."""
    turned = np.ascontiguousarray(rows.T)
    samples, reach = taps.shape
    count = rows.shape[0]
    out = np.zeros((samples, count), np.float32)
    for sample in range(samples):
        for tap in range(reach):
            weight = taps[sample, tap]
            if weight != 0:
                source = turned[first[sample] + tap]
                for row in range(count):
                    out[sample, row] += weight * source[row]
    return np.ascontiguousarray(out.T)


def grid(plane: Plane, samples: int = SIDE) -> Floats:
    """Smoothed samples of a plane, float32 (samples, samples), 0 to 255; 64 gives what PDQ hashes."""
    down = weights(plane.height, samples, plane.scale, plane.rows_reversed)
    across = weights(plane.width, samples, plane.scale, plane.columns_reversed)
    return _project_columns(_project(plane.luma, *down), *across)


@kernel
def coefficients(samples: Floats) -> Floats:
    """Lowest 16 x 16 DCT frequencies of a 64 x 64 grid: DCT @ samples @ DCT.T, float32.

    Odd frequencies see only differences of rows that mirror each other, even ones only their sums: half the work.
    """
    low = np.zeros((16, 64), np.float32)
    sums, differences = np.empty(64, np.float32), np.empty(64, np.float32)
    for k in range(32):
        for j in range(64):
            sums[j] = samples[k, j] + samples[63 - k, j]
            differences[j] = samples[k, j] - samples[63 - k, j]
        for i in range(0, 16, 2):
            odd, even = DCT[i, k], DCT[i + 1, k]
            for j in range(64):
                low[i, j] += odd * differences[j]
            for j in range(64):
                low[i + 1, j] += even * sums[j]
    out = np.zeros((16, 16), np.float32)
    for i in range(16):
        for k in range(64):
            weight = low[i, k]
            for j in range(16):
                out[i, j] += weight * DCT_T[k, j]
    return out


@kernel
def lower_median(values: Floats) -> Any:
    """The 128th smallest of 256 values: the lower median, as the reference's Torben search returns. Quickselect."""
    work = values.copy()
    low, high, rank = 0, work.size - 1, (work.size - 1) // 2
    while low < high:
        pivot = work[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while work[i] < pivot:
                i += 1
            while work[j] > pivot:
                j -= 1
            if i <= j:
                work[i], work[j] = work[j], work[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return work[rank]


@kernel
def flipped(coefs: Floats, code: int) -> Floats:
    """Coefficients of the flipped or turned picture, (256,): exchanging axes transposes them, mirroring negates odd ones.

    Row and column 0 hold frequency 1, which is odd: there mirroring changes the sign.
    """
    out = np.empty(256, np.float32)
    for i in range(16):
        for j in range(16):
            value = coefs[j, i] if code & 4 else coefs[i, j]
            if code & 1 and not j & 1:
                value = -value
            if code & 2 and not i & 1:
                value = -value
            out[16 * i + j] = value
    return out


@kernel
def pack(values: Floats) -> NDArray[np.uint8]:
    """Bits above the median, 32 bytes; the first coefficient is the last bit, as in the reference's hexadecimal form."""
    median = lower_median(values)
    out = np.zeros(32, np.uint8)
    for bit in range(256):
        if values[bit] > median:
            out[31 - (bit >> 3)] |= np.uint8(1 << (bit & 7))
    return out


@kernel
def quality(samples: Floats) -> int:
    """Gradient measure of the reference, 0 (flat) to 100, from the 64 x 64 grid."""
    total = 0
    for i in range(63):
        for j in range(64):
            total += abs(int((samples[i, j] - samples[i + 1, j]) * np.float32(100) / np.float32(255)))
    for i in range(64):
        for j in range(63):
            total += abs(int((samples[i, j] - samples[i, j + 1]) * np.float32(100) / np.float32(255)))
    return min(total // 90, 100)


def hash_grid(samples: Floats) -> tuple[bytes, int]:
    """PDQ (32 bytes) and quality (0 to 100) of a 64 x 64 grid."""
    coefs = coefficients(samples)
    return pack(coefs.ravel()).tobytes(), int(quality(samples))
