"""Decoding a picture to one upright luma plane. Every rule of the canonical form stands here and has a test.

| picture | rule |
|---|---|
| JPEG | decoded at the largest DCT reduction (1/8, 1/4, 1/2) that leaves the shorter side at `reduced_side` or more |
| colour | luma of ITU-R BT.601 (299 R + 587 G + 114 B), as JPEG's own Y channel; ICC profiles are not applied |
| EXIF orientation | applied; an orientation that cannot be read, or is not 1 to 8, counts as upright |
| CMYK, LAB, HSV, YCbCr | converted by Pillow without a profile (LAB: its lightness; YCbCr: its Y) |
| 16 bit | high byte; 32-bit integers are clipped to 16 bits first; floats are stretched between their extremes |
| palette, 1 bit | expanded to their colours, black and white |
| alpha, transparent colour | laid on a fixed grey-level ground (`ground`, 255 = white); `bare` gives the colours without it |
| animation, pages | the frame that the caller has sought |
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pipeline.fingerprint.hashes.kernels import kernel

REDUCTIONS = (8, 4, 2)
"""DCT reductions that libjpeg offers, largest first."""


@dataclass(frozen=True)
class Plane:
    """Luma of one picture, upright. `luma` is uint8 (rows, columns), contiguous and read-only.

    `width` and `height` are the full picture's; a row or column of `luma` covers `scale` of them (the last one, or the
    first where `rows_reversed` or `columns_reversed`, may cover fewer).
    """

    luma: NDArray[np.uint8]
    width: int
    height: int
    scale: int = 1
    rows_reversed: bool = False
    columns_reversed: bool = False

    def __post_init__(self) -> None:
        luma = np.ascontiguousarray(self.luma).view()
        luma.flags.writeable = False  # always, so that a kernel is compiled for one kind of array only
        object.__setattr__(self, "luma", luma)


def from_array(array: NDArray[np.uint8]) -> Plane:
    """Plane of a decoded frame: uint8 (height, width) or (height, width, 3) RGB. Raises ValueError on other shapes."""
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ValueError(f"a frame is uint8 (height, width) or (height, width, 3), not {array.dtype} {array.shape}")
    luma = np.asarray(Image.fromarray(array).convert("L")) if array.ndim == 3 else array
    return Plane(luma, luma.shape[1], luma.shape[0])


def decode(image: Image.Image, canonical: dict[str, Any]) -> Plane:
    """Decode a freshly opened picture to its plane by the rules above. Raises what Pillow raises."""
    width, height = image.size
    if image.format in ("JPEG", "MPO"):
        image.draft("L", (canonical["reduced_side"], canonical["reduced_side"]))
    image.load()
    scale = next((s for s in REDUCTIONS if image.size == (-(-width // s), -(-height // s)) != (width, height)), 1)
    if scale == 1:
        width, height = image.size  # Pillow turns TIFFs upright while loading
    luma = _luma(image, canonical["ground"])
    return _upright(luma, orientation(image), width, height, scale)


def bare(image: Image.Image) -> Plane | None:
    """Plane of a loaded picture's colours as if it had no transparency; None where nothing in it is transparent.

    Other makers of PDQ drop the alpha channel, so their hash of such a picture is that of its bare colours.
    """
    if not image.has_transparency_data or image.mode in ("LAB", "YCbCr", "I", "F"):
        return None
    coloured = image.convert("RGBA")
    if coloured.getchannel("A").getextrema() == (255, 255):
        return None
    luma = np.asarray(Image.merge("RGB", coloured.split()[:3]).convert("L"))
    return _upright(luma, orientation(image), *coloured.size, 1)


def orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8 of a loaded picture; 1 where there is none or it cannot be read."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error):
        return 1  # broken EXIF is reported with the file's facts; the pixels are as good as ever
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(luma: NDArray[np.uint8], turn: int, width: int, height: int, scale: int) -> Plane:
    """Undo an EXIF orientation: 2, 4 mirror; 3 half turn; 5 to 8 the same with rows and columns exchanged."""
    if turn >= 5:
        luma, width, height = luma.T, height, width
    columns = turn in (2, 3, 6, 7)
    rows = turn in (3, 4, 7, 8)
    upright = luma[:: -1 if rows else 1, :: -1 if columns else 1]
    return Plane(upright, width, height, scale, rows, columns)


def _luma(image: Image.Image, ground: int) -> NDArray[np.uint8]:
    """Luma of a loaded picture in any mode that Pillow decodes to."""
    mode = image.mode
    if mode.startswith("I;16"):
        high: NDArray[np.uint8] = (np.asarray(image) >> 8).astype(np.uint8)
        return high
    if mode == "I":
        clipped: NDArray[np.uint8] = (np.clip(np.asarray(image), 0, 0xFFFF) >> 8).astype(np.uint8)
        return clipped
    if mode == "F":
        return _stretched(np.asarray(image))
    if mode in ("LAB", "YCbCr"):
        return np.asarray(image.getchannel(0))
    if image.has_transparency_data:
        return _on_ground(image, ground)
    if mode == "HSV":
        image = image.convert("RGB")
    plain: NDArray[np.uint8] = np.asarray(image if mode == "L" else image.convert("L"))
    return plain


def _on_ground(image: Image.Image, ground: int) -> NDArray[np.uint8]:
    if image.mode == "La":
        image = image.convert("LA")
    elif image.mode != "LA":
        image = image.convert("RGBA")
    laid = Image.new("L", image.size, ground)
    laid.paste(image.convert("L"), mask=image.getchannel("A"))
    return np.asarray(laid)


def _stretched(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    low, high = float(values[finite].min()), float(values[finite].max())
    span = (high - low) or 1.0
    levels: NDArray[np.uint8] = (np.where(finite, (values - low) / span, 0.0).clip(0, 1) * 255).round().astype(np.uint8)
    return levels


@kernel
def histogram(luma: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many pixels have each grey level, int64 (256,)."""
    out = np.zeros(256, np.int64)
    for row in luma:
        for value in row:
            out[value] += 1
    return out


def median(values: NDArray[Any]) -> float:
    """Median of an array of numbers, all of its axes together; there is at least one value and none is NaN.

    As `numpy.median` gives it, without its fifty microseconds of preparation: a picture asks for thirty medians.
    Of an even number it is the mean of the two in the middle, in the array's own precision where they are floating-point.
    """
    flat = values.ravel()
    half = flat.size >> 1
    if flat.size & 1:
        return float(np.partition(flat, half)[half])
    below, above = np.partition(flat, (half - 1, half))[half - 1 : half + 1]
    if flat.dtype.kind == "f":
        return float((below + above) / flat.dtype.type(2))
    return (int(below) + int(above)) / 2
