"""Videos: digests always; frames about one a second and at scene changes, hashed as PDQ with their time.

| video | rule |
|---|---|
| container or codec not in the policy | digests only |
| longer than `frames` x `interval` | sampled evenly at duration / `frames` |
| more pixels in all than `full_pixels` | only key frames are decoded; scene changes then mean key frames that differ |
| rotation in the container | applied |
| damaged, or out of its processor time | the frames so far: `partial` |
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.fingerprint.decode.task import Task
from pipeline.fingerprint.facts import Exif, clean_text, parse_time
from pipeline.fingerprint.hashes import picture
from pipeline.fingerprint.outcome import Fingerprint, Frame, Reason, Refusal, State

THUMBNAIL = 32
LEAST_GAP = 0.1
"""Seconds between two hashed frames at least: a flicker is not a scene."""


@dataclass
class _Sampler:
    """Decides which frames are hashed, and hashes them."""

    rules: dict[str, Any]
    policy: dict[str, Any]
    interval: float
    frames: list[Frame] = field(default_factory=list)
    low: int = 0
    width: int = 0
    height: int = 0
    _next: float = -math.inf
    _thumbnail: NDArray[np.int16] | None = None

    def see(self, number: int, frame: Any) -> None:
        """Look at a decoded frame."""
        last = self.frames[-1].seconds if self.frames else 0.0
        seconds = max(last, float(frame.time) if frame.time is not None else last)
        thumbnail = _thumbnail(frame)
        change = self._thumbnail is not None and (
            float(np.abs(thumbnail - self._thumbnail).mean()) / 255 >= self.rules["scene_change"]
        )
        self._thumbnail = thumbnail
        due = seconds >= self._next
        if len(self.frames) >= self.rules["frames"] or not (due or (change and seconds - last >= LEAST_GAP)):
            return
        self._next = seconds + self.interval - 1e-6
        hashed = picture.hash_frame(self._upright(frame), self.policy)
        self.low += hashed.low_information
        self.frames.append(Frame(number, seconds, hashed.pdq, hashed.pdq_quality))

    def _upright(self, frame: Any) -> NDArray[np.uint8]:
        scale = min(1.0, self.rules["side"] / max(frame.width, frame.height))
        width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        pixels = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
        quarter = round(frame.rotation / 90) % 4
        if not self.width:
            turned = quarter % 2 == 1
            self.width, self.height = (frame.height, frame.width) if turned else (frame.width, frame.height)
        return np.ascontiguousarray(np.rot90(pixels, quarter))


def hash_video(task: Task) -> Fingerprint:
    """Fingerprint of a video. Raises Refusal."""
    av.logging.set_level(av.logging.PANIC)
    rules = task.policy["video"]
    try:
        container = av.open(task.content, mode="r", format=task.media.decoder, metadata_errors="ignore")
    except MemoryError:
        raise
    except Exception as error:
        raise Refusal(Reason.MALFORMED, type(error).__name__) from error
    with container:
        if not container.streams.video:
            raise Refusal(Reason.NO_FRAMES)
        return _hash(task, container, container.streams.video[0], rules)


def _hash(task: Task, container: Any, stream: Any, rules: dict[str, Any]) -> Fingerprint:
    codec = stream.codec_context
    if codec is None or codec.name not in rules["codecs"]:
        return Fingerprint(task.digests, task.media.name, State.DIGESTS_ONLY, Reason.FORMAT_OFF, "codec")
    if codec.width * codec.height > rules["pixels"]:
        raise Refusal(Reason.TOO_MANY_PIXELS)
    codec.thread_count = 1
    duration = _duration(container, stream)
    sampler = _Sampler(rules, task.policy, max(rules["interval"], (duration or 0) / rules["frames"]))
    expected = (duration or 0) * float(stream.average_rate or 25) * codec.width * codec.height
    if expected > rules["full_pixels"]:
        codec.skip_frame = "NONKEY"
    reason, detail, number = _decode(container, stream, sampler, rules)
    if not sampler.frames:
        raise Refusal(Reason.NO_FRAMES, detail)
    return Fingerprint(
        task.digests,
        task.media.name,
        State.HASHED if reason is Reason.NONE else State.PARTIAL,
        reason,
        detail,
        sampler.width,
        sampler.height,
        min(int(stream.frames or number), 2**31 - 1),
        duration,
        None,
        _facts(container),
        (),
        tuple(sampler.frames),
    )


def _decode(container: Any, stream: Any, sampler: _Sampler, rules: dict[str, Any]) -> tuple[Reason, str, int]:
    """Show frames to the sampler until the end, the first damage, or the end of the processor time."""
    end = time.process_time() + rules["cpu_seconds"]
    number = 0
    try:
        for frame in container.decode(stream):
            if frame.width * frame.height > rules["pixels"]:
                return Reason.TRUNCATED, "pixels", number
            sampler.see(number, frame)
            number += 1
            if time.process_time() > end:
                return Reason.VIDEO_BUDGET, "", number
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - recorded as the outcome of the file
        return Reason.TRUNCATED, type(error).__name__, number
    return Reason.NONE, "", number


def _duration(container: Any, stream: Any) -> float | None:
    """Seconds as the container states them, if they are credible."""
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        seconds = container.duration / 1_000_000
    else:
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds < 1e6 else None


def _thumbnail(frame: Any) -> NDArray[np.int16]:
    """Luma at a grid of points: enough to notice a cut, without scaling the frame."""
    if frame.format.name.startswith(("yuv", "gray", "nv12")) and frame.format.components[0].bits == 8:
        plane = frame.planes[0]
        luma = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
    else:
        luma = frame.reformat(width=4 * THUMBNAIL, height=4 * THUMBNAIL, format="gray").to_ndarray()
    rows = np.linspace(0, luma.shape[0] - 1, THUMBNAIL).astype(int)
    columns = np.linspace(0, luma.shape[1] - 1, THUMBNAIL).astype(int)
    found: NDArray[np.int16] = luma[np.ix_(rows, columns)].astype(np.int16)
    return found


def _facts(container: Any) -> Exif | None:
    """Capture time, camera and position as phones write them into MP4 and QuickTime."""
    tags = {str(key).lower(): value for key, value in dict(container.metadata).items()}
    facts = Exif(
        captured=parse_time(tags.get("com.apple.quicktime.creationdate") or tags.get("creation_time")),
        make=clean_text(tags.get("com.apple.quicktime.make") or tags.get("make")),
        model=clean_text(tags.get("com.apple.quicktime.model") or tags.get("model")),
        software=clean_text(tags.get("com.apple.quicktime.software") or tags.get("encoder")),
        gps=any("location" in key for key in tags),
    )
    return None if facts.empty else facts
