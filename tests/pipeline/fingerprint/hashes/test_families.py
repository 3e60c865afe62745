"""Copies inside other pictures, covered, or seen at an angle come back to the original's hash."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from pipeline.fingerprint.hashes import (
    covering,
    families,
    flatness,
    packed,
    panels,
    pdq,
    perspective,
    picture,
    planes,
    refine,
    sampling,
    slants,
    trimming,
    variants,
)
from tests.pipeline.fingerprint.pictures import RULES, reopened, scene


def nearest(edited: Image.Image, original: Image.Image) -> tuple[int, str]:
    known = picture.hash_picture(reopened(original), RULES, variants=False).pdq
    found = picture.hash_picture(reopened(edited), RULES, variants=True)
    return min((packed.distance(code, known), name) for name, code, _ in found.variants)


def other() -> Image.Image:
    return ImageOps.mirror(ImageOps.invert(scene(480, 640)).resize((640, 480)))


def pasted(size: tuple[int, int], *at: tuple[Image.Image, tuple[int, int]]) -> Image.Image:
    canvas = Image.new("RGB", size, (18, 18, 18))
    for image, place in at:
        canvas.paste(image, place)
    return canvas


COMPOSED = {
    "stacked": lambda: pasted((640, 960), (other(), (0, 0)), (scene(), (0, 480))),
    "side by side with a gutter": lambda: pasted((1296, 480), (scene(), (0, 0)), (other(), (656, 0))),
    "two by two": lambda: pasted(
        (1280, 960), (other(), (0, 0)), (scene(), (640, 0)), (other(), (0, 480)), (other(), (640, 480))
    ),
    "inset": lambda: pasted((1280, 960), (other().resize((1280, 960)), (0, 0)), (scene(), (620, 460))),
    "story on its own blur": lambda: pasted(
        (720, 1280),
        (scene().resize((720, 1280)).filter(ImageFilter.GaussianBlur(30)), (0, 0)),
        (scene().resize((720, 540)), (0, 420)),
    ),
    "phone": lambda: pasted((1080, 2340), (scene().resize((1080, 810)), (0, 765))),
}


@pytest.mark.parametrize("name", list(COMPOSED))
def test_a_picture_within_another_is_found(name: str) -> None:
    distance, variant = nearest(COMPOSED[name](), scene())
    assert distance <= 31, variant


def test_a_narrowed_side_is_laid_flat() -> None:
    original = scene()
    to_pixels, to_shares = np.diag([640.0, 480.0, 1.0]), np.diag([1 / 640, 1 / 480, 1.0])
    narrow = np.append(perspective.matrix(perspective.narrowed("top", 0.08)), 1).reshape(3, 3)
    back = to_pixels @ np.linalg.inv(narrow) @ to_shares
    values = tuple((back / back[2, 2]).ravel()[:8])
    warped = original.transform(original.size, Image.Transform.PERSPECTIVE, values, Image.Resampling.BICUBIC)
    distance, name = nearest(warped, original)
    assert distance <= 31 and ("flattened" in name or "narrowed" in name)


def test_a_disc_laid_over_is_guessed_from_its_rim() -> None:
    covered = scene()
    ImageDraw.Draw(covered).ellipse((240, 160, 400, 320), fill=(255, 204, 50))
    distance, _ = nearest(covered, scene())
    plain = picture.hash_picture(reopened(covered), RULES, variants=False).pdq
    assert distance < packed.distance(plain, picture.hash_picture(reopened(scene()), RULES, variants=False).pdq)


def test_a_picture_laid_over_is_guessed_from_its_rim() -> None:
    covered = pasted((640, 480), (scene(), (0, 0)), (other().resize((224, 168)), (400, 296)))
    distance, name = nearest(covered, scene())
    assert distance <= 47 and name.startswith("patched"), (distance, name)


def test_without_a_box_the_rest_is_as_it_was_and_the_inside_of_the_rim() -> None:
    plain = np.tile(np.linspace(0, 200, 64, dtype=np.float32), (64, 1))
    marked = plain.copy()
    marked[20:40, 30:50] = 255
    box = np.array([30 / 64, 20 / 64, 14 / 64, 24 / 64])
    mended = covering._without_box(marked, box)
    assert np.array_equal(mended[:18], plain[:18]) and np.array_equal(mended[:, 52:], plain[:, 52:])
    assert np.abs(mended - plain).max() < 40  # no trace of the 255 that was laid over
    whole = covering._without_box(marked, np.zeros(4))  # no rim is left: nothing to guess from, and no fault
    assert np.isfinite(whole).all()


def test_a_screen_at_a_slant_is_found_by_its_edges() -> None:
    room = np.tile(np.linspace(60, 90, 400), (300, 1)).astype(np.uint8)
    canvas = Image.fromarray(room)
    corners = [(70, 50), (330, 62), (340, 244), (58, 256)]
    ImageDraw.Draw(canvas).polygon(corners, fill=25)
    policy = RULES["variants"]["corners"]["slants"]
    (_, quad), *_ = perspective._between_slants(np.asarray(canvas), policy)
    apart = max(max(abs(400 * x - u), abs(300 * y - v)) for (x, y), (u, v) in zip(quad, corners, strict=True))
    assert apart < 4
    assert perspective._between_slants(np.full((300, 400), 90, np.uint8), policy) == []


def test_bars_that_are_blurred_end_where_the_picture_begins() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (300, 200), np.uint8)
    noise[:70], noise[240:] = 90, 120
    left, top, right, bottom = trimming.sharp_area(noise, RULES["variants"]["trimming"])
    assert (left, right) == (0, 0) and (round(300 * top), round(300 * bottom)) == (70, 60)
    noise[240:] = 255 * (noise[240:] > 0) - np.arange(200, dtype=np.uint8) % 2 * 99  # one end alone is a sky
    assert trimming.sharp_area(noise, RULES["variants"]["trimming"]) == trimming.NOTHING


def test_a_usual_shape_is_tried_from_a_single_seam() -> None:
    luma = np.full((320, 180), 60, np.uint8)
    luma[100:] = 150  # the upper seam only: a picture of 4:3 below it, 135 rows high
    rules = {**RULES["variants"]["panels"], **RULES["variants"]["shaped"]}
    boxes = panels.shaped(luma, 180 / 320, rules, [])
    assert any(abs(top - 100 / 320) < 0.005 and abs(bottom - 85 / 320) < 0.005 for _, top, _, bottom in boxes)
    assert panels.shaped(luma, 180 / 320, rules, boxes) == []


@pytest.mark.parametrize(
    ("aspect", "begins"),
    [
        (16 / 9, "opened from 16.9 to "),
        (9 / 16, "opened from 9.16 to "),
        (0.8, "opened from 4.5 to "),
        (1.5, "opened to "),
    ],
)
def test_a_file_of_a_shape_that_people_crop_to_is_opened_by_that_name(aspect: float, begins: str) -> None:
    names = [name for name, _ in families._shapes(aspect, (576, 324), RULES["variants"]["shapes"])]
    assert names and all(name.startswith(begins) for name in names)
    assert all(name.startswith(families.GUESSED) for name in names) == ("from" in begins)


@pytest.mark.parametrize(("size", "cut"), [((1920, 1080), False), ((1900, 1069), True), ((1080, 1920), True)])
def test_a_size_that_cameras_make_is_no_crop_by_its_shape(size: tuple[int, int], cut: bool) -> None:
    names = [name for name, _ in families._shapes(size[0] / size[1], size, RULES["variants"]["shapes"])]
    assert names and all(name.startswith("opened from") == cut for name in names)


def test_frames_of_videos_are_not_taken_for_crops() -> None:
    wide = np.asarray(ImageOps.fit(scene(), (640, 360)).convert("L"))
    names = [name for name, _, _ in picture.frame_variants(wide, RULES)]
    assert any(name.startswith("opened to") for name in names)
    assert not any(name.startswith("opened from") for name in names)


def uncovered(image: Image.Image) -> list[str]:
    names = [name for name, _, _ in picture.hash_picture(reopened(image), RULES, variants=True).variants]
    return [name for name in names if name.startswith("uncovered plain bar")]


@pytest.mark.parametrize("above", [True, False])
def test_a_caption_laid_over_is_a_plain_bar_on_one_side(above: bool) -> None:
    captioned = scene().copy()
    top = 0 if above else 360
    draw = ImageDraw.Draw(captioned)
    draw.rectangle((0, top, 640, top + 120), fill=(250, 250, 250))
    for line in (30, 70):
        draw.rectangle((120, top + line, 520, top + line + 18), fill=(20, 20, 20))  # as lines of letters
    assert uncovered(captioned) == [f"uncovered plain bar at the {'top' if above else 'bottom'} 25 %"]


def test_a_frame_on_both_sides_and_a_step_within_a_picture_are_no_plain_bars() -> None:
    assert uncovered(pasted((640, 720), (scene(), (0, 120)))) == []
    luma = np.asarray(scene().convert("L").resize((256, 192)))
    rules = RULES["variants"]["uncovered"]["plain"]
    assert not any(covering.plain_bar(luma, side, share, rules) for side in range(4) for share in (0.1, 0.2, 0.3))


@pytest.mark.parametrize("gutter", [0, 12])
def test_two_usual_shapes_at_the_ends_are_tried_whatever_seams_are_seen(gutter: int) -> None:
    rules = {**RULES["variants"]["panels"], **RULES["variants"]["shaped"]}
    stacked = list(panels._ends(640 / (480 + gutter + 960), rules))  # 4:3 above 2:3
    seam = 1 - 480 / (1440 + gutter)
    assert any(box == pytest.approx((0, 0, 0, seam)) for box in stacked)
    beside = list(panels._ends((480 + gutter + 960) / 640, rules))
    assert any(box == pytest.approx((seam, 0, 0, 0)) for box in beside)


@pytest.mark.parametrize("percent", [10, 17, 25])
@pytest.mark.parametrize("above", [True, False])
def test_a_caption_of_the_pictures_own_ground_is_taken_off_by_the_shape_of_the_rest(percent: int, above: bool) -> None:
    page = Image.new("RGB", (640, 480), (250, 250, 250))
    page.paste(scene().resize((320, 160)), (160, 160))  # white above and below, as in the caption
    bar = 480 * percent // 100
    captioned = Image.new("RGB", (640, 480 + bar), (250, 250, 250))
    captioned.paste(page, (0, bar if above else 0))
    distance, name = nearest(captioned, page)
    assert distance <= 31 and name.startswith("shaped"), (distance, name)


def night_sky() -> Image.Image:
    night = scene().crop((0, 0, 640, 411))  # of no usual shape
    ImageDraw.Draw(night).rectangle((0, 0, 640, 120), fill=(18, 18, 18))
    return night


def test_plain_ground_at_the_other_end_is_the_pictures_own() -> None:
    distance, name = nearest(pasted((640, 480), (night_sky(), (0, 0))), night_sky())
    assert distance <= 31 and name.startswith(("beside", "part")), (distance, name)


def test_both_sides_of_each_seam_are_tried_and_none_twice() -> None:
    luma = np.full((200, 100), 60, np.uint8)
    luma[50:90], luma[90:] = 150, 90
    rules = RULES["variants"]["panels"]
    boxes = panels.beside(luma, rules, [(0.0, 0.25, 0.0, 0.1)], [])
    seams = [(0, 0.25, 0, 0), (0, 0, 0, 0.1), (0, 0, 0, 0.75), (0, 0, 0, 0.55), (0, 0.45, 0, 0)]
    assert np.allclose(sorted(boxes), sorted(seams))
    assert panels.beside(luma, rules, [], boxes) == []


@pytest.mark.parametrize("flip", packed.FLIPS)
def test_flips_from_the_hash_alone_follow_those_of_the_picture(flip: str) -> None:
    plane = planes.decode(reopened(scene()), RULES["canonical"])
    coefs = pdq.coefficients(pdq.grid(plane))
    plain = np.frombuffer(pdq.pack(coefs.ravel()).tobytes(), np.uint8).reshape(1, 32)
    wanted = pdq.pack(pdq.flipped(coefs, packed.FLIPS.index(flip))).tobytes()
    apart = packed.distance(packed.flipped_codes(plain, flip)[0].tobytes(), wanted)
    assert apart <= (0 if flip in ("plain", "transposed") else 16)
    assert packed.flipped_codes(np.empty((0, 32), np.uint8), flip).shape == (0, 32)


def test_a_plain_picture_has_no_panels_and_names_are_distinct() -> None:
    plane = planes.decode(reopened(Image.new("RGB", (640, 480), (90, 90, 90))), RULES["canonical"])
    assert panels.boxes(trimming.small(plane), RULES["variants"]["panels"], []) == []
    names = [name for name, _, _ in variants.all_variants(plane, RULES["variants"])]
    assert len(names) == len(set(names)) and max(len(name) for name in names) <= 80


SHAPES = (
    (49, 27),
    (40, 22),
    (64, 32),
    (12, 9),
    (36, 73),
    (66, 27),
    (42, 70),
    (12, 18),
    (16, 16),
    (1, 1),
    (640, 1344),
    (1296, 480),
)


@pytest.mark.parametrize("size", SHAPES)
def test_names_are_distinct_whatever_shape_a_picture_has(size: tuple[int, int]) -> None:
    """A worker's answer with one name twice is refused whole: small pictures of such shapes once came to nothing by it."""
    for seed in range(4):
        blocks = max(1, size[1] // (2 + seed)), max(1, size[0] // (2 + seed))
        noise = np.random.default_rng(seed).integers(0, 256, (*blocks, 3), dtype=np.uint8)
        picked = Image.fromarray(noise).resize(size, Image.Resampling.NEAREST)  # seams at every block
        plane = planes.decode(reopened(picked), RULES["canonical"])
        names = [name for name, _, _ in variants.all_variants(plane, RULES["variants"])]
        assert len(names) == len(set(names)), seed


def test_boxes_within_a_per_cent_have_names_of_their_own() -> None:
    boxes = [(0.0, 0.0, 0.0, 0.5 + k / 2000) for k in range(12)]
    named = list(families._placed("shaped", [*boxes, boxes[0], boxes[5]]))
    assert [frame for _, frame in named] == [(0.0, 0.0, 0.0, -box[3], 0.0) for box in boxes]
    assert len({name for name, _ in named}) == len(boxes)
    assert named[0][0] == "shaped 0-100 % across, 0-50 % down" and max(len(name) for name, _ in named) <= 80


def test_projection_and_parts_are_those_of_plain_geometry() -> None:
    plane = planes.decode(reopened(scene()), RULES["canonical"])
    source = sampling.base(plane)
    box = (0.1, 0.2, 0.3, 0.25)
    quad = ((0.1, 0.2), (0.7, 0.2), (0.7, 0.75), (0.1, 0.75))
    by_part = families.hashed(sampling.part(source, box), [("part", (0.0, 0.0, 0.0, 0.0, 0.0))])[0][1]
    frame = families.hashed(source, [("frame", (-0.1, -0.2, -0.3, -0.25, 0.0))])[0][1]
    codes, _ = sampling.hash_quads(source.samples, np.array([perspective.matrix(quad)]))
    assert packed.distance(codes[0].tobytes(), frame) <= 2 and packed.distance(by_part, frame) <= 12


def test_corners_of_a_bright_quadrilateral() -> None:
    canvas = Image.new("L", (400, 300), 20)
    ImageDraw.Draw(canvas).polygon([(60, 40), (340, 60), (360, 250), (50, 270)], fill=220)
    found = perspective.quads(np.asarray(canvas), RULES["variants"]["corners"])
    assert found
    expected = ((0.15, 0.133), (0.85, 0.2), (0.9, 0.833), (0.125, 0.9))
    apart = max(abs(a - b) for p, q in zip(found[0][1], expected, strict=True) for a, b in zip(p, q, strict=True))
    assert apart < 0.02


def test_preparing_compiles_what_every_family_uses() -> None:
    picture.prepare(RULES)
    prepared = (
        panels._profile, panels._stand_out, panels._longest, panels._search, sampling._enlarged, sampling._edges,
        sampling.hash_quads, sampling._project, covering.hash_discs, covering.hash_boxes, covering._without_disc,
        covering._without_box, slants._strengths, trimming._detail, flatness._even, refine._weighed_least,
    )  # fmt: skip
    assert all(kernel.signatures for kernel in prepared)  # type: ignore[attr-defined]


WORDS = (
    "opened",
    "inside",
    "uncovered",
    "patched",
    "part",
    "cell",
    "shaped",
    "beside",
    "flattened",
    "narrowed",
    "disc",
)


VARIOUS = {**COMPOSED, "caption under a night sky": lambda: pasted((640, 480), (night_sky(), (0, 0)))}


@pytest.mark.parametrize("name", list(VARIOUS))
def test_variants_of_some_names_are_those_of_all_that_begin_so(name: str) -> None:
    plane, rules = planes.decode(reopened(VARIOUS[name]()), RULES["canonical"]), RULES["variants"]
    every = variants.all_variants(plane, rules)
    asked = [
        *WORDS,
        "border trimmed",
        "padded all sides",
        "turned 3",
        "mirrored",
        "s",
        "part 0-50 % across, 0",
        "no such name",
    ]
    for begins in (
        *((one,) for one in asked),
        tuple(RULES["video"]["key_frames"]["families"]),
        ("beside", "disc"),
        ("",),
    ):
        some = variants.all_variants(plane, rules, begins)
        assert some == tuple(one for one in every if one[0].startswith(begins)), begins


def test_the_pictures_of_these_tests_have_variants_of_every_family() -> None:
    found: set[str] = set()
    for make in VARIOUS.values():
        plane = planes.decode(reopened(make()), RULES["canonical"])
        found |= {name.split()[0] for name, _, _ in variants.all_variants(plane, RULES["variants"])}
    assert found > {*WORDS, "border", "padded", "cropped", "turned", "mirrored"}
