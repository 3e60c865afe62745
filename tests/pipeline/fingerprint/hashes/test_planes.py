"""Each rule of the canonical form, on pictures made for it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ExifTags, Image

from pipeline.fingerprint.hashes import packed, picture, planes
from tests.pipeline.fingerprint.pictures import RULES, reopened, scene

CANONICAL = RULES["canonical"]
TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What has to be done to an upright picture so that the EXIF orientation undoes it."""


def luma(image: Image.Image) -> np.ndarray:
    return planes.decode(image, CANONICAL).luma


@pytest.mark.parametrize(("size", "scale"), [((500, 400), 1), ((1024, 768), 2), ((1100, 1024), 4), ((2600, 2100), 8)])
def test_jpeg_is_decoded_at_the_largest_reduction_that_fits(size: tuple[int, int], scale: int) -> None:
    plane = planes.decode(reopened(scene(*size), "JPEG"), CANONICAL)
    assert (plane.scale, plane.width, plane.height) == (scale, *size)
    assert min(plane.luma.shape) >= CANONICAL["reduced_side"] or scale == 1


@pytest.mark.parametrize("size", [(640, 480), (1501, 1127)])
@pytest.mark.parametrize("value", TURNS)
def test_exif_orientation_is_undone(value: int, size: tuple[int, int]) -> None:
    upright = scene(*size)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    turn = TURNS[value]
    stored = upright.transpose(turn) if turn is not None else upright
    expected = picture.hash_picture(reopened(upright, "JPEG", quality=95), RULES, variants=False)
    found = picture.hash_picture(reopened(stored, "JPEG", quality=95, exif=exif), RULES, variants=False)
    assert (found.width, found.height) == size
    assert packed.distance(found.pdq, expected.pdq) <= 6
    assert packed.distance(found.phash256, expected.phash256) <= 6


@pytest.mark.parametrize("value", [0, 9, 77])
def test_meaningless_orientation_counts_as_upright(value: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    assert planes.orientation(reopened(scene(64, 48), "JPEG", exif=exif)) == 1


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_counts_as_upright() -> None:
    image = reopened(scene(64, 48), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert planes.decode(image, CANONICAL).luma.shape == (48, 64)


def test_colour_becomes_bt601_luma() -> None:
    made = Image.new("RGB", (8, 8), (200, 100, 50))
    assert (luma(reopened(made)) == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)).all()


@pytest.mark.parametrize("ground", [0, 128, 255])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_on_the_ground(mode: str, ground: int) -> None:
    made = Image.new("RGBA", (8, 8), (10, 10, 10, 0))
    made.paste((10, 10, 10, 255), (0, 0, 4, 8))
    found = planes.decode(reopened(made.convert(mode)), {**CANONICAL, "ground": ground}).luma
    assert (found[:, :4] == 10).all()
    assert (found[:, 4:] == ground).all()


def test_transparent_palette_colour_is_laid_on_the_ground() -> None:
    made = Image.new("P", (8, 8), 0)
    made.putpalette([90, 90, 90, 20, 20, 20])
    made.paste(1, (0, 0, 4, 8))
    found = luma(reopened(made, "PNG", transparency=0))
    assert (found[:, :4] == 20).all()
    assert (found[:, 4:] == CANONICAL["ground"]).all()


def test_palette_and_one_bit_are_expanded() -> None:
    made = Image.new("P", (4, 4), 1)
    made.putpalette([0, 0, 0, 60, 60, 60])
    assert (luma(reopened(made, "GIF")) == 60).all()
    assert set(np.unique(luma(reopened(scene(64, 64).convert("1"))))) == {0, 255}


def test_sixteen_bits_keep_their_high_byte() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for kind in ("PNG", "TIFF"):
        assert (luma(reopened(Image.fromarray(values), kind)) == values >> 8).all()


def test_32_bit_integers_are_clipped_to_sixteen() -> None:
    values = np.array([[-5, 0, 256, 65535, 2_000_000]], np.int32)
    assert luma(Image.fromarray(values)).tolist() == [[0, 0, 1, 255, 255]]


def test_floats_are_stretched_between_their_extremes() -> None:
    values = np.array([[-1.0, 0.0, 1.0, np.nan, np.inf]], np.float32)
    assert luma(reopened(Image.fromarray(values), "TIFF")).tolist() == [[0, 128, 255, 0, 0]]
    assert luma(Image.fromarray(np.full((2, 2), np.nan, np.float32))).tolist() == [[0, 0], [0, 0]]


def test_cmyk_jpeg_hashes_as_its_colours() -> None:
    made = scene(800, 600)
    expected = picture.hash_picture(reopened(made, "JPEG", quality=95), RULES, variants=False)
    found = picture.hash_picture(reopened(made.convert("CMYK"), "JPEG", quality=95), RULES, variants=False)
    assert packed.distance(found.pdq, expected.pdq) <= 8


@pytest.mark.parametrize("mode", ["L", "YCbCr", "HSV", "LAB"])
def test_other_colour_spaces_give_their_lightness(mode: str) -> None:
    made = scene(64, 48)
    image = made.convert(mode) if mode != "LAB" else Image.merge("LAB", made.split())
    expected = made.split()[0] if mode == "LAB" else made.convert("L")
    assert np.abs(luma(image).astype(int) - np.asarray(expected).astype(int)).max() <= 4


def test_frame_that_was_sought_is_hashed() -> None:
    first, second = scene(seed=1), scene(seed=2)
    image = reopened(first, "PNG", save_all=True, append_images=[second], duration=100)
    image.seek(1)
    found = picture.hash_picture(image, RULES, variants=False)
    assert found.pdq == picture.hash_picture(reopened(second), RULES, variants=False).pdq


def test_frame_arrays() -> None:
    made = scene()
    grey = picture.hash_frame(np.asarray(made.convert("L")), RULES)
    assert picture.hash_frame(np.asarray(made), RULES) == grey
    assert (grey.width, grey.height, grey.low_information) == (640, 480, False)
    for wrong in (np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.uint16), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match="a frame is uint8"):
            planes.from_array(wrong)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (8,), (255,), (256,), (3, 5), (4, 6)])
def test_a_median_is_numpys(kind: type, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(shape[0])
    for spread in (1, 3, 255):
        values = (rng.random(shape) * spread).astype(kind)
        for one in (values, np.zeros(shape, kind), np.full(shape, 200, np.uint8).astype(kind), values.T):
            assert planes.median(one) == float(np.median(one))


def test_a_histogram_counts_every_pixel() -> None:
    luma = np.random.default_rng(1).integers(0, 256, (37, 41)).astype(np.uint8)
    for one in (luma, np.ascontiguousarray(luma[:, :3]), np.full((5, 5), 255, np.uint8)):
        assert planes.histogram(one).tolist() == np.bincount(one.ravel(), minlength=256).tolist()
