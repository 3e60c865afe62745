"""INTERPOL ICSE hash set: semicolon-separated, sixteen named columns.

Lines are split at the semicolon: quotes are plain characters. ZZ40 and Lace are hashes of others that are kept, not compared. The raw category is the Baseline column, Yes or No.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from hashsets.readers import delimited
from hashsets.readers.base import Batch, Detection, Source, damaged

COLUMNS = {
    "md5": "md5",
    "sha1": "sha1",
    "photodna": "photodna",
    "image id": "entry_id",
    "is distributed": "distributed",
    "victim identified": "victim_identified",
    "offender identified": "offender_identified",
    "series name": "series",
    "baseline": "category",
}
_MARKS = {"md5", "sha1", "zz40", "photodna", "lace"}


class IcseReader:
    """Rows of the ICSE export; columns without a place of their own stay in `extra` under their names."""

    name = "icse"
    stable_ids = False

    def detect(self, head: bytes, source: Source) -> Detection | None:
        names = {f.strip().lower() for f in delimited.first_row(head, ";")}
        return Detection(self.name, "1") if names >= _MARKS else None

    def read(self, source: Source, detection: Detection) -> Iterator[Batch]:
        with source.open() as file:
            encoding = source.columns.get("encoding")
            if _in_quotes(source.head()):  # saved anew by a spreadsheet, which puts every field into quotes
                rows = delimited.rows(source, file, delimiter=";", encoding=str(encoding or "utf-8"))
            else:
                rows = delimited.rows_split(source, file, ";", None if encoding is None else str(encoding))
            _, header = next(rows)
            names = [h.strip() for h in header]
            while names and not names[-1]:
                names.pop()
            if len(set(map(str.lower, names))) != len(names):
                raise damaged(source, "line 1", "two columns have the same name")
            position: list[int] = []
            records: list[dict[str, Any]] = []
            for line, given in rows:
                fields = given
                while len(fields) > len(names) and not fields[-1].strip():
                    fields = fields[:-1]  # real exports have an empty field at the end of every line
                if len(fields) != len(names):
                    raise damaged(source, f"line {line}", f"{len(fields)} fields under {len(names)} columns")
                position.append(line)
                records.append(_record(names, fields))
                if len(position) == delimited.BATCH:
                    yield Batch(position, delimited.to_columns(records))
                    position, records = [], []
            if position:
                yield Batch(position, delimited.to_columns(records))


def _in_quotes(head: bytes) -> bool:
    """Whether every name in the first line is in quotes; the format itself knows none."""
    line = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].strip()
    return all(len(name) > 1 and name[:1] == name[-1:] == b'"' for name in line.rstrip(b";").split(b";"))


def _record(names: list[str], fields: list[str]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    extra = {}
    for name, value in zip(names, fields, strict=True):
        column = COLUMNS.get(name.lower())
        if column == "series":
            record[column] = [value] if value.strip() else None
        elif column:
            record[column] = value
        elif value:
            extra[name] = value
    if extra:
        record["extra"] = orjson.dumps(extra).decode()
    return record
