"""Facts from a picture's EXIF data that matter to an investigation: when, with what camera, where known, edited with what.

The text comes from the file's maker and may be anything: it is cut to TEXT_BYTES characters of a narrow alphabet, so that a
decoder that was taken over cannot send much out through it, and is data of the file, restricted like a name. Whether there is a position is a fact; the position itself stays in the file.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

TEXT_BYTES = 40
TEXT = re.compile(r"[A-Za-z0-9 .,:_()/+-]*")
"""What a text may consist of; anything else in it becomes an underscore."""
CAPTURED = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}([+-]\d{2}:\d{2})?)?")
_NO_TEXT = re.compile(r"[^A-Za-z0-9 .,:_()/+-]")
_TIME = re.compile(r"(\d{4})[:-](\d{2})[:-](\d{2})[ T](\d{2}):(\d{2}):(\d{2})")
_IFD0 = {"make": 0x010F, "model": 0x0110, "software": 0x0131}
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_DATE_TIME, _DATE_TIME_ORIGINAL, _OFFSET_ORIGINAL = 0x0132, 0x9003, 0x9011


@dataclass(frozen=True)
class Exif:
    """`captured` is the camera's local time as YYYY-MM-DDTHH:MM:SS with its offset where stated; empty text is no fact."""

    captured: str = ""
    make: str = ""
    model: str = ""
    software: str = ""
    gps: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The facts that are there."""
        return {name: value for name, value in asdict(self).items() if value}

    @property
    def empty(self) -> bool:
        return not self.as_dict()


def read_exif(image: Any) -> Exif:
    """Facts of a Pillow image. EXIF that cannot be parsed has no facts; the picture is hashed all the same."""
    try:
        exif = image.getexif()
        detail = exif.get_ifd(_EXIF_IFD)
        gps = exif.get_ifd(_GPS_IFD)
        captured = parse_time(detail.get(_DATE_TIME_ORIGINAL) or exif.get(_DATE_TIME), detail.get(_OFFSET_ORIGINAL))
        texts = {name: clean_text(exif.get(tag)) for name, tag in _IFD0.items()}
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - Pillow raises a dozen classes for hostile EXIF; no fact is the recorded outcome
        return Exif()
    return Exif(captured=captured, gps=any(tag in gps for tag in (2, 4)), **texts)


def clean_text(value: Any) -> str:
    """Text of the alphabet of TEXT, at most TEXT_BYTES characters, white space collapsed."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    text = " ".join("".join(c if c.isprintable() else " " for c in value[: 4 * TEXT_BYTES]).split())
    return _NO_TEXT.sub("_", text)[:TEXT_BYTES].strip()


def parse_time(value: Any, offset: Any = None) -> str:
    """EXIF or ISO 8601 text as YYYY-MM-DDTHH:MM:SS, with `offset` (+HH:MM) where it is stated; empty if it is no time."""
    found = _TIME.match(clean_text(value))
    if not found or found.group(1) == "0000":
        return ""
    year, month, day, hour, minute, second = found.groups()
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31 and int(hour) < 24 and int(minute) < 60 and int(second) < 61):
        return ""
    zone = clean_text(offset)
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}" + (zone if re.fullmatch(r"[+-]\d{2}:\d{2}", zone) else "")
