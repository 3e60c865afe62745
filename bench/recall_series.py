"""Series for bench/recall.py: pictures of one scene that are not one picture, and frames of real videos.

The corpora hold no bursts and no video files. What they hold are the PDQ hashes of all frames of published videos with their times,
some of them in several versions (grey, sepia, logos, bars, other sizes): neighbouring frames are the hard negatives, the versions
are true copies whose place in the known video is known.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.matching import knownvideos
from pipeline.matching.altered import Codes
from pipeline.matching.pairs import Pairs
from pipeline.matching.stated import KnownFrame, StatedMedia
from pipeline.validation import measuring
from pipeline.validation import run as runs

RADIUS, QUALITY = 31, 50
VIDEOS = (
    "chair-19-sd-bar",
    "chair-20-sd-bar",
    "chair-orig-22-hd-no-bar",
    "doorknob-hd-no-bar",
    "pattern-longer-no-bar",
)
"""Published videos that are not versions of one another."""

VERSIONS = {
    "chair-orig-22-sd-bar": "chair-22-", "chair-orig-22-hd-no-bar": "chair-orig-22-fhd", "pattern-sd-grey-bar": "pattern-sd-with",
}  # fmt: skip
"""A published video, and how the names of its versions begin. Bars can only be taken off where pixels are at hand."""

APART = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds between two frames of one video."""


def standpoints(pictures: list[Image.Image]) -> dict[str, list[Image.Image]]:
    """Standpoints that move over one photograph, a third apart: pictures of one scene that are not the same picture."""
    found = {}
    for number, source in enumerate(pictures[5:60:11]):
        width, height = source.size
        found[f"standpoints {number + 1}"] = [
            source.crop((x * width // 6, y * height // 6, (x + 3) * width // 6, (y + 3) * height // 6)).resize(
                (640, 480)
            )
            for x in (0, 1, 2, 3)
            for y in (0, 2)
        ]
    return found


def frames_of(path: Path) -> tuple[NDArray[np.float64], Codes]:
    """Times (n,) in seconds and PDQ (n, 32) of the frames of a vPDQ file that have enough detail."""
    rows = [line.strip().split(",") for line in path.read_text().splitlines() if line.count(",") == 3]
    kept = [(float(at), bytes.fromhex(code)) for _, quality, code, at in rows if int(quality) >= QUALITY]
    codes = np.array([np.frombuffer(code, np.uint8) for _, code in kept], np.uint8).reshape(-1, 32)
    return np.array([at for at, _ in kept]), codes


def neighbours(folder: Path) -> dict[str, Any]:
    """How often a frame is near to the one that comes so many seconds later in the same video, plain: as `runs.hard_negatives`."""
    videos = [frames_of(folder / f"{name}.txt") for name in VIDEOS]
    found = {}
    for apart in APART:
        wrong = pairs = 0
        for times, codes in videos:
            later = np.searchsorted(times, times + apart - 1e-6)
            first = np.flatnonzero(later < len(times))
            bits = np.bitwise_count(codes[first] ^ codes[later[first]]).sum(axis=1)
            wrong, pairs = wrong + int((bits <= RADIUS).sum()), pairs + len(first)
        none = {"wrong": 0, **runs.rate(0, 0)}
        found[f"frames of a real video, {apart:g} s apart"] = {
            "pairs": pairs,
            "files": {"asked": pairs, "wrong": wrong, **runs.rate(wrong, pairs)},
            "near": {"wrong": wrong, **runs.rate(wrong, pairs)},
            "altered": none,
            "similar": none,
        }
    return found


def versions(folder: Path) -> dict[str, Any]:
    """Versions of published videos, one frame a second, against the published one's frames and those of all other videos.

    For each: frames asked, frames near to the right video, and to another; the part of the known video that the evidence
    states and in which order; and how far its beginning and end lie from the right ones (seconds).
    """
    found = {}
    for original, begins in VERSIONS.items():
        known = frames_of(folder / f"{original}.txt")
        others = [
            frames_of(folder / f"{name}.txt")[1] for name in VIDEOS if name.split("-")[0] != original.split("-")[0]
        ]
        for path in sorted(folder.glob(f"{begins}*.txt")):
            times, codes = frames_of(path)
            chosen = np.unique(np.searchsorted(times, np.arange(0.0, times[-1], 1.0)))
            found[path.stem] = _placed(original, known, times[chosen], codes[chosen], np.concatenate(others))
    return found


def _placed(
    name: str,
    known: tuple[NDArray[np.float64], Codes],
    times: NDArray[np.float64],
    codes: Codes,
    others: Codes,
) -> dict[str, Any]:
    apart = measuring.bits(codes, known[1])
    asked, media = np.nonzero(apart <= RADIUS)
    said = {
        key: StatedMedia([KnownFrame(name, float(known[0][key]), 100, known[1][key].tobytes())])
        for key in np.unique(media).tolist()
    }
    pairs = Pairs(asked, np.zeros_like(media), apart[asked, media], np.zeros_like(media))
    row = knownvideos.spanned(pairs, media, times[asked], said) or {}
    met = np.unique(asked)
    return {
        "frames": len(codes),
        "near": len(met),
        "near_another": int((measuring.bits(codes, others).min(axis=1) <= RADIUS).sum()),
        "evidence": knownvideos.words(row),
        "off_seconds": _off(row, times[met]) if row else None,
    }


def _off(row: dict[str, Any], met: NDArray[np.float64]) -> float:
    """How far the stated part of the known video begins or ends from where it should (seconds): versions have the same times."""
    return round(float(max(abs(row["known_first_seconds"] - met[0]), abs(row["known_last_seconds"] - met[-1]))), 2)
