"""Hashing what a picture file holds besides its picture: further frames and pages, pictures and films behind it.

Each becomes a frame of the content, so that it is matched as frames of a video are. What is not looked at is counted.
"""

from __future__ import annotations

import io
import time
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.fingerprint.decode import embedded, video
from pipeline.fingerprint.decode.sampler import THUMBNAIL
from pipeline.fingerprint.decode.sniff import MediaType
from pipeline.fingerprint.decode.task import Task
from pipeline.fingerprint.hashes import picture
from pipeline.fingerprint.machine import blame_file
from pipeline.fingerprint.outcome import Frame, Reason, Refusal

CLIP_FRAMES = 60
"""Frames that are hashed of a film behind a picture: a motion photo's lasts about three seconds."""


def _thumbnail(image: Image.Image) -> NDArray[np.int16]:
    """Luma of a frame, int16 of shape (32, 32): how much of a scene has changed."""
    small = image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, np.int16)


def open_picture(content: BinaryIO, media: MediaType, limits: dict[str, Any]) -> Image.Image:
    """Open with the one decoder that the content asks for; nothing is decoded yet. Raises Refusal, and what Pillow raises."""
    pixels = limits["pixels_scaled" if media.decoder == "JPEG" else "pixels"]
    Image.MAX_IMAGE_PIXELS = pixels
    try:
        image = Image.open(content, formats=[media.decoder])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refusal(Reason.TOO_MANY_PIXELS) from None
    width, height = image.size
    if width * height > pixels or max(width, height) > limits["side"]:
        raise Refusal(Reason.TOO_MANY_PIXELS)
    return image


class Further:
    """Frames of one picture file. `first` is the place of its picture among its frames; `frames` stays empty where the
    picture is all there is."""

    def __init__(self, task: Task, first: int, hashes: picture.PictureHashes) -> None:
        self.policy = task.policy
        self.media = task.media
        self.frames: list[Frame] = []
        self.skipped = 0
        self.unseen = 0
        self._most = task.policy["limits"]["parts"]
        self._first = Frame(first, 0.0, hashes.pdq, hashes.pdq_quality)

    def animation(self, image: Image.Image, number: int) -> None:
        """The first, the middle and the last frame, and each that shows something else than the one hashed before it, within
        the pixel budget of an animation. What is left out for that budget, for the time or behind CLIP_FRAMES is counted once."""
        width, height = image.size
        within = min(number, self.policy["video"]["animation_pixels"] // (width * height))
        if within <= 1:
            self.unseen += 1
            return
        step = float(image.info.get("duration") or 0) / 1000
        step = step if 0 <= step < 3600 else 0.0
        always, shown = {number // 2, number - 1}, _thumbnail(image)
        end = time.process_time() + self.policy["limits"]["cpu_seconds"] / 2
        self.frames.append(self._first)
        for index in range(within):
            if index == self._first.number:
                continue
            here = self._glance(image, index)
            if here is not None and index not in always and self._is_scene(here, shown):
                continue
            late = len(self.frames) >= CLIP_FRAMES or time.process_time() > end
            if here is None or late or not self._page(image, index, index * step):
                self.unseen += 1
                return
            shown = here
        self.unseen += within < number

    def _is_scene(self, here: NDArray[np.int16], shown: NDArray[np.int16]) -> bool:
        """Whether two thumbnails are of one scene, by the rule for the cuts of a film."""
        return bool(np.abs(here - shown).mean() / 255 < self.policy["video"]["scene_change"])

    @staticmethod
    def _glance(image: Image.Image, index: int) -> NDArray[np.int16] | None:
        """Thumbnail of one frame; None when it cannot be decoded."""
        try:
            image.seek(index)
            return _thumbnail(image)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - counted as unseen; the picture itself stands
            blame_file(error)
            return None

    def collection(self, image: Image.Image, number: int) -> None:
        """Every page or picture up to the limit, each once; the picture itself stands in its place among them."""
        others = [index for index in range(number) if index != self._first.number]
        width, height = image.size
        budget = self.policy["video"]["animation_pixels"]
        self.frames.append(self._first)
        for index in others[: self._most]:
            budget -= width * height
            if budget < 0 or not self._page(image, index, 0.0):
                continue
        self.unseen += number - len(self.frames)
        self.frames.sort(key=lambda frame: frame.number)

    def _page(self, image: Image.Image, index: int, seconds: float) -> bool:
        """Hash one further frame; False when it cannot be decoded. The picture itself stands all the same."""
        try:
            image.seek(index)
            hashes = picture.hash_picture(image, self.policy, variants=False)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - counted as unseen
            blame_file(error)
            return False
        self.frames.append(Frame(index, seconds, hashes.pdq, hashes.pdq_quality))
        return True

    def behind(self, data: bytes) -> None:
        """Pictures and films behind the end of the picture that `data` begins with; of a camera's raw file those in it."""
        parts = embedded.further(data, self.media.family)
        if self.media.family == "raw":
            chosen = embedded.previews(data)[0].start
            parts = [part for part in parts if part.start != chosen]
        for number, part in enumerate(parts):
            allowed = part.media.family is not None and self.policy["formats"][part.media.family]
            if number >= self._most or not allowed or not self._part(data[part.start : part.end], part.media):
                self.unseen += 1

    def _part(self, data: bytes, media: MediaType) -> bool:
        """Hash one picture or film; False when it is not decoded."""
        try:
            found = self._film(data, media) if media.video else self._picture(data, media)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - counted as unseen; the picture that viewers show stands
            blame_file(error)
            return False
        self.frames = self.frames or [self._first]
        number, seconds = self.frames[-1].number + 1, self.frames[-1].seconds
        for place, frame in enumerate(found):
            later = max(seconds, frame.seconds)
            self.frames.append(Frame(number + place, later, frame.pdq, frame.quality))
        return True

    def _picture(self, data: bytes, media: MediaType) -> list[Frame]:
        with open_picture(io.BytesIO(data), media, self.policy["limits"]) as image:
            hashes = picture.hash_picture(image, self.policy, variants=False)
        return [Frame(0, 0.0, hashes.pdq, hashes.pdq_quality)]

    def _film(self, data: bytes, media: MediaType) -> list[Frame]:
        seconds = self.policy["limits"]["cpu_seconds"] / 2
        found = video.hash_clip(io.BytesIO(data), media.decoder, self.policy, CLIP_FRAMES, seconds)
        self.skipped += found.skipped
        if not found.frames.hashed:
            raise Refusal(Reason.NO_FRAMES)
        # cut short by the budget: what lies behind the cut was not seen, and the film counts as that
        self.unseen += found.unseen + (found.reason is Reason.VIDEO_BUDGET)
        return found.frames.hashed
