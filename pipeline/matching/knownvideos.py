"""Known videos as sets of frames with order and time: which of one's frames were met, where in it, and in its order.

A hash set gives a known video as frames (`stated`), often as one media item per frame. Its frames are matched one by one and
judged together here, so that the evidence is one match: "12 s of the known video from 0:40".
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fingerprint.hashes import packed
from pipeline.matching.pairs import Numbers, Pairs
from pipeline.matching.stated import KnownFrame, StatedMedia

ORDERED = 0.9
"""Share of steps from one met frame to the next that may not go back in the known video, for them to be in its order."""


@dataclass(frozen=True)
class KnownVideos:
    """Known videos among some media items: the item that stands for each media item (of its video, the least), frames by it."""

    stands_for: dict[int, int]
    frames: dict[int, list[KnownFrame]]

    def together(self, pairs: Pairs) -> Pairs:
        """The pairs with the media item that stands for its video in place of each frame's."""
        if not self.stands_for:
            return pairs
        media = np.array([self.stands_for.get(key, key) for key in pairs.media.tolist()], np.int64)
        return Pairs(pairs.place, media, pairs.distance, pairs.total)

    def nearest(self, media_key: int, query: bytes) -> dict[str, Any]:
        """Hash and quality of the frame nearest to a query, as columns of a match; nothing for media without frames."""
        frames = self.frames.get(media_key)
        if not frames:
            return {}
        frame = min(frames, key=lambda one: (packed.distance(query, one.pdq), one.seconds))
        return {"known_hash": frame.pdq.hex(), "known_quality": frame.quality}


def among(said: dict[int, StatedMedia]) -> KnownVideos:
    """The known videos of media items of which something is stated."""
    by_video: dict[str, list[int]] = {}
    for key in sorted(said):
        for video in sorted({frame.video or f"item {key}" for frame in said[key].frames}):
            by_video.setdefault(video, []).append(key)
    stands_for: dict[int, int] = {}
    frames: dict[int, list[KnownFrame]] = {}
    for keys in by_video.values():
        first = next((stands_for[key] for key in keys if key in stands_for), keys[0])
        for key in keys:
            if key not in stands_for:  # a frame that two videos share counts for the first of them
                stands_for[key] = first
                frames.setdefault(first, []).extend(said[key].frames)
    return KnownVideos(stands_for, frames)


def spanned(
    pairs: Pairs, media: Numbers, seconds: NDArray[np.float64], said: dict[int, StatedMedia]
) -> dict[str, Any] | None:
    """Evidence columns of the pairs of one video with one known video; None where no time of the known one is stated.

    `media` are the pairs' own media items (n,), before they were put together; `seconds` the times of the query frames (n,).
    A query frame that is near to several known ones counts as its nearest.
    """
    nearest: dict[float, tuple[int, float, str]] = {}
    for key, distance, at in zip(media.tolist(), pairs.distance.tolist(), seconds.tolist(), strict=True):
        for frame in said[key].frames if key in said else ():
            one = (distance, frame.seconds, frame.video)
            nearest[at] = min(nearest.get(at, one), one)
    if not nearest:
        return None
    times = [nearest[at][1] for at in sorted(nearest)]
    forward = sum(later >= earlier for earlier, later in itertools.pairwise(times))
    names = sorted(video for _, _, video in nearest.values())
    return {
        "known_video": max(set(names), key=names.count) or None,
        "known_first_seconds": min(times),
        "known_last_seconds": max(times),
        "known_in_order": len(times) < 2 or forward >= ORDERED * (len(times) - 1),
    }


def words(row: dict[str, Any]) -> str:
    """The evidence in words; "" for a match without times of a known video."""
    first, last = row.get("known_first_seconds"), row.get("known_last_seconds")
    if first is None or last is None:
        return ""
    name = f" {row['known_video']}" if row.get("known_video") else ""
    length = f"{last - first:.0f} s" if last - first >= 0.5 else "one moment"
    order = "" if row.get("known_in_order") or last == first else ", not in its order"
    return f"{length} of the known video{name} from {clock(first)}{order}"


def clock(seconds: float) -> str:
    """Minutes and seconds (hours where there are any): 40 is 0:40."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
