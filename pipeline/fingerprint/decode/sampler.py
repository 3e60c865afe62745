"""Which decoded frames of a video are hashed, upright as a player shows them."""

from __future__ import annotations

import errno
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fingerprint.hashes import packed, picture
from pipeline.fingerprint.outcome import Frame, Variant

THUMBNAIL = 32
LEAST_GAP = 0.1
"""Seconds between two hashed frames at least: a flicker is not a scene."""
LEAST_STEP, MOST_STEP = 0.002, 1.0
"""Seconds from one frame to the next: what is closer together is not what anybody watches, and times without sense, or none, are
a step apart that the film's rate says."""
_UNSTATED = 2
"""FFmpeg's code for a colour matrix that the stream does not state (AVCOL_SPC_UNSPECIFIED)."""
_MATRIX_BYTES = 36


@dataclass
class Frames:
    """Hashed frames of a whole file, of all its tracks: at most `most`, numbered as decoded, times never going back. When there would be
    more (the file is longer than it states, or has very many cuts), every second one is given up and they are taken half as often."""

    most: int
    hashed: list[Frame] = field(default_factory=list)
    variants: list[Variant] = field(default_factory=list)
    key: list[bytes] = field(default_factory=list)
    decoded: int = 0
    width: int = 0
    height: int = 0
    rarer: int = 1
    """How many times as far apart frames are taken as at the beginning."""

    _tracks: list[int] = field(default_factory=list)

    def add(self, frame: Frame, track: int) -> None:
        """Keep one more frame of a track."""
        if len(self.hashed) >= self.most:
            self._thin()
        if len(self.hashed) < self.most:
            self.hashed.append(frame)
            self._tracks.append(track)

    def _thin(self) -> None:
        """Give up every second frame of each track."""
        seen: Counter[int] = Counter()
        kept = []
        for frame, track in zip(self.hashed, self._tracks, strict=True):
            if seen[track] % 2 == 0:
                kept.append((frame, track))
            seen[track] += 1
        self.hashed, self._tracks = [frame for frame, _ in kept], [track for _, track in kept]
        self.rarer *= 2


@dataclass
class Sampler:
    """Decides which frames of one track are hashed, and hashes them into `frames`."""

    frames: Frames
    rules: dict[str, Any]
    policy: dict[str, Any]
    interval: float
    step: float = 0.04
    """Seconds from frame to frame where their times do not tell."""
    _clock: float | None = None
    _stated: float = 0.0
    _last: float = 0.0
    _next: float = -math.inf
    _thumbnail: NDArray[np.int16] | None = None

    def see(self, frame: Any) -> None:
        """Look at a decoded frame."""
        number = self.frames.decoded
        self.frames.decoded += 1
        seconds = self._seconds(frame)
        thumbnail = _thumbnail(frame)
        change = self._thumbnail is not None and (
            float(np.abs(thumbnail - self._thumbnail).mean()) / 255 >= self.rules["scene_change"]
        )
        self._thumbnail = thumbnail
        due = seconds >= self._next
        cut = change and seconds - self._last >= LEAST_GAP * self.frames.rarer
        if not (due or cut):
            return
        self._last, self._next = seconds, seconds + self.interval * self.frames.rarer - 1e-6
        pixels = self._upright(frame)
        hashed = picture.hash_frame(pixels, self.policy)
        before = self.frames.hashed[-1].seconds if self.frames.hashed else 0.0
        self.frames.add(Frame(number, max(before, seconds), hashed.pdq, hashed.pdq_quality), id(self))
        self._look_closer(pixels, hashed, seconds)

    def _seconds(self, frame: Any) -> float:
        """When a frame is shown, by a clock that only goes forward. Films put end to end begin again at nothing, and times can be
        written so that all frames seem to be one moment: players show them all the same."""
        if self._clock is None:
            self._stated = float(frame.time or 0.0)
            self._clock = max(0.0, self._stated)
            return self._clock
        usual = min(max(self.step, LEAST_STEP), MOST_STEP)
        stated = self._stated + usual if frame.time is None else float(frame.time)
        step, self._stated = stated - self._stated, stated
        self._clock += max(step, LEAST_STEP) if step > 0 else usual
        return self._clock

    def _look_closer(self, pixels: NDArray[np.uint8], hashed: picture.FrameHashes, seconds: float) -> None:
        """Families of stills for the first `key_frames` frames that show something new; near-duplicates are asked once."""
        rules, key = self.rules["key_frames"], self.frames.key
        apart = (packed.distance(hashed.pdq, other) > rules["apart"] for other in key)
        if hashed.low_information or len(key) >= rules["most"] or not all(apart):
            return
        key.append(hashed.pdq)
        for name, code, quality in picture.frame_variants(pixels, self.policy, tuple(rules["families"])):
            if not name.endswith(packed.FLIPS):
                self.frames.variants.append(Variant(f"{name}, at {seconds:.1f} s", code, quality))

    def _upright(self, frame: Any) -> NDArray[np.uint8]:
        scale = min(1.0, self.rules["side"] / max(frame.width, frame.height))
        width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        pixels = _scaled(frame, width, height, "rgb24")
        shown = displayed(pixels, display_matrix(frame))
        if not self.frames.width:
            turned = shown.shape[:2] != pixels.shape[:2] or (width == height and _turned(display_matrix(frame)))
            sides = (frame.height, frame.width) if turned else (frame.width, frame.height)
            self.frames.width, self.frames.height = sides
        return np.ascontiguousarray(shown)


def display_matrix(frame: Any) -> NDArray[np.int32] | None:
    """Upper left 2 x 2 of the display matrix that the container or the codec gives a frame, or None."""
    for side in frame.side_data:
        if side.type.name == "DISPLAYMATRIX":
            raw = bytes(side)
            if len(raw) == _MATRIX_BYTES:
                return np.frombuffer(raw, np.int32).reshape(3, 3)[:2, :2]
    return None


def _turned(matrix: NDArray[np.int32] | None) -> bool:
    """Whether a matrix exchanges rows and columns, to the nearest quarter turn."""
    if matrix is None:
        return False
    (a, b), (c, d) = np.abs(matrix.astype(np.float64))
    return bool(b + c > a + d)


def displayed(pixels: NDArray[np.uint8], matrix: NDArray[np.int32] | None) -> NDArray[np.uint8]:
    """Pixels (height, width, 3) as shown under a display matrix: turned and mirrored, to the nearest of the eight ways.

    A point (x, y) is shown at (a x + c y, b x + d y) for the matrix rows (a, b), (c, d) (libavutil/display.h, ISO/IEC 14496-12).
    """
    if matrix is None:
        return pixels
    (a, b), (c, d) = matrix.tolist()
    if _turned(matrix):
        shown = pixels.transpose(1, 0, 2)
        columns, rows = c < 0, b < 0
    else:
        shown, columns, rows = pixels, a < 0, d < 0
    return shown[:: -1 if rows else 1, :: -1 if columns else 1]


def _scaled(frame: Any, width: int, height: int, form: str) -> NDArray[np.uint8]:
    """The frame in another size and pixel format. By one thread: FFmpeg's own choice is one a core for every frame, which the
    worker's limits refuse after a while (EAGAIN), and the frame with them. A colour matrix that nobody has defined, which a few bytes
    of a stream can state, is taken for an unstated one, as players do."""
    try:
        scaled = frame.reformat(width=width, height=height, format=form, threads=1)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP or frame.colorspace == _UNSTATED:
            raise
        frame.colorspace = _UNSTATED
        scaled = frame.reformat(width=width, height=height, format=form, threads=1)
    pixels: NDArray[np.uint8] = scaled.to_ndarray()
    return pixels


def _thumbnail(frame: Any) -> NDArray[np.int16]:
    """Luma at a grid of points: enough to notice a cut, without scaling the frame."""
    if frame.format.name.startswith(("yuv", "gray", "nv12")) and frame.format.components[0].bits == 8:
        plane = frame.planes[0]
        luma = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
    else:
        luma = _scaled(frame, 4 * THUMBNAIL, 4 * THUMBNAIL, "gray")
    rows = np.linspace(0, luma.shape[0] - 1, THUMBNAIL).astype(int)
    columns = np.linspace(0, luma.shape[1] - 1, THUMBNAIL).astype(int)
    found: NDArray[np.int16] = luma[np.ix_(rows, columns)].astype(np.int16)
    return found
