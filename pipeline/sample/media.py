"""Harmless pictures for sample packages: generated shapes, or photographs of TRIAGE_CORPORA and edited copies of them."""

from __future__ import annotations

import hashlib
import io
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pdqhash
from PIL import Image, ImageDraw, ImageFilter, ImageOps

PHOTOGRAPHS = ("photos/kodak", "photos/cid22", "photos/immich_nature")
"""Folders of TRIAGE_CORPORA with distinct photographs."""


def _crop(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((width // 25, height // 25, width - width // 25, height - height // 25))


EDITS: dict[str, tuple[Callable[[Image.Image], Image.Image], int]] = {
    "resize": (lambda image: image.resize((image.width * 3 // 5, image.height * 3 // 5)), 85),
    "recompress": (lambda image: image, 35),
    "mirror": (ImageOps.mirror, 85),
    "crop": (_crop, 85),
    "border": (lambda image: ImageOps.expand(image, border=max(4, image.width // 30), fill=(12, 12, 12)), 85),
}
"""Edit of a known picture -> how it is made, and the JPEG quality it is saved with."""


@dataclass(frozen=True)
class Picture:
    """A file's bytes and the truth about it: `exact`, `near` (with `edit`) or `unknown`; `known` is a MediaID."""

    content: bytes
    truth: str = "unknown"
    edit: str | None = None
    known: int | None = None

    @property
    def md5(self) -> str:
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass
class Gallery:
    """Pictures for one sample. The first `known` base pictures are in the hash set, the others are not.

    With `tiny` the files are short synthetic bytes that are no pictures, for benches of 100,000 files.
    """

    seed: int
    known: int
    tiny: bool = False
    unknown: int = 400
    """Distinct pictures that are not in the hash set; beyond them they repeat."""
    _photographs: list[Path] = field(default_factory=list)
    _bases: dict[int, Image.Image] = field(default_factory=dict)

    def __post_init__(self) -> None:
        corpora = os.environ.get("TRIAGE_CORPORA")
        if corpora and not self.tiny:
            found = [p for name in PHOTOGRAPHS for p in sorted(Path(corpora, name).glob("*")) if _is_picture(p)]
            random.Random(self.seed).shuffle(found)  # noqa: S311 - a sample, not a secret
            self._photographs = found

    def base(self, number: int) -> Image.Image:
        """Base picture `number`: a photograph while there are any, else generated."""
        if number not in self._bases:
            if number < len(self._photographs):
                with Image.open(self._photographs[number]) as opened:
                    image = ImageOps.exif_transpose(opened).convert("RGB")
                image.thumbnail((640, 640))
            else:
                image = generated(self.seed * 1_000_003 + number)
            if len(self._bases) > 64:
                self._bases.pop(next(iter(self._bases)))
            self._bases[number] = image
        return self._bases[number]

    def original(self, number: int) -> bytes:
        """The known picture itself."""
        return saved(self.base(number), 90)

    def pick(self, rng: random.Random, serial: int) -> Picture:
        """A file for a referral: three in ten exact copies, three edited copies, the rest not in the hash set."""
        if self.tiny:
            return Picture(f"synthetic file {self.seed}-{serial}\n".encode())
        chance = rng.random()
        number = rng.randrange(self.known)
        if chance < 0.3:
            return Picture(self.original(number), "exact", None, number + 1)
        if chance < 0.6:
            edit = rng.choice(sorted(EDITS))
            change, quality = EDITS[edit]
            return Picture(saved(change(self.base(number)), quality), "near", edit, number + 1)
        return Picture(self.original(self.known + serial % self.unknown))

    def pdq(self, number: int) -> str:
        """PDQ of a known picture in hexadecimal, by the reference implementation."""
        with Image.open(io.BytesIO(self.original(number))) as image:
            bits, _quality = pdqhash.compute(np.asarray(image.convert("RGB")))
        return np.packbits(np.asarray(bits, dtype=np.uint8)).tobytes().hex()


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"}


def generated(seed: int) -> Image.Image:
    """A picture of coloured shapes on a soft ground, different in every large and small feature for every seed."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(ground).resize((480, 360), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(18, 32))):
        x, y, w, h = (int(v) for v in rng.integers((0, 0, 20, 20), (460, 340, 160, 130)))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((x, y, x + w, y + h), fill=colour)
    return image.filter(ImageFilter.GaussianBlur(1.2))


def saved(image: Image.Image, quality: int) -> bytes:
    """The picture as JPEG."""
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality)
    return sink.getvalue()
