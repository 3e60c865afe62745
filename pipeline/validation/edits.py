"""The plain edits of a validation: what people and platforms do to a picture that stays the same picture.

`EDITS` maps a name to (class, function of an RGB picture and a random generator giving the edited picture's file bytes).
Classes: colour (and compression), flip, border, crop, turn, frame. A crop of 10 % takes 10 % of width and height: centre
5 % off each side, side 10 % off one side chosen at random, corner 10 % off two neighbouring sides;
"each side" takes 10 % off all four, which leaves 64 % of the area.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

RgbPicture = Image.Image
Edit = Callable[[RgbPicture, np.random.Generator], bytes]


def encoded(picture: RgbPicture, kind: str = "JPEG", **options: object) -> bytes:
    """The picture's file: JPEG of quality 88 unless told otherwise."""
    file = io.BytesIO()
    if kind == "JPEG":
        options = {"quality": 88, **options}
    picture.save(file, kind, **options)
    return file.getvalue()


def _jpeg(picture: RgbPicture, _: np.random.Generator, *, quality: int) -> bytes:
    return encoded(picture, quality=quality)


def _resize(picture: RgbPicture, _: np.random.Generator, *, factor: float) -> bytes:
    width, height = picture.size
    return encoded(picture.resize((round(width * factor), round(height * factor)), Image.Resampling.LANCZOS))


def _stretch(picture: RgbPicture, _: np.random.Generator) -> bytes:
    width, height = picture.size
    return encoded(picture.resize((round(width * 1.25), round(height * 0.85)), Image.Resampling.BICUBIC))


def _blur(picture: RgbPicture, _: np.random.Generator, *, share: float) -> bytes:
    return encoded(picture.filter(ImageFilter.GaussianBlur(max(picture.size) * share)))


def _noise(picture: RgbPicture, random: np.random.Generator, *, sigma: float) -> bytes:
    values = np.asarray(picture, np.float64) + random.normal(0, sigma, (*picture.size[::-1], 3))
    return encoded(Image.fromarray(values.clip(0, 255).astype(np.uint8)))


def _gamma(picture: RgbPicture, _: np.random.Generator, *, gamma: float) -> bytes:
    table = [round(255 * (level / 255) ** gamma) for level in range(256)]
    return encoded(picture.point(table * 3))


def _contrast(picture: RgbPicture, _: np.random.Generator, *, factor: float) -> bytes:
    return encoded(ImageEnhance.Contrast(picture).enhance(factor))


def _sharpen(picture: RgbPicture, _: np.random.Generator) -> bytes:
    return encoded(picture.filter(ImageFilter.UnsharpMask(3, 180, 2)))


def _grey(picture: RgbPicture, _: np.random.Generator) -> bytes:
    return encoded(picture.convert("L"))


def _watermark(picture: RgbPicture, _: np.random.Generator) -> bytes:
    """A line of half-transparent white text across the middle, a tenth of the width high at most."""
    layer = Image.new("RGBA", picture.size)
    font = ImageFont.load_default(size=max(picture.size[0] // 12, 12))
    place = (picture.size[0] // 2, picture.size[1] // 2)
    ImageDraw.Draw(layer).text(place, "sample watermark", (255, 255, 255, 150), font=font, anchor="mm")
    return encoded(Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB"))


def _logo(picture: RgbPicture, _: np.random.Generator) -> bytes:
    """An opaque disc with a white ring in the lower right corner, an eighth of the shorter side wide."""
    width, height = picture.size
    size = min(width, height) // 8
    box = (width - size - size // 4, height - size - size // 4, width - size // 4, height - size // 4)
    edited = picture.copy()
    ImageDraw.Draw(edited).ellipse(box, fill=(200, 30, 40), outline=(255, 255, 255), width=max(size // 10, 1))
    return encoded(edited)


def _vignette(picture: RgbPicture, _: np.random.Generator) -> bytes:
    width, height = picture.size
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    shade = 1 - 0.6 * np.clip((across**2 + down**2) / 2, 0, 1)
    return encoded(Image.fromarray((np.asarray(picture) * shade[..., None]).astype(np.uint8)))


def _format(picture: RgbPicture, _: np.random.Generator, *, kind: str) -> bytes:
    if kind == "GIF":
        return encoded(picture.quantize(128), "GIF")
    return encoded(picture, kind, quality=60) if kind == "WEBP" else encoded(picture, kind)


def _exif_rotated(picture: RgbPicture, _: np.random.Generator) -> bytes:
    """Pixels turned, and the EXIF orientation that turns them back: looks the same in every viewer."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return encoded(picture.transpose(Image.Transpose.ROTATE_90), exif=exif)


def _transposed(picture: RgbPicture, _: np.random.Generator, *, how: Image.Transpose) -> bytes:
    return encoded(picture.transpose(how))


def cropped(picture: RgbPicture, left: float, top: float, right: float, bottom: float) -> RgbPicture:
    """The picture without these shares of its sides."""
    width, height = picture.size
    box = (round(width * left), round(height * top), round(width * (1 - right)), round(height * (1 - bottom)))
    return picture.crop(box)


def _crop(picture: RgbPicture, random: np.random.Generator, *, where: str, percent: float) -> bytes:
    share = percent / 100
    sides = np.zeros(4)
    if where == "centre":
        sides[:] = share / 2
    elif where == "each side":
        sides[:] = share
    else:
        first = int(random.integers(4))
        sides[first] = share
        if where == "corner":
            sides[(first + 1) % 4] = share
    return encoded(cropped(picture, *sides))


def _border(picture: RgbPicture, _: np.random.Generator, *, kind: str, percent: float) -> bytes:
    """`percent` of the width and height added on every side; blurred: the picture itself, enlarged and blurred."""
    width, height = picture.size
    across, down = round(width * percent / 100), round(height * percent / 100)
    size = (width + 2 * across, height + 2 * down)
    if kind == "blurred":
        canvas = picture.resize(size).filter(ImageFilter.GaussianBlur(max(size) / 40))
    else:
        canvas = Image.new("RGB", size, {"black": (0, 0, 0), "white": (255, 255, 255)}[kind])
    canvas.paste(picture, (across, down))
    return encoded(canvas)


def _letterbox(picture: RgbPicture, _: np.random.Generator) -> bytes:
    """Bars above and below up to a 9:16 upright frame, as video platforms add them."""
    width, height = picture.size
    canvas = Image.new("RGB", (width, max(round(width * 16 / 9), height + 2)))
    canvas.paste(picture, (0, (canvas.size[1] - height) // 2))
    return encoded(canvas)


def _turn(picture: RgbPicture, random: np.random.Generator, *, degrees: float, inside: bool = False) -> bytes:
    """Turned about its centre, either way, on the same canvas with black corners; `inside` crops to the picture."""
    angle = degrees if random.integers(2) else -degrees
    turned = picture.rotate(angle, Image.Resampling.BICUBIC)
    if inside:
        width, height = picture.size
        sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
        scale = min(width / (width * cosine + height * sine), height / (width * sine + height * cosine))
        turned = cropped(turned, *[(1 - scale) / 2] * 4)
    return encoded(turned)


def _screenshot(picture: RgbPicture, random: np.random.Generator) -> bytes:
    """A phone screen 1080 wide: status bar, title, the picture across the full width, a row of buttons below."""
    picture = ImageOps.contain(picture, (1080, 1700))
    dark = bool(random.integers(2))
    ground, ink = ((18, 18, 18), (235, 235, 235)) if dark else ((250, 250, 250), (20, 20, 20))
    screen = Image.new("RGB", (1080, picture.size[1] + 420), ground)
    screen.paste(picture, ((1080 - picture.size[0]) // 2, 210))
    draw = ImageDraw.Draw(screen)
    small, large = ImageFont.load_default(size=36), ImageFont.load_default(size=54)
    draw.text((48, 24), "10:42", ink, font=small)
    draw.rectangle((960, 30, 1020, 58), outline=ink, width=4)
    draw.text((48, 110), "Photos", ink, font=large)
    for place in range(5):
        centre, base = 108 + 216 * place, screen.size[1] - 105
        draw.ellipse((centre - 34, base - 34, centre + 34, base + 34), outline=ink, width=6)
    return encoded(screen)


EDITS: dict[str, tuple[str, Edit]] = {
    **{f"JPEG quality {q}": ("colour", partial(_jpeg, quality=q)) for q in (10, 30, 50, 70, 90)},
    "half size": ("colour", partial(_resize, factor=0.5)),
    "quarter size": ("colour", partial(_resize, factor=0.25)),
    "double size": ("colour", partial(_resize, factor=2)),
    "aspect stretched 1.25 x 0.85": ("colour", _stretch),
    "blur": ("colour", partial(_blur, share=0.004)),
    "noise sigma 20": ("colour", partial(_noise, sigma=20)),
    "gamma 0.5": ("colour", partial(_gamma, gamma=0.5)),
    "gamma 2": ("colour", partial(_gamma, gamma=2.0)),
    "sharpen": ("colour", _sharpen),
    "contrast 0.5": ("colour", partial(_contrast, factor=0.5)),
    "contrast 1.5": ("colour", partial(_contrast, factor=1.5)),
    "grey": ("colour", _grey),
    "watermark text": ("colour", _watermark),
    "logo": ("colour", _logo),
    "vignette": ("colour", _vignette),
    **{f"format {kind}": ("colour", partial(_format, kind=kind)) for kind in ("WEBP", "GIF", "PNG")},
    "EXIF rotation": ("colour", _exif_rotated),
    "mirror": ("flip", partial(_transposed, how=Image.Transpose.FLIP_LEFT_RIGHT)),
    "rotated 90": ("flip", partial(_transposed, how=Image.Transpose.ROTATE_90)),
    "rotated 180": ("flip", partial(_transposed, how=Image.Transpose.ROTATE_180)),
    "rotated 270": ("flip", partial(_transposed, how=Image.Transpose.ROTATE_270)),
    **{
        f"{kind} border {percent} %": ("border", partial(_border, kind=kind, percent=percent))
        for kind in ("black", "white", "blurred")
        for percent in (5, 10, 20, 30)
    },
    "letterbox 9:16": ("frame", _letterbox),
    "screenshot with frame": ("frame", _screenshot),
    **{
        f"crop {percent} % {where}": ("crop", partial(_crop, where=where, percent=percent))
        for where in ("centre", "side", "corner")
        for percent in (2, 5, 10, 15, 20)
    },
    **{
        f"crop {percent} % each side": ("crop", partial(_crop, where="each side", percent=percent))
        for percent in (5, 10)
    },
    **{f"turned {degrees} degrees": ("turn", partial(_turn, degrees=degrees)) for degrees in (1, 2, 3, 4, 5, 6)},
    **{
        f"turned {degrees} degrees, corners cut": ("turn", partial(_turn, degrees=degrees, inside=True))
        for degrees in (2, 4, 6)
    },
}
