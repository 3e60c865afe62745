"""pHash and dHash: bit for bit imagehash's at full decode, close to it at a reduced one."""

from __future__ import annotations

from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.fingerprint.hashes import imagehashes, packed, picture, planes
from tests.pipeline.fingerprint.pictures import RULES, reopened, scene


def theirs(image: Image.Image) -> tuple[bytes, bytes, bytes]:
    values = (imagehash.phash(image, 16), imagehash.phash(image, 8), imagehash.dhash(image, 8))
    a, b, c = (np.packbits(value.hash).tobytes() for value in values)
    return a, b, c


def ours(image: Image.Image) -> tuple[bytes, bytes, bytes]:
    plane = planes.from_array(np.asarray(image))
    return imagehashes.phash(plane, 16), imagehashes.phash(plane, 8), imagehashes.dhash(plane)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.integers(0, 99), st.sampled_from([(64, 64), (32, 32), (9, 8)]))
def test_resize_equals_pillows(width: int, height: int, seed: int, size: tuple[int, int]) -> None:
    luma = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(luma).resize(size, Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(imagehashes.resized(planes.Plane(luma, width, height), *size), expected)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1001, 667), (200, 1500), (300, 537), (64, 64), (40, 30)])
def test_hashes_equal_imagehash(width: int, height: int) -> None:
    made = scene(width, height, seed=width)
    assert ours(made) == theirs(made)


def test_golden_picture(corpora: Path) -> None:
    with Image.open(corpora / "photos" / "imagehash" / "imagehash.png") as image:
        found = picture.hash_picture(image, RULES, variants=False)
    assert (found.phash64.hex(), found.dhash64.hex()) == ("ba8c84536bd3c366", "0026273b2b19550e")


def test_every_photograph_of_kodak_equals_imagehash(corpora: Path) -> None:
    for path in sorted((corpora / "photos" / "kodak").iterdir()):
        with Image.open(path) as image:
            made = image.convert("RGB")
        assert ours(made) == theirs(made), path.name


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_reduced_weights_keep_their_sum(scale: int, backwards: bool) -> None:
    _, count, taps = imagehashes.lanczos(3001, 64, scale, backwards)
    assert abs(taps.sum(axis=1) - (1 << 22)).max() < 600, "each weight was rounded to 22 bits"
    assert count.max() <= taps.shape[1]


def test_reduced_jpeg_stays_near_imagehash() -> None:
    made = scene(1500, 1100, seed=8)
    found = picture.hash_picture(reopened(made, "JPEG", quality=92), RULES, variants=False)
    full = theirs(reopened(made, "JPEG", quality=92).convert("RGB"))
    assert packed.distance(found.phash256, full[0]) <= 8
    assert packed.distance(found.phash64, full[1]) <= 2
    assert packed.distance(found.dhash64, full[2]) <= 2
