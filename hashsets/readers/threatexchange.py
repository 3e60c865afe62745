"""ThreatExchange and HMA local files: one hash per line, alone or after its type (`pdq f8f8...`, `md5,d0a1...`).

A type that the store does not hold (vpdq, tlsh) is rejected by name. Without a type the length decides; 64 hex
characters are SHA-256 or PDQ, which only the source's declaration (`list: {kind: pdq}`) can tell.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from hashsets.algorithms import ALL, BY_NAME
from hashsets.readers import delimited
from hashsets.readers.base import Batch, Detection, Source

_LINE = re.compile(r"(?:([A-Za-z][A-Za-z0-9_.-]{1,30})\s*[ \t,:]\s*)?([0-9A-Za-z+/=]{8,400})$")
_TYPES = {**{name: name for name in BY_NAME}, "video_md5": "md5", "pdna": "photodna"}
_HEX = Counter(2 * a.width for a in ALL)
_BY_LENGTH = {
    **{2 * a.width: a.name for a in ALL if _HEX[2 * a.width] == 1},
    **{4 * a.width // 3: a.name for a in ALL if a.opaque},
}
"""Which algorithm a value of so many characters is of, where only one has that length: in hex, and PhotoDNA in base64 too."""


class ThreatExchangeReader:
    """Lines of hashes; blank lines and lines that begin with # are no rows."""

    name = "threatexchange"
    stable_ids = False

    def detect(self, head: bytes, source: Source) -> Detection | None:
        try:
            text = head.decode("utf-8-sig", "strict" if len(head) < 60_000 else "ignore")
        except UnicodeDecodeError:
            return None
        found = [line.strip() for line in text.splitlines()[:50]]
        rows = [line for line in found if line and not line.startswith("#")]
        seen = [m for m in map(_LINE.match, rows) if m and (m.group(1) or re.fullmatch("[0-9a-fA-F]+", m.group(2)))]
        return Detection(self.name, "1") if rows and len(seen) * 2 > len(rows) else None

    def read(self, source: Source, detection: Detection) -> Iterator[Batch]:
        kind = source.columns.get("kind")
        with source.open() as file:
            position: list[int] = []
            records: list[dict[str, Any]] = []
            for number, line in enumerate(delimited.lines(source, file), 1):
                text = line.strip()
                if not text or text.startswith("#"):
                    continue
                position.append(number)
                records.append(_record(text, kind))
                if len(position) == delimited.BATCH:
                    yield Batch(position, delimited.to_columns(records))
                    position, records = [], []
            if position:
                yield Batch(position, delimited.to_columns(records))


def _record(text: str, kind: str | None) -> dict[str, Any]:
    """Raw columns of one line; `unsupported` makes the row a reject that says why."""
    match = _LINE.match(text)
    if match is None:
        return {"unsupported": ("not_a_hash", text)}
    named, value = match.groups()
    if named is not None:
        column = _TYPES.get(named.lower())
        return {column: value} if column else {"unsupported": ("unsupported_hash_type", text)}
    column = _BY_LENGTH.get(len(value)) or kind
    if column is None:
        return {"unsupported": ("ambiguous_hash_type" if len(value) == 64 else "wrong_length", text)}
    return {column: value} if column in BY_NAME else {"unsupported": ("unsupported_hash_type", text)}
