"""Perceptual hashes of one picture: what the isolated worker calls, and nothing else does.

    hash_picture    PDQ with quality, pHash 256 and 64, dHash 64, and on request the query variants
    hash_frame      PDQ of one video frame given as an array
    refine_picture  smallest PDQ distance to one known hash over small changes of geometry, in words
    refine_many     the same for several known hashes with one decode
    prepare         load every compiled kernel (before a sandbox closes, or to fill the kernel cache)

`policy` is the content of policy/fingerprint.yaml (`pipeline.policy.load(settings, "fingerprint").data`).
Hashes are bytes in the order of their usual hexadecimal form, most significant first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.fingerprint.hashes import flatness, imagehashes, pdq, planes, refine, trimming
from pipeline.fingerprint.hashes import variants as query_variants
from pipeline.fingerprint.outcome import BARE


@dataclass(frozen=True)
class PictureHashes:
    """Perceptual hashes of one picture. `variants` holds (name, PDQ, quality) of each query variant, or nothing."""

    pdq: bytes
    pdq_quality: int
    phash256: bytes
    phash64: bytes
    dhash64: bytes
    low_information: bool
    width: int
    height: int
    mostly_flat: bool = False
    """Mostly text, a drawing or a template (`flatness`)."""
    variants: tuple[tuple[str, bytes, int], ...] = ()


@dataclass(frozen=True)
class FrameHashes:
    """PDQ of one video frame."""

    pdq: bytes
    pdq_quality: int
    low_information: bool
    width: int
    height: int


@dataclass(frozen=True)
class RefinedCandidate:
    """Smallest PDQ distance (bits) to a known hash that the search found, the geometry in words, and the weighed bits of the
    frames that are mostly guessed (`refine.weighed`; 256 without one)."""

    distance: int
    geometry: str
    weighed: int = 256


def hash_picture(image: Image.Image, policy: dict[str, Any], *, variants: bool) -> PictureHashes:
    """Hash a freshly opened, not yet loaded picture (the caller seeks first in animations and multi-page files).

    JPEGs are decoded at a reduced scale; width and height are pixels of the full picture, after orientation.
    Raises whatever Pillow raises on a file that it cannot decode.
    """
    plane = planes.decode(image, policy["canonical"])
    hashes = _hash_plane(plane, policy, with_variants=variants)
    bare = planes.bare(image) if variants else None
    if bare is None:
        return hashes
    code, quality = pdq.hash_grid(pdq.grid(bare))
    return replace(hashes, variants=(*hashes.variants, (BARE, code, quality)))


def _hash_plane(plane: planes.Plane, policy: dict[str, Any], *, with_variants: bool) -> PictureHashes:
    grid = pdq.grid(plane)
    code, quality = pdq.hash_grid(grid)
    found = query_variants.all_variants(plane, policy["variants"]) if with_variants else ()
    return PictureHashes(
        pdq=code,
        pdq_quality=quality,
        phash256=imagehashes.phash(plane, 16),
        phash64=imagehashes.phash(plane, 8),
        dhash64=imagehashes.dhash(plane),
        low_information=quality < policy["quality"]["low_information_below"],
        width=plane.width,
        height=plane.height,
        mostly_flat=flatness.mostly_flat(trimming.small(plane), policy["flat"]),
        variants=found,
    )


def hash_frame(array: NDArray[np.uint8], policy: dict[str, Any]) -> FrameHashes:
    """PDQ of a video frame: uint8 array, (height, width) luma or (height, width, 3) RGB."""
    plane = planes.from_array(array)
    code, quality = pdq.hash_grid(pdq.grid(plane))
    low = quality < policy["quality"]["low_information_below"]
    return FrameHashes(code, quality, low, plane.width, plane.height)


def frame_variants(
    array: NDArray[np.uint8], policy: dict[str, Any], begins: tuple[str, ...] = ("",)
) -> tuple[tuple[str, bytes, int], ...]:
    """Query variants (name, PDQ, quality) of a video frame, given as for `hash_frame`: those whose names begin with one of `begins`.

    Most videos have one of the shapes that photographs are cropped to, so that of their frames it says nothing.
    """
    rules = policy["variants"]
    rules = {**rules, "shapes": {**rules["shapes"], "cut": []}}
    return query_variants.all_variants(planes.from_array(array), rules, begins)


def refine_picture(image: Image.Image, known_pdq: bytes, policy: dict[str, Any]) -> RefinedCandidate:
    """Search the picture's geometry for the smallest PDQ distance to one known hash (32 bytes)."""
    return refine_many(image, [known_pdq], policy)[0]


def refine_many(image: Image.Image, known_pdqs: Sequence[bytes], policy: dict[str, Any]) -> list[RefinedCandidate]:
    """`refine_picture` for several known hashes, decoding once; results in the order given."""
    plane = planes.decode(image, policy["canonical"])
    return [RefinedCandidate(*found) for found in refine.search_many(plane, list(known_pdqs), policy)]


def prepare(policy: dict[str, Any]) -> None:
    """Load (or compile, once) every kernel that the functions above use, by hashing a small synthetic picture.

    A worker calls this before its sandbox closes, since the kernel cache may need writing; the parent calls it once
    before it starts workers, so that they only load.
    """
    ramp = np.add.outer(np.arange(192, dtype=np.uint8), np.arange(160, dtype=np.uint8)).astype(np.uint8)
    # a picture within another, of a shape that people crop to: every family has something to find
    framed = np.zeros((320, 256), np.uint8)
    framed[70:262, 60:220] = ramp // 2 + 90
    plane = planes.from_array(framed)
    hashes = _hash_plane(plane, policy, with_variants=True)
    refine.search(plane, hashes.pdq, policy)
