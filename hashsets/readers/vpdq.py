"""vPDQ files: the frames of one video, one line each, `frame number,quality,PDQ,seconds`, as vpdq and HMA write them.

A frame becomes a known hash with its place in the video: the video (the file's name without its ending), number, seconds and PDQ
quality stand in `extra` as one member of the list `frames`, so that frames that share a hash keep all their places. The file
names no digest of the video, so that each distinct frame is a media item of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from hashsets.readers import delimited
from hashsets.readers.base import Batch, Detection, Source

_LINE = re.compile(r"(\d{1,9}),(\d{1,3}),([0-9A-Fa-f]{64}),(\d{1,7}(?:\.\d{1,9})?)$")


class VpdqReader:
    """Lines of frames; blank lines are no rows. A line of another form is a reject that shows it."""

    name = "vpdq"
    stable_ids = False

    def detect(self, head: bytes, source: Source) -> Detection | None:
        try:
            first = head.decode("ascii", "strict").lstrip().splitlines()[:1]
        except UnicodeDecodeError:
            return None
        return Detection(self.name, "1") if first and _LINE.match(first[0].strip()) else None

    def read(self, source: Source, detection: Detection) -> Iterator[Batch]:
        with source.open() as file:
            position: list[int] = []
            records: list[dict[str, Any]] = []
            for number, line in enumerate(delimited.lines(source, file), 1):
                if not line.strip():
                    continue
                position.append(number)
                records.append(_record(line.strip(), source.path.stem))
                if len(position) == delimited.BATCH:
                    yield Batch(position, delimited.to_columns(records))
                    position, records = [], []
            if position:
                yield Batch(position, delimited.to_columns(records))


def _record(line: str, video: str) -> dict[str, Any]:
    """Raw columns of one line; `unsupported` makes the row a reject that says why."""
    match = _LINE.match(line)
    if match is None or int(match.group(2)) > 100:
        return {"unsupported": ("not_a_frame", line)}
    number, quality, pdq, seconds = match.groups()
    return {"pdq": pdq, "extra": frames(pdq, video, float(seconds), int(quality), int(number))}


def frames(pdq: str, video: str, seconds: float, quality: int | None, number: int | None) -> str:
    """`extra` of one frame, as JSON text: a list, so that the places of one hash are joined when opinions are."""
    place = {"video": video, "frame": number, "seconds": seconds, "quality": quality, "pdq": pdq.lower()}
    return orjson.dumps({"frames": [{k: v for k, v in place.items() if v is not None}]}).decode()
