"""Synthetic pictures with enough detail to hash, and policy as shipped, for the tests of picture hashing."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from pipeline import policy
from pipeline.settings import Settings

RULES: dict[str, Any] = policy.load(Settings(), "fingerprint").data


def scene(width: int = 640, height: int = 480, seed: int = 1) -> Image.Image:
    """A smooth random colour picture whose power falls with frequency, as in photographs: RGB."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (3, 6, 12, 24, 48):
        small = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer, np.float64) / cells
    low, high = total.min(), total.max()
    return Image.fromarray(((total - low) / (high - low) * 255).astype(np.uint8))


def reopened(picture: Image.Image, kind: str = "PNG", **options: Any) -> Image.Image:
    """The picture written to a file in memory and freshly opened, as the worker gets it."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return Image.open(io.BytesIO(file.getvalue()))
