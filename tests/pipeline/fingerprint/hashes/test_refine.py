"""Refinement: copies come near and their geometry is named; other pictures stay far."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.fingerprint.hashes import packed, pdq, picture, refine
from tests.pipeline.fingerprint.pictures import RULES, reopened, scene


def known_of(image: Image.Image) -> bytes:
    return picture.hash_picture(reopened(image), RULES, variants=False).pdq


def test_the_picture_itself() -> None:
    found = picture.refine_picture(reopened(scene()), known_of(scene()), RULES)
    assert found.distance <= 4
    assert found.geometry == "known picture"


def test_a_crop_is_named() -> None:
    original = scene(seed=3)
    found = picture.refine_picture(reopened(original.crop((64, 0, 640, 480))), known_of(original), RULES)
    assert found.distance <= 31
    assert "at the left" in found.geometry and "cut off" in found.geometry


def test_a_mirrored_crop_is_named() -> None:
    original = scene(seed=6)
    edited = original.crop((0, 48, 640, 480)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    found = picture.refine_picture(reopened(edited), known_of(original), RULES)
    assert found.distance <= 39
    assert "mirrored" in found.geometry and "at the top" in found.geometry


def test_never_further_than_the_nearest_variant() -> None:
    original = scene(seed=9)
    edited = reopened(original.crop((40, 30, 600, 470)))
    known = known_of(original)
    hashes = picture.hash_picture(reopened(edited), RULES, variants=True)
    nearest = min(packed.distance(code, known) for _, code, _ in hashes.variants)
    assert picture.refine_picture(reopened(edited), known, RULES).distance <= nearest + 2


def test_other_pictures_stay_far_and_order_is_kept() -> None:
    original = scene(seed=11)
    knowns = [known_of(scene(seed=seed)) for seed in (12, 11, 13)]
    found = picture.refine_many(reopened(original), knowns, RULES)
    assert found[1].distance <= 4
    assert min(found[0].distance, found[2].distance) > 60
    assert picture.refine_picture(reopened(original), knowns[2], RULES) == found[2]
    assert picture.refine_many(reopened(original), [], RULES) == []


@pytest.mark.parametrize(
    ("geometry", "code", "expected"),
    [
        ((0, 0, 0, 0, 0), 0, "known picture"),
        ((0, 0, 0, 0, 0), 1, "known picture, mirrored"),
        ((0.1111, 0, 0, 0, 0), 0, "known picture, about 10 % at the left cut off"),
        ((0.25, 0.25, 0, 0, 0), 0, "known picture, about 20 % at the left and 20 % at the top cut off"),
        ((0, -0.1, 0, -0.1, 0), 0, "known picture, about 10 % at the top and 10 % at the bottom added around it"),
        ((0, 0, 0, 0, -2.26), 2, "known picture, upside down, turned about 2.3 degrees anticlockwise"),
    ],
)
def test_words(geometry: tuple[float, ...], code: int, expected: str) -> None:
    assert refine.words(np.array(geometry), code) == expected


def middle(image: Image.Image, wide: int, high: int) -> Image.Image:
    """The largest centre crop of a shape."""
    return ImageOps.fit(image, (image.width, image.width * high // wide))


def naive_weighed(values: np.ndarray, known: bytes) -> float:
    """The obvious twin of `refine.weighed`, in whole arrays."""
    offsets = values - np.sort(values)[127]
    frequency = np.sqrt(np.add.outer(np.arange(1, 17) ** 2, np.arange(1, 17) ** 2)).ravel()
    firm = np.abs(offsets) * frequency
    firm = np.minimum(firm, np.sort(firm)[191])
    bits = np.unpackbits(np.frombuffer(known, np.uint8)[::-1], bitorder="little")
    return float(256 * firm[(offsets > 0) != bits].sum() / firm.sum())


def test_weighed_bits_are_those_of_the_obvious_twin_and_half_by_chance() -> None:
    random = np.random.default_rng(4)
    for _ in range(20):
        values, known = random.normal(size=256).astype(np.float32), random.bytes(32)
        found = refine.weighed(values, np.frombuffer(known, np.uint8))
        assert found == pytest.approx(naive_weighed(values, known), abs=0.01)
        assert 60 < found < 196
        assert refine.weighed(values, np.frombuffer(pdq.pack(values), np.uint8)) == 0


@pytest.mark.parametrize("seed", [3, 6, 9])
def test_of_a_square_cut_to_16_by_9_the_firm_bits_agree_and_other_pictures_do_not(seed: int) -> None:
    square = scene(seed=seed).resize((512, 512))
    others = [known_of(scene(seed=seed + k).resize((512, 512))) for k in (20, 21, 22)]
    own, *rest = picture.refine_many(reopened(middle(square, 16, 9)), [known_of(square), *others], RULES)
    assert own.weighed <= 60 < min(one.weighed for one in rest)
    assert own.weighed < min(one.weighed for one in rest) - 20


def test_without_a_frame_that_is_mostly_guessed_nothing_is_weighed() -> None:
    assert picture.refine_picture(reopened(scene()), known_of(scene()), RULES).weighed == 256
