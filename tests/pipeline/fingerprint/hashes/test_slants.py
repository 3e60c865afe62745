"""Straight edges at a slant, and level ones: the compiled measures against plain twins, to the last bit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pipeline.fingerprint.hashes import panels, slants


def planes(rows: int, columns: int) -> list[np.ndarray]:
    rng = np.random.default_rng(rows * columns)
    down, across = np.mgrid[:rows, :columns]
    ramp = (across * 3 + down) % 256
    edge = np.where(across > columns // 3 + down // 7, 200, 40)
    noise = rng.integers(0, 256, (rows, columns))
    return [np.ascontiguousarray(plane.astype(np.uint8)) for plane in (noise, ramp, edge, np.zeros((rows, columns)))]


def strengths(luma: np.ndarray, places: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Each line by itself, each pixel of it where it lies."""
    rows, columns = luma.shape
    first, last = int(slants.BAND[0] * rows), int(slants.BAND[1] * rows)
    out = np.zeros((places.size, shifts.size), np.float32)
    for p, place in enumerate(places):
        for s, shift in enumerate(shifts):
            steps = []
            for part in range(slants.PARTS):
                low = first + part * (last - first) // slants.PARTS
                high = first + (part + 1) * (last - first) // slants.PARTS
                total = 0
                for row in range(low, high):
                    moved = shift * (row - (first + last) / 2) / (last - first)
                    at = min(max(int(place + moved + 0.5), 1), columns - 2)
                    total += int(luma[row, at + 1]) - int(luma[row, at - 1])
                steps.append(np.float32(abs(total) / max(high - low, 1)))
            out[p, s] = sorted(steps)[slants.PARTS // 3]
    return out


@pytest.mark.parametrize(("rows", "columns"), [(20, 24), (41, 33), (64, 90)])
def test_lines_are_as_strong_as_each_by_itself(rows: int, columns: int) -> None:
    for luma in planes(rows, columns):
        for places, shifts in (
            (np.arange(1, columns // 2), np.arange(-9, 10, 2)),
            (np.arange(-4, 3), np.arange(-3, 4)),
            (np.arange(columns - 3, columns + 4), np.arange(5, 9)),
        ):
            assert (slants._strengths(luma, places, shifts) == strengths(luma, places, shifts)).all()


@pytest.mark.parametrize(("rows", "columns"), [(20, 24), (41, 7), (64, 90)])
def test_rows_step_as_each_by_itself(rows: int, columns: int) -> None:
    for luma in planes(rows, columns):
        wanted = np.zeros(rows, np.float32)
        ends = [part * columns // panels.PARTS for part in range(panels.PARTS + 1)]
        for row in range(1, rows):
            apart = luma[row].astype(int) - luma[row - 1]
            steps = [abs(int(apart[a:b].sum())) / max(b - a, 1) for a, b in pairwise(ends)]
            wanted[row] = np.float32(sorted(np.array(steps, np.float32))[panels.PARTS // 3])
        assert (panels._profile(luma) == wanted).all()
