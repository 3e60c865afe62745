"""What hash sets say of a known hash beside its opinion: PDQ quality, and the place of a frame in its video.

Both stand in an opinion's `extra`, as the set gave them: a member `frames` (the readers of vPDQ files and of lists with declared
frames write it) or a plain number under one of `QUALITY`. Most sets say neither, and then nothing is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa

from hashsets.release.releases import Release

QUALITY = ("pdqquality", "pdq_quality", "quality")
"""Names, in small letters, under which sets give the PDQ quality of the one hash of an entry."""


@dataclass(frozen=True)
class KnownFrame:
    """One frame of a known video: the video's name, time in seconds, quality (0 to 100 or None), PDQ (32 bytes)."""

    video: str
    seconds: float
    quality: int | None
    pdq: bytes


@dataclass
class StatedMedia:
    """What is stated of one known media item."""

    frames: list[KnownFrame] = field(default_factory=list)
    quality: int | None = None

    def quality_of(self, known_hash: bytes) -> int | None:
        """PDQ quality of one of the media item's hashes: its frame's, else the entry's."""
        own = [f.quality for f in self.frames if f.pdq == known_hash and f.quality is not None]
        return max(own) if own else self.quality


def stated(release: Release, media_keys: list[int]) -> dict[int, StatedMedia]:
    """What the opinions in force say of these media items; only those of which something is said."""
    if not media_keys:
        return {}
    con = release.connect()
    try:
        con.register("asked", pa.table({"media_key": pa.array(sorted(set(media_keys)), pa.int64())}))
        rows = con.execute(
            """SELECT media_key, extra FROM opinion SEMI JOIN asked USING (media_key)
               WHERE valid_to IS NULL AND extra IS NOT NULL ORDER BY media_key, source_id, member"""
        ).fetchall()
    finally:
        con.close()
    found: dict[int, StatedMedia] = {}
    for media_key, text in rows:
        _take(found.setdefault(int(media_key), StatedMedia()), orjson.loads(text))
    return {key: one for key, one in found.items() if one.frames or one.quality is not None}


def _take(one: StatedMedia, extra: dict[str, Any]) -> None:
    for name, value in extra.items():
        if name == "frames" and isinstance(value, list):
            one.frames += [frame for item in value if (frame := _frame(item)) is not None]
        elif name.lower() in QUALITY and one.quality is None:
            one.quality = _share(value)


def _frame(item: Any) -> KnownFrame | None:
    """A frame as a reader wrote it; what only looks like one (a member of the same name in a foreign set) is none."""
    if not isinstance(item, dict):
        return None
    try:
        code = bytes.fromhex(str(item["pdq"]))
        seconds = float(item["seconds"])
    except (KeyError, ValueError):
        return None
    if len(code) != 32 or not 0 <= seconds < 1e7:
        return None
    return KnownFrame(str(item.get("video", "")), seconds, _share(item.get("quality")), code)


def _share(value: Any) -> int | None:
    """A whole number from 0 to 100, or None: a list of several values says nothing of one hash."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number <= 100 else None
