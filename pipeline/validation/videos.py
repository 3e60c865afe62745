"""Edited videos, and what a night would say of them: frames as they are, in flips, and key frames in families of stills."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np
from PIL import Image

from pipeline.fingerprint.decode import video
from pipeline.fingerprint.hashes import packed
from pipeline.fingerprint.outcome import Refusal
from pipeline.matching import altered
from pipeline.validation import composed, edits, measuring

SECONDS, RATE, SIDE = 12, 5, 480
"""Of each video so many seconds are used, at so many frames a second, at this longest side in pixels."""

Still = Callable[[Image.Image, np.random.Generator], bytes]


def _caption(picture: Image.Image, random: np.random.Generator) -> bytes:
    return composed.caption_added(picture, random, percent=10)


def _inset(picture: Image.Image, random: np.random.Generator) -> bytes:
    ground = Image.fromarray(np.tile(np.linspace(20, 220, 256, dtype=np.uint8), (256, 1))).convert("RGB")
    return composed.inset(picture, random, [ground], percent=50, known_inside=True)


EDITS: dict[str, Still] = {
    "as it is, compressed again": lambda picture, _: edits.encoded(picture),
    "crop 5 % centre": edits.EDITS["crop 5 % centre"][1],
    "black border 10 %": edits.EDITS["black border 10 %"][1],
    "mirrored": edits.EDITS["mirror"][1],
    "letterbox 9:16": edits.EDITS["letterbox 9:16"][1],
    "turned 3 degrees": edits.EDITS["turned 3 degrees"][1],
    "caption bar added 10 %": _caption,
    "picture in picture 50 %": _inset,
}


def frames(path: Path) -> list[Image.Image]:
    """Upright RGB frames of the first seconds of a video; none where it cannot be read."""
    found: list[Image.Image] = []
    try:
        with av.open(str(path)) as container:
            after = 0.0
            for frame in container.decode(video=0):
                if frame.time is None or frame.time >= after:
                    picture: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
                    picture.thumbnail((SIDE, SIDE))
                    found.append(picture)
                    after += 1 / RATE
                if len(found) >= SECONDS * RATE:
                    break
    except (av.error.FFmpegError, IndexError):
        return found
    return found


def edited(path: Path, name: str, place: int) -> bytes:
    """The video with every frame under one edit (the same position and theme in all), as an MP4 file."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        for number, picture in enumerate(frames(path)):
            data = EDITS[name](picture, np.random.default_rng(place))
            with Image.open(io.BytesIO(data)) as image:
                shown = image.convert("RGB")
            even = shown.resize((shown.width // 2 * 2, shown.height // 2 * 2))
            if number == 0:
                stream.width, stream.height = even.size
                stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
            container.mux(stream.encode(av.VideoFrame.from_image(even)))  # type: ignore[no-untyped-call]
        container.mux(stream.encode())
    return file.getvalue()


def panned(pictures: list[Image.Image], seconds: int = 4) -> bytes:
    """A film made from pictures, as an MP4 file: each is panned over and approached for some seconds, with cuts between."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 480, 320, "yuv420p", 2_000_000
        for picture in pictures:
            for number in range(seconds * RATE):
                share = number / (seconds * RATE)
                size = 0.85 - 0.1 * share
                left, top = (1 - size) * share, (1 - size) * (1 - share)
                box = (left, top, left + size, top + size)
                shown = picture.crop(tuple(round(b * picture.size[k % 2]) for k, b in enumerate(box)))  # type: ignore[arg-type]
                container.mux(stream.encode(av.VideoFrame.from_image(shown.resize((480, 320)))))  # type: ignore[no-untyped-call]
        container.mux(stream.encode())
    return file.getvalue()


def known_frames(path: Path, rules: measuring.ValidationRules) -> altered.Codes:
    """PDQ of the frames that the fingerprint stage hashes, of enough quality: uint8 (n, 32)."""
    pictures = frames(path)[::RATE]
    if not pictures:
        return np.empty((0, 32), np.uint8)
    known = measuring.reference(pictures)
    kept: altered.Codes = known.pdq[known.quality >= rules.matching["video"]["quality"]]
    return kept


def matched(data: bytes, known: list[altered.Codes], rules: measuring.ValidationRules) -> set[int]:
    """Places of the known videos that a video matches."""
    try:
        found = video.hash_clip(io.BytesIO(data), "mov,mp4,m4a,3gp,3g2,mj2", rules.fingerprint, 60, 30.0).frames
    except Refusal:
        return set()
    least = rules.matching["video"]["quality"]
    codes = [np.frombuffer(f.pdq, np.uint8) for f in found.hashed if f.quality >= least]
    plain = np.array(codes, np.uint8).reshape(-1, 32)
    asked = [(31, packed.flipped_codes(plain, flip)) for flip in packed.FLIPS]
    rows = [(v.name, v.pdq, v.quality) for v in found.variants if v.quality >= rules.matching["variants"]["quality"]]
    table = measuring.table(rows)
    for one in altered.asked(table, rules.matching["variants"]["families"]):
        asked.append((min(one.radius, rules.matching["variants"]["radius"]), one.codes))
    within = partial(_near, asked=asked)
    return {place for place, frames_of in enumerate(known) if within(frames_of)}


def _near(known: altered.Codes, *, asked: list[tuple[int, altered.Codes]]) -> bool:
    return any(len(codes) and len(known) and measuring.bits(codes, known).min() <= radius for radius, codes in asked)
