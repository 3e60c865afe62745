"""Query variants: each kind of edit comes back to the original's hash; the grid is what the policy says."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pipeline import policy
from pipeline.errors import SettingsError
from pipeline.fingerprint.hashes import packed, picture, planes, sampling, trimming, variants
from pipeline.settings import Settings
from tests.pipeline.fingerprint.pictures import RULES, reopened, scene


def nearest(edited: Image.Image, original: Image.Image) -> tuple[int, int, str]:
    """Distance of the plain hash, and the nearest variant with its name."""
    known = picture.hash_picture(reopened(original), RULES, variants=False).pdq
    found = picture.hash_picture(reopened(edited), RULES, variants=True)
    distance, name = min((packed.distance(code, known), name) for name, code, _ in found.variants)
    return packed.distance(found.pdq, known), distance, name


@pytest.mark.parametrize(
    ("turn", "name"),
    [
        (Image.Transpose.FLIP_LEFT_RIGHT, "mirrored"),
        (Image.Transpose.FLIP_TOP_BOTTOM, "upside down"),
        (Image.Transpose.ROTATE_180, "rotated 180"),
        (Image.Transpose.ROTATE_90, "rotated 90"),
        (Image.Transpose.ROTATE_270, "rotated 270"),
        (Image.Transpose.TRANSPOSE, "transposed"),
        (Image.Transpose.TRANSVERSE, "transposed along the other diagonal"),
    ],
)
@pytest.mark.parametrize("size", [(640, 480), (512, 512)])
def test_flips_and_quarter_turns(turn: Image.Transpose, name: str, size: tuple[int, int]) -> None:
    original = scene(*size)
    plain, distance, found = nearest(original.transpose(turn), original)
    assert plain > 60
    assert distance <= 10
    assert found == name or {found, name} == {"rotated 90", "rotated 270"}


@pytest.mark.parametrize("kind", ["black", "white", "blurred"])
@pytest.mark.parametrize("percent", [5, 12, 20])
def test_borders_are_taken_off(kind: str, percent: int) -> None:
    original = scene()
    across, down = 640 * percent // 100, 480 * percent // 100
    size = (640 + 2 * across, 480 + 2 * down)
    framed = (
        original.resize(size).filter(ImageFilter.GaussianBlur(20))
        if kind == "blurred"
        else Image.new("RGB", size, kind)
    )
    framed.paste(original, (across, down))
    plain, distance, found = nearest(framed, original)
    assert distance <= 31 < plain
    assert any(word in found for word in ("trimmed", "cropped", "part", "flattened"))


@pytest.mark.parametrize(
    "sides", [(10, 0, 0, 0), (0, 10, 0, 0), (0, 0, 10, 0), (0, 0, 0, 10), (10, 10, 0, 0), (5, 5, 5, 5)]
)
def test_crops_are_guessed_back(sides: tuple[int, int, int, int]) -> None:
    original = scene(seed=3)
    left, top, right, bottom = sides
    box = (6.4 * left, 4.8 * top, 640 - 6.4 * right, 480 - 4.8 * bottom)
    plain, distance, found = nearest(original.crop(tuple(round(v) for v in box)), original)
    assert distance <= 47 < plain
    assert found.startswith("padded")


@pytest.mark.parametrize("degrees", [3, -5])
def test_small_turns_are_undone(degrees: int) -> None:
    original = scene(seed=5)
    _, distance, found = nearest(original.rotate(-degrees, Image.Resampling.BICUBIC), original)
    assert distance <= 31
    assert found.startswith("turned") and ("anticlockwise" in found) == (degrees < 0)


def test_names_are_distinct_and_follow_the_policy() -> None:
    found = picture.hash_picture(reopened(scene()), RULES, variants=True).variants
    names = [name for name, _, _ in found]
    assert len(set(names)) == len(names)
    assert all(len(code) == 32 and 0 <= quality <= 100 for _, code, quality in found)
    bare = {key: [] for key in RULES["variants"] if key != "trimming"} | {"trimming": RULES["variants"]["trimming"]}
    assert len(variants.frames(bare)[0]) == 0
    one = variants.frames({**bare, "padded_corner": [10]})[0]
    assert [name for name, _ in one] == [
        "padded left and top 10 %",
        "padded top and right 10 %",
        "padded right and bottom 10 %",
        "padded bottom and left 10 %",
    ]
    assert one[3][1] == (0.1, 0.0, 0.0, 0.1, 0.0)


def test_schema_refuses_a_wrong_grid(tmp_path) -> None:  # type: ignore[no-untyped-def]
    import yaml

    wrong = copy.deepcopy(RULES)
    wrong["variants"]["padded_one_side"] = [-3]
    (tmp_path / "fingerprint.yaml").write_text(yaml.safe_dump(wrong))
    with pytest.raises(SettingsError, match="padded_one_side"):
        policy.load(Settings(policy=tmp_path), "fingerprint")


def naive_sample(base: sampling.SampledBase, geometry: np.ndarray) -> np.ndarray:
    """Inside points by plain bilinear interpolation, one by one; outside points are NaN."""
    left, top, right, bottom, degrees = geometry
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    out = np.full((64, 64), np.nan)
    for i in range(64):
        for j in range(64):
            across = (j + 0.5) / 64 * (1 + left + right) - left - 0.5
            down = (i + 0.5) / 64 * (1 + top + bottom) - top - 0.5
            x = (across * cosine - down * sine / base.aspect + 0.5) * 256 - 0.5
            y = (across * base.aspect * sine + down * cosine + 0.5) * 256 - 0.5
            if 0 <= x <= 255 and 0 <= y <= 255:
                x0, y0 = min(int(x), 254), min(int(y), 254)
                block = base.samples[y0 : y0 + 2, x0 : x0 + 2]
                out[i, j] = np.array([1 - y + y0, y - y0]) @ block @ np.array([1 - x + x0, x - x0])
    return out


@pytest.mark.parametrize(
    "geometry", [(0, 0, 0, 0, 0), (0.1, 0.2, -0.1, 0, 0), (0, 0, 0, 0, 4), (0.05, 0.05, 0.05, 0.05, -6)]
)
def test_sampling_inside_is_bilinear(geometry: tuple[float, ...]) -> None:
    base = sampling.base(planes.from_array(np.asarray(scene())))
    expected = naive_sample(base, np.array(geometry))
    found = sampling.sample(base.samples, base.edges, np.array(geometry, np.float64), base.aspect)
    inside = np.isfinite(expected)
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.05)
    assert np.isfinite(found).all()
    assert base.samples.min() - 1 <= found.min() and found.max() <= base.samples.max() + 1


def test_nothing_is_trimmed_from_a_picture_without_a_border() -> None:
    luma = planes.from_array(np.asarray(scene(seed=7))).luma
    assert trimming.plain_border(luma, RULES["variants"]["trimming"]) == trimming.NOTHING


def test_letters_in_a_bar_do_not_keep_it() -> None:
    screen = Image.new("L", (400, 600), 250)
    screen.paste(scene(400, 400).convert("L"), (0, 100))
    screen.paste(0, (20, 30, 90, 42))
    box = trimming.plain_border(np.asarray(screen), RULES["variants"]["trimming"])
    np.testing.assert_allclose(box, (0, 100 / 600, 0, 100 / 600), atol=0.01)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_pictures_are_flagged_and_hashed(level: int) -> None:
    found = picture.hash_picture(reopened(Image.new("L", (300, 200), level)), RULES, variants=True)
    assert found.low_information and found.pdq_quality == 0
    assert (len(found.pdq), len(found.phash256), len(found.phash64), len(found.dhash64)) == (32, 32, 8, 8)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3, 2), (5000, 1)])
def test_smallest_pictures_are_hashed(size: tuple[int, int]) -> None:
    found = picture.hash_picture(reopened(Image.new("RGB", size, (9, 9, 9))), RULES, variants=True)
    assert found.low_information and len(found.variants) >= 100
