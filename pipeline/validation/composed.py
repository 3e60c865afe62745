"""Edits that put a picture into something else, or combine two edits: screens, captions, stories, collages, perspective.

`EDITS` maps a name to (class, function) as in `edits`; the functions take a third argument, other pictures to
compose with. Every position, theme and size that people vary is drawn from the random generator.
Classes: screen, caption, collage, combined, perspective, aspect, cover, turn, colour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from pipeline.validation.edits import RgbPicture, cropped, encoded

Random = np.random.Generator
Composed = Callable[[RgbPicture, Random, Sequence[RgbPicture]], bytes]
EditStep = Callable[[RgbPicture, Random], RgbPicture]

DARK, LIGHT = ((18, 18, 18), (235, 235, 235)), ((250, 250, 250), (20, 20, 20))
WORDS = ["synthetic", "sample", "caption", "words", "that", "say", "nothing", "and", "stand", "for", "any", "text"]


def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=max(round(size), 8))


def _text(random: Random, words: int) -> str:
    return " ".join(str(word) for word in random.choice(WORDS, words))


def _theme(random: Random) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    return DARK if random.integers(2) else LIGHT


def _another(others: Sequence[RgbPicture], random: Random) -> RgbPicture:
    return others[int(random.integers(len(others)))]


def phone_screen(picture: RgbPicture, random: Random, _: Sequence[RgbPicture] = ()) -> bytes:
    """A gallery on a phone, 1080 x 2340: the picture as wide as the screen, a status bar, a bar of buttons below."""
    ground, ink = _theme(random)
    screen = Image.new("RGB", (1080, 2340), ground)
    shown = ImageOps.contain(picture, (1080, 1900), Image.Resampling.LANCZOS)
    screen.paste(shown, ((1080 - shown.width) // 2, (2340 - shown.height) // 2))
    draw = ImageDraw.Draw(screen)
    draw.text((60, 30), "10:42", ink, font=font(40))
    draw.rectangle((960, 34, 1020, 66), outline=ink, width=4)
    if random.integers(2):
        draw.text((60, 130), _text(random, 3), ink, font=font(48))
    for place in range(4):
        centre = 135 + 270 * place
        draw.ellipse((centre - 34, 2190, centre + 34, 2258), outline=ink, width=6)
    draw.rounded_rectangle((390, 2310, 690, 2320), 5, fill=ink)
    return encoded(screen)


def social_screen(picture: RgbPicture, random: Random, _: Sequence[RgbPicture] = (), *, dark: bool) -> bytes:
    """A post in a feed on a phone: avatar and name above, the picture in full width, icons, likes and text below."""
    ground, ink = DARK if dark else LIGHT
    shown = ImageOps.contain(picture, (1080, 1350), Image.Resampling.LANCZOS)
    screen = Image.new("RGB", (1080, 2340), ground)
    top = int(random.integers(230, 420))
    screen.paste(shown, ((1080 - shown.width) // 2, top))
    draw = ImageDraw.Draw(screen)
    draw.text((60, 30), "18:07", ink, font=font(40))
    draw.rectangle((960, 34, 1020, 66), outline=ink, width=4)
    draw.ellipse((36, top - 120, 128, top - 28), fill=tuple(int(v) for v in random.integers(40, 220, 3)))
    draw.text((156, top - 104), _text(random, 2), ink, font=font(38))
    below = top + shown.height
    for place in range(3):
        draw.ellipse((40 + 110 * place, below + 30, 104 + 110 * place, below + 94), outline=ink, width=6)
    line = below + 130
    while line < 2180:
        draw.text((40, line), _text(random, int(random.integers(2, 7))), ink, font=font(38))
        line += int(random.integers(56, 90))
    draw.line((0, 2200, 1080, 2200), fill=(128, 128, 128), width=2)
    for place in range(5):
        draw.rounded_rectangle((74 + 216 * place, 2236, 142 + 216 * place, 2300), 14, outline=ink, width=6)
    return encoded(screen)


def caption_added(picture: RgbPicture, random: Random, _: Sequence[RgbPicture] = (), *, percent: float) -> bytes:
    """A bar with large text above or below the picture, as memes have it; `percent` of the picture's height."""
    width, height = picture.size
    bar = round(height * percent / 100)
    ground, ink = _theme(random)
    canvas = Image.new("RGB", (width, height + bar), ground)
    above = bool(random.integers(2))
    canvas.paste(picture, (0, bar if above else 0))
    _write(canvas, random, ink, 0 if above else height, bar)
    return encoded(canvas)


def caption_over(picture: RgbPicture, random: Random, _: Sequence[RgbPicture] = (), *, percent: float) -> bytes:
    """The same bar laid over the picture's top or bottom."""
    width, height = picture.size
    bar = round(height * percent / 100)
    ground, ink = _theme(random)
    canvas = picture.copy()
    at = 0 if random.integers(2) else height - bar
    ImageDraw.Draw(canvas).rectangle((0, at, width, at + bar), fill=ground)
    _write(canvas, random, ink, at, bar)
    return encoded(canvas)


def _write(canvas: RgbPicture, random: Random, ink: tuple[int, int, int], at: int, bar: int) -> None:
    """One to three lines of text in a bar."""
    lines = int(random.integers(1, 4)) if bar > 60 else 1
    draw = ImageDraw.Draw(canvas)
    for line in range(lines):
        place = (canvas.width // 2, at + round(bar * (line + 0.5) / lines))
        draw.text(place, _text(random, 4), ink, font=font(0.55 * bar / lines), anchor="mm")


def story(picture: RgbPicture, random: Random, others: Sequence[RgbPicture], *, fill: str) -> bytes:
    """A 9:16 story: the picture in full width on a blurred enlargement of itself, or on another photograph."""
    size = (1080, 1920)
    shown = ImageOps.contain(picture, (1080, 1700), Image.Resampling.LANCZOS)
    if fill == "blurred":
        canvas = ImageOps.fit(picture, size).filter(ImageFilter.GaussianBlur(40))
    else:
        canvas = ImageOps.fit(_another(others, random), size)
    slack = size[1] - shown.height
    canvas.paste(shown, ((size[0] - shown.width) // 2, int(slack * random.uniform(0.3, 0.7))))
    return encoded(canvas)


def pair(picture: RgbPicture, random: Random, others: Sequence[RgbPicture], *, stacked: bool) -> bytes:
    """Two pictures one above the other, or side by side, brought to the same width or height; some with a gutter."""
    other = _another(others, random)
    gutter = int(random.choice([0, 0, 8, 16]))
    if stacked:
        other = other.resize((picture.width, max(1, round(other.height * picture.width / other.width))))
        size = (picture.width, picture.height + gutter + other.height)
    else:
        other = other.resize((max(1, round(other.width * picture.height / other.height)), picture.height))
        size = (picture.width + gutter + other.width, picture.height)
    canvas = Image.new("RGB", size, _theme(random)[0])
    both = [picture, other] if random.integers(2) else [other, picture]
    canvas.paste(both[0], (0, 0))
    second = (0, both[0].height + gutter) if stacked else (both[0].width + gutter, 0)
    canvas.paste(both[1], second)
    return encoded(canvas)


def collage(picture: RgbPicture, random: Random, others: Sequence[RgbPicture], *, cells: int) -> bytes:
    """`cells` x `cells` pictures, each filling a cell of the picture's own shape; some with gutters."""
    width = 1600 // cells
    height = max(1, round(width * picture.height / picture.width))
    gutter = int(random.choice([0, 6, 12, 20]))
    size = (cells * width + (cells - 1) * gutter, cells * height + (cells - 1) * gutter)
    canvas = Image.new("RGB", size, _theme(random)[0])
    mine = int(random.integers(cells * cells))
    for cell in range(cells * cells):
        chosen = picture if cell == mine else _another(others, random)
        place = (cell % cells * (width + gutter), cell // cells * (height + gutter))
        canvas.paste(ImageOps.fit(chosen, (width, height), Image.Resampling.LANCZOS), place)
    return encoded(canvas)


def inset(
    picture: RgbPicture, random: Random, others: Sequence[RgbPicture], *, percent: float, known_inside: bool
) -> bytes:
    """A picture laid over another one, `percent` of its width; the known one inside, or covered by it."""
    other = _another(others, random)
    outer, inner = (other, picture) if known_inside else (picture, other)
    if known_inside:
        outer = ImageOps.fit(outer, (1200, 900) if random.integers(2) else (900, 1200))
    outer = outer.copy()
    width = round(outer.width * percent / 100)
    height = max(1, round(width * inner.height / inner.width))
    if height > 0.9 * outer.height:
        width, height = max(1, round(width * 0.9 * outer.height / height)), round(0.9 * outer.height)
    margin = outer.width // 40
    across = int(random.choice([margin, outer.width - width - margin]))
    down = int(random.choice([margin, outer.height - height - margin]))
    outer.paste(inner.resize((width, height), Image.Resampling.LANCZOS), (across, max(down, 0)))
    return encoded(outer)


def emoji(picture: RgbPicture, random: Random, _: Sequence[RgbPicture] = (), *, percent: float) -> bytes:
    """A round face laid over the picture near its middle, `percent` of the shorter side wide."""
    edited = picture.copy()
    size = round(min(picture.size) * percent / 100)
    left = round((picture.width - size) * random.uniform(0.3, 0.7))
    top = round((picture.height - size) * random.uniform(0.3, 0.7))
    draw = ImageDraw.Draw(edited)
    draw.ellipse(
        (left, top, left + size, top + size), fill=(255, 204, 50), outline=(180, 120, 0), width=max(size // 40, 1)
    )
    for eye in (0.3, 0.7):
        draw.ellipse(
            (left + size * (eye - 0.07), top + size * 0.3, left + size * (eye + 0.07), top + size * 0.45),
            fill=(60, 40, 10),
        )
    draw.arc(
        (left + size * 0.22, top + size * 0.3, left + size * 0.78, top + size * 0.8),
        20,
        160,
        fill=(60, 40, 10),
        width=max(size // 20, 1),
    )
    return encoded(edited)


def inverted(picture: RgbPicture, _: Random, __: Sequence[RgbPicture] = ()) -> bytes:
    return encoded(ImageOps.invert(picture))


def aspect(picture: RgbPicture, _: Random, __: Sequence[RgbPicture] = (), *, shape: tuple[int, int]) -> bytes:
    """The largest centre crop of this shape."""
    factor = min(picture.width / shape[0], picture.height / shape[1])
    return encoded(ImageOps.fit(picture, (max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor)))))


def warped(picture: RgbPicture, corners: Sequence[tuple[float, float]], canvas: RgbPicture) -> RgbPicture:
    """The picture with its corners (upper left, upper right, lower right, lower left) at these pixels of a canvas."""
    width, height = picture.size
    source = [(0, 0), (width, 0), (width, height), (0, height)]
    rows, right = [], []
    for (x, y), (u, v) in zip(corners, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    solution = np.linalg.solve(np.array(rows, float), np.array(right, float))
    moved = picture.transform(canvas.size, Image.Transform.PERSPECTIVE, tuple(solution), Image.Resampling.BICUBIC)
    mask = Image.new("L", picture.size, 255).transform(canvas.size, Image.Transform.PERSPECTIVE, tuple(solution))
    laid = canvas.copy()
    laid.paste(moved, mask=mask)
    return laid


def keystone(picture: RgbPicture, random: Random, _: Sequence[RgbPicture] = (), *, percent: float) -> bytes:
    """One side shortened at both of its ends by `percent`, black beside it."""
    width, height = picture.size
    dx, dy = width * percent / 100, height * percent / 100
    shapes: list[list[tuple[float, float]]] = [
        [(dx, 0), (width - dx, 0), (width, height), (0, height)],
        [(0, 0), (width, 0), (width - dx, height), (dx, height)],
        [(0, dy), (width, 0), (width, height), (0, height - dy)],
        [(0, 0), (width, dy), (width, height - dy), (0, height)],
    ]
    corners = shapes[int(random.integers(4))]
    return encoded(warped(picture, corners, Image.new("RGB", picture.size)))


def screen_at_angle(picture: RgbPicture, random: Random, _: Sequence[RgbPicture] = ()) -> bytes:
    """A photograph of a screen that shows the picture: a dark room, a bezel, perspective, a sheen, blur and noise."""
    factor = 900 / max(picture.size)
    shown = picture.resize((max(1, round(picture.width * factor)), max(1, round(picture.height * factor))))
    shown = ImageOps.expand(shown, 14, (12, 12, 12))
    size = (round(shown.width * 1.35), round(shown.height * 1.35))
    room = np.full((size[1], size[0], 3), 38.0) + np.linspace(0, 30, size[0])[None, :, None]
    canvas = Image.fromarray(room.astype(np.uint8))
    left, top = (size[0] - shown.width) / 2, (size[1] - shown.height) / 2
    corners = [
        (x + random.uniform(-0.05, 0.05) * shown.width, y + random.uniform(-0.05, 0.05) * shown.height)
        for x, y in (
            (left, top), (left + shown.width, top), (left + shown.width, top + shown.height), (left, top + shown.height)
        )
    ]  # fmt: skip
    values = np.asarray(warped(shown, corners, canvas).filter(ImageFilter.GaussianBlur(1)), np.float64)
    values = values * 0.9 + np.linspace(0, 18, size[1])[:, None, None] + random.normal(0, 5, values.shape)
    return encoded(Image.fromarray(values.clip(0, 255).astype(np.uint8)))


# -- single steps for combinations ---------------------------------------------------------------------------------------


def mirror(picture: RgbPicture, _: Random) -> RgbPicture:
    return ImageOps.mirror(picture)


def centre(percent: float) -> EditStep:
    return lambda picture, _: cropped(picture, *[percent / 200] * 4)


def corner(percent: float) -> EditStep:
    def step(picture: RgbPicture, random: Random) -> RgbPicture:
        sides = np.zeros(4)
        first = int(random.integers(4))
        sides[[first, (first + 1) % 4]] = percent / 100
        return cropped(picture, *sides)

    return step


def turn(degrees: float) -> EditStep:
    return lambda picture, random: picture.rotate(degrees if random.integers(2) else -degrees, Image.Resampling.BICUBIC)


def quarter(picture: RgbPicture, random: Random) -> RgbPicture:
    return picture.transpose(Image.Transpose.ROTATE_90 if random.integers(2) else Image.Transpose.ROTATE_270)


def border(colour: str, percent: float) -> EditStep:
    def step(picture: RgbPicture, _: Random) -> RgbPicture:
        across, down = round(picture.width * percent / 100), round(picture.height * percent / 100)
        return ImageOps.expand(picture, (across, down, across, down), colour)

    return step


def combined(picture: RgbPicture, random: Random, _: Sequence[RgbPicture] = (), *, steps: Sequence[EditStep]) -> bytes:
    for step in steps:
        picture = step(picture, random)
    return encoded(picture)


def then(picture: RgbPicture, random: Random, others: Sequence[RgbPicture], *, step: EditStep, edit: Composed) -> bytes:
    """An edit of the picture that a step has changed."""
    return edit(step(picture, random), random, others)


def _combined(*steps: EditStep) -> tuple[str, Composed]:
    return "combined", partial(combined, steps=steps)


EDITS: dict[str, tuple[str, Composed]] = {
    "inverted colours": ("colour", inverted),
    "phone screenshot 1080x2340": ("screen", phone_screen),
    "social-app screenshot, light": ("screen", partial(social_screen, dark=False)),
    "social-app screenshot, dark": ("screen", partial(social_screen, dark=True)),
    "caption bar added 10 %": ("caption", partial(caption_added, percent=10)),
    "caption bar added 25 %": ("caption", partial(caption_added, percent=25)),
    "caption bar over 15 %": ("caption", partial(caption_over, percent=15)),
    "caption bar over 25 %": ("caption", partial(caption_over, percent=25)),
    "story 9:16, blurred": ("screen", partial(story, fill="blurred")),
    "story 9:16, on another photograph": ("screen", partial(story, fill="other")),
    "two pictures stacked": ("collage", partial(pair, stacked=True)),
    "two pictures side by side": ("collage", partial(pair, stacked=False)),
    "collage 2x2": ("collage", partial(collage, cells=2)),
    "collage 3x3": ("collage", partial(collage, cells=3)),
    "picture in picture 50 %": ("collage", partial(inset, percent=50, known_inside=True)),
    "picture in picture 30 %": ("collage", partial(inset, percent=30, known_inside=True)),
    "mirrored, crop 5 % centre": _combined(mirror, centre(5)),
    "mirrored, crop 10 % centre": _combined(mirror, centre(10)),
    "mirrored, crop 10 % corner": _combined(mirror, corner(10)),
    "mirrored, turned 3 degrees": _combined(mirror, turn(3)),
    "rotated 90, crop 5 % centre": _combined(quarter, centre(5)),
    "crop 10 % centre, white border 10 %": _combined(centre(10), border("white", 10)),
    "crop 10 % corner, black border 10 %": _combined(corner(10), border("black", 10)),
    "turned 8 degrees": _combined(turn(8)),
    "turned 10 degrees": _combined(turn(10)),
    "turned 15 degrees": _combined(turn(15)),
    "keystone 6 %": ("perspective", partial(keystone, percent=6)),
    "keystone 10 %": ("perspective", partial(keystone, percent=10)),
    "photo of a screen at an angle": ("perspective", screen_at_angle),
    "centre crop to 1:1": ("aspect", partial(aspect, shape=(1, 1))),
    "centre crop to 4:5": ("aspect", partial(aspect, shape=(4, 5))),
    "centre crop to 16:9": ("aspect", partial(aspect, shape=(16, 9))),
    "centre crop to 9:16": ("aspect", partial(aspect, shape=(9, 16))),
    "emoji 30 %": ("cover", partial(emoji, percent=30)),
    "emoji 40 %": ("cover", partial(emoji, percent=40)),
    "inset of another 35 %": ("cover", partial(inset, percent=35, known_inside=False)),
    "crop 10 % centre, caption added 10 %": (
        "combined",
        partial(then, step=centre(10), edit=partial(caption_added, percent=10)),
    ),
    "mirrored, social-app screenshot": ("combined", partial(then, step=mirror, edit=partial(social_screen, dark=True))),
    "crop 5 % centre, social-app screenshot": (
        "combined",
        partial(then, step=centre(5), edit=partial(social_screen, dark=False)),
    ),
    "mirrored, collage 2x2": ("combined", partial(then, step=mirror, edit=partial(collage, cells=2))),
}
