"""Hard negatives that can be drawn: different pictures made from one template, as letters, memes and logos are.

They are different pictures that share most of their area, so that a perceptual hash cannot tell them apart. A method that is
validated states how often that happens.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from pipeline.validation.composed import WORDS, font

PER_TEMPLATE = 12


def all_templates() -> dict[str, list[Image.Image]]:
    """Pictures by template, each list of different ones; the same on every machine."""
    makers = {"letterhead": _letter, "meme": _meme, "logo": _logo, "drawn portrait": _portrait}
    return {
        name: [maker(np.random.default_rng([k, len(name)])) for k in range(PER_TEMPLATE)]
        for name, maker in makers.items()
    }


def _words(random: np.random.Generator, count: int) -> str:
    return " ".join(str(word) for word in random.choice(WORDS, count))


def _letter(random: np.random.Generator) -> Image.Image:
    page = Image.new("RGB", (620, 877), "white")
    draw = ImageDraw.Draw(page)
    draw.rectangle((40, 40, 140, 110), fill=(20, 60, 120))
    draw.text((160, 55), "SAMPLE OFFICE", (20, 60, 120), font=font(32))
    draw.line((40, 130, 580, 130), fill=(20, 60, 120), width=3)
    for line in range(int(random.integers(12, 22))):
        draw.text((50, 180 + 28 * line), _words(random, int(random.integers(4, 9))), "black", font=font(15))
    return page


def _meme(random: np.random.Generator) -> Image.Image:
    field = np.random.default_rng(7).normal(0, 1, (12, 12, 3)).cumsum(0).cumsum(1)
    values = 255 * (field - field.min()) / (field.max() - field.min())
    picture = Image.fromarray(values.astype(np.uint8)).resize((600, 600), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for at in (60, 540):
        draw.text(
            (300, at),
            _words(random, 4).upper(),
            "white",
            font=font(34),
            anchor="mm",
            stroke_width=3,
            stroke_fill="black",
        )
    return picture


def _logo(random: np.random.Generator) -> Image.Image:
    picture = Image.new("RGB", (500, 500), "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((60, 60, 440, 440), fill=tuple(int(v) for v in random.integers(30, 200, 3)))
    draw.text((250, 250), _words(random, 1).upper(), "white", font=font(70), anchor="mm")
    return picture


def _portrait(random: np.random.Generator) -> Image.Image:
    picture = Image.new("RGB", (480, 600), (210, 220, 230))
    draw = ImageDraw.Draw(picture)
    skin = tuple(int(v) for v in random.integers(120, 230, 3))
    draw.ellipse((90, 380, 390, 760), fill=tuple(int(v) for v in random.integers(20, 200, 3)))
    draw.ellipse((130, 90, 350, 400), fill=skin)
    for eye in (190, 290):
        draw.ellipse((eye - 22, 210, eye + 22, 240), fill="white")
        draw.ellipse((eye - 9, 215, eye + 9, 235), fill="black")
    draw.arc((190, 270, 290, 350), 20, 160, fill="black", width=int(random.integers(3, 9)))
    draw.pieslice(
        (120, 60, 360, int(random.integers(220, 320))),
        180,
        360,
        fill=tuple(int(v) for v in random.integers(10, 120, 3)),
    )
    return picture
