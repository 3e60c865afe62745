"""PDQ: against the reference implementation, against a slow obvious twin, and its published values."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pdqhash
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.fingerprint.hashes import packed, pdq, picture, planes
from tests.pipeline.fingerprint.pictures import RULES, reopened, scene


def box(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """One box pass along the last axis, the obvious way."""
    length = values.shape[-1]
    before, after = (window - 1) // 2, window // 2
    return np.stack(
        [values[..., max(k - before, 0) : min(k + after, length - 1) + 1].mean(axis=-1) for k in range(length)], axis=-1
    )


def naive_grid(luma: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The reference's route: smooth every pixel twice each way, then sample."""
    out = luma.astype(np.float64)
    for _ in range(2):
        out = box(out, -(-out.shape[1] // 128))
        out = box(out.T, -(-out.shape[0] // 128)).T
    rows, columns = (((np.arange(64) + 0.5) * n / 64).astype(int) for n in out.shape)
    return out[np.ix_(rows, columns)]


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 9))
def test_grid_equals_filtering_every_pixel(width: int, height: int, seed: int) -> None:
    luma = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    np.testing.assert_allclose(pdq.grid(planes.Plane(luma, width, height)), naive_grid(luma), atol=0.01)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (512, 512), (1001, 667), (300, 1999), (64, 64), (90, 33)])
def test_hash_and_quality_equal_the_reference(width: int, height: int) -> None:
    grey = scene(width, height, seed=width).convert("L").convert("RGB")  # grey, so that both start from the same luma
    bits, quality = pdqhash.compute(np.asarray(grey))
    code, measure = pdq.hash_grid(pdq.grid(planes.from_array(np.asarray(grey))))
    assert packed.distance(code, np.packbits(bits).tobytes()) <= 2, "rounding of float sums may move a bit pair"
    assert abs(measure - quality) <= 1


@given(st.integers(65, 5000), st.sampled_from([1, 2, 4, 8]), st.booleans(), st.sampled_from([64, 256]))
@settings(max_examples=60, deadline=None)
def test_folded_weights_are_sums_of_full_ones(length: int, scale: int, backwards: bool, samples: int) -> None:
    first, taps = pdq.weights(length, samples, scale, backwards)
    full_first, full = pdq.weights(length, samples)
    places = np.arange(length)
    where = -(-length // scale) - 1 - (length - 1 - places) // scale if backwards else places // scale
    for sample in (0, samples // 3, samples - 1):
        expected, found = np.zeros(-(-length // scale)), np.zeros(-(-length // scale))
        for tap in range(full.shape[1]):
            if full[sample, tap]:
                expected[where[full_first[sample] + tap]] += full[sample, tap]
        found[first[sample] : first[sample] + taps.shape[1]] = taps[sample]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert found.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("code", range(8))
def test_flipped_coefficients_hash_the_flipped_grid(code: int) -> None:
    grid = pdq.grid(planes.from_array(np.asarray(scene())))
    turned = grid.T if code & 4 else grid
    turned = turned[:, ::-1] if code & 1 else turned
    turned = turned[::-1] if code & 2 else turned
    expected, _ = pdq.hash_grid(np.ascontiguousarray(turned))
    assert packed.distance(pdq.pack(pdq.flipped(pdq.coefficients(grid), code)).tobytes(), expected) <= 2


@given(st.integers(0, 2**32 - 1), st.integers(2, 1000))
@settings(max_examples=50, deadline=None)
def test_median_is_the_128th_smallest(seed: int, spread: int) -> None:
    values = np.random.default_rng(seed).integers(0, spread, 256).astype(np.float32)
    assert pdq.lower_median(values) == np.sort(values)[127]


def test_every_hash_of_detail_has_128_bits() -> None:
    code, quality = pdq.hash_grid(pdq.grid(planes.from_array(np.asarray(scene(seed=4)))))
    assert (int.from_bytes(code).bit_count(), quality > 50) == (128, True)


def test_flat_picture_has_quality_zero() -> None:
    assert pdq.hash_grid(np.full((64, 64), 77, np.float32))[1] == 0


@pytest.mark.parametrize(("width", "height"), [(1280, 960), (1501, 1127), (2401, 1803)])
def test_reduced_jpeg_follows_the_full_decode(width: int, height: int) -> None:
    made = scene(width, height, seed=height)
    reduced = picture.hash_picture(reopened(made, "JPEG", quality=90), RULES, variants=False)
    full = np.asarray(reopened(made, "JPEG", quality=90).convert("RGB"))
    bits, _ = pdqhash.compute(full)
    assert packed.distance(reduced.pdq, np.packbits(bits).tobytes()) <= 8
    assert (reduced.width, reduced.height) == (width, height)


def test_published_values(corpora: Path) -> None:
    with (corpora / "vectors" / "pdq_golden.csv").open() as file:
        rows = list(csv.DictReader(file))
    checked = 0
    for row in rows:
        with Image.open(corpora / row["file"]) as image:
            found = picture.hash_picture(image, RULES, variants=False)
        if found.pdq_quality >= 80:
            assert packed.distance(found.pdq, bytes.fromhex(row["pdq_hex"])) <= 10, row["file"]
            checked += 1
    assert checked >= 10
