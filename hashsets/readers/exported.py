"""The CSV that `triage hashset export` writes, read back without loss.

Its columns say what they are, so no mapping is declared. Derived columns (the grade, the UK category) are not read, nor are
votes: what a source's word is worth stands in policy. A leading apostrophe is taken off, as the export put it on.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import orjson

from hashsets.readers import delimited
from hashsets.readers.base import Batch, Detection, Source, damaged
from pipeline.algorithms import EXCHANGED

FLAGS = ("victim_identified", "offender_identified", "distributed", "precategorised", "suspected")
DERIVED = frozenset({"source", "country", "uk_category", "votes", "media_key", "grade"})
COLUMNS = (
    *EXCHANGED, "source", "country", "member", "entry_id", "category", "uk_category", "votes", "disputed", *FLAGS,
    "series", "tags", "size", "mime", "updated", "extra", "media_key", "grade",
)  # fmt: skip
_COUNTRY = COLUMNS.index("country")


class ExportedReader:
    """Rows of our own export, all of one country segment: it decides what their categories mean."""

    name = "exported"
    stable_ids = False

    def detect(self, head: bytes, source: Source) -> Detection | None:
        if tuple(delimited.first_row(head, ",")) != COLUMNS:
            return None
        rows = csv.reader(io.StringIO(head.decode("utf-8-sig", "replace"), newline=""))
        next(rows)
        first = next(rows, [])
        return Detection(self.name, "1", country=first[_COUNTRY] if len(first) > _COUNTRY else "", entity="Media")

    def read(self, source: Source, detection: Detection) -> Iterator[Batch]:
        with source.open() as file:
            rows = delimited.rows(source, file, delimiter=",")
            next(rows)
            position: list[int] = []
            records: list[dict[str, Any]] = []
            for line, fields in rows:
                if len(fields) != len(COLUMNS):
                    raise damaged(source, f"line {line}", f"{len(fields)} fields under {len(COLUMNS)} columns")
                if fields[_COUNTRY] != detection.country:
                    raise damaged(source, f"line {line}", "its rows are of several country segments")
                position.append(line)
                records.append(_record(source, line, fields))
                if len(position) == delimited.BATCH:
                    yield Batch(position, delimited.to_columns(records))
                    position, records = [], []
            if position:
                yield Batch(position, delimited.to_columns(records))


def _record(source: Source, line: int, fields: list[str]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name, field in zip(COLUMNS, fields, strict=True):
        value = field[1:] if field.startswith("'") else field
        if name in DERIVED or not value:
            continue
        record[name] = value
        if name == "extra" or (name in {"series", "tags"} and value.startswith("[")):
            try:
                parsed = orjson.loads(value)
            except orjson.JSONDecodeError as error:
                raise damaged(source, f"line {line}", f"{name} is not JSON ({error.msg})") from None
            if not isinstance(parsed, dict if name == "extra" else list):
                raise damaged(source, f"line {line}", f"{name} is JSON of another kind")
            record[name] = value if name == "extra" else parsed
    return record


def as_cell(value: Any) -> Any:
    """A value as `_record` reads it: lists comma-delimited, or as JSON where that would be read in another way."""
    if isinstance(value, list):
        plain = not any("," in item for item in value) and not value[:1][0].startswith("[") if value else True
        value = ",".join(value) if plain else orjson.dumps(value).decode()
    return f"'{value}" if isinstance(value, str) and value.startswith("'") else value
