"""Lists with a declared column mapping: CSV, plain text or Parquet, as IWF-style and force-made lists and our own tables come.

The mapping stands in policy/hashsets.yaml with the source: our column to the list's column name, or its number.
Columns that are not mapped are kept in `extra`; those that `list: {frames: ...}` names say where a PDQ hash stands in a video. Without a mapping a list is never guessed at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from hashsets.readers import delimited
from hashsets.readers.base import RAW_COLUMNS, Batch, Detection, Source, damaged
from pipeline.errors import SettingsError

_PARQUET = b"PAR1"
_LARGEST_TEXT = 1 << 16
"""Characters of one value that are kept as text; longer ones are no part of a list of hashes."""


class ListReader:
    """Rows of a declared list."""

    name = "list"
    stable_ids = False

    def detect(self, head: bytes, source: Source) -> Detection | None:
        mapping = source.columns.get("columns")
        if not mapping:
            return None
        if head.startswith(_PARQUET):
            return Detection(self.name, "1", entity="parquet")
        encoding = self._encoding(head, source)
        if encoding != "utf-16" and (b"\0" in head or head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"[", b"<"}):
            return None
        if head[:4] in {b"PK\x03\x04", b"\x1f\x8b\x08\x00"}:
            return None
        if self._header(source) and encoding in {"utf-8", "utf-16"} and not self._delimiter(head, source):
            return None
        return Detection(self.name, "1")

    @staticmethod
    def _encoding(head: bytes, source: Source) -> str:
        """As declared; undeclared it is UTF-8, or UTF-16 where the file begins with its mark."""
        return str(source.columns.get("encoding") or ("utf-16" if head.startswith(delimited.UTF16) else "utf-8"))

    @staticmethod
    def _delimiter(head: bytes, source: Source) -> str:
        """As declared; undeclared the one of those that spreadsheets write with which the header has every declared column, or
        empty. A list of numbered columns has commas."""
        wanted = {str(c).lower() for c in source.columns["columns"].values() if isinstance(c, str)}
        declared = source.columns.get("delimiter")
        for delimiter in (str(declared),) if declared else (",", ";", "\t"):
            if wanted <= {f.strip().lower() for f in delimited.first_row(delimited.without_hint(head), delimiter)}:
                return delimiter
        return ""

    @staticmethod
    def _header(source: Source) -> bool:
        declared = source.columns.get("header")
        named = any(isinstance(c, str) for c in source.columns["columns"].values())
        return named if declared is None else bool(declared)

    def read(self, source: Source, detection: Detection) -> Iterator[Batch]:
        head = source.head()
        encoding = self._encoding(head, source)
        delimiter = self._delimiter(head, source) or str(source.columns.get("delimiter", ","))
        with source.open() as file:
            parquet = detection.entity == "parquet"
            if parquet:
                rows = _parquet_rows(source, file, delimited.BATCH)
            else:
                rows = delimited.rows(source, file, delimiter=delimiter, encoding=encoding)
            names: list[str] = []
            if parquet or self._header(source):
                names = [n.strip() for n in next(rows, (0, []))[1]]
                if delimited.is_hint(names):
                    names = [n.strip() for n in next(rows, (0, []))[1]]
            places = _places(source.columns["columns"], names)
            position: list[int] = []
            records: list[dict[str, Any]] = []
            for line, given in rows:
                fields = given
                while names and len(fields) > len(names) and not fields[-1].strip():
                    fields = fields[:-1]  # spreadsheets write the empty columns too
                if names and len(fields) != len(names):
                    raise damaged(source, f"line {line}", f"{len(fields)} fields under {len(names)} columns")
                position.append(line)
                records.append(_record(fields, places, names, source.columns.get("frames")))
                if len(position) == delimited.BATCH:
                    yield Batch(position, delimited.to_columns(records))
                    position, records = [], []
            if position:
                yield Batch(position, delimited.to_columns(records))


def _places(mapping: Mapping[str, Any], names: list[str]) -> dict[int, str]:
    """Position in the row to our column. Raises SettingsError for a column of ours or theirs that does not exist."""
    lowered = [n.lower() for n in names]
    places = {}
    for ours, theirs in mapping.items():
        if ours not in RAW_COLUMNS:
            raise SettingsError(f"{ours!r} is no column of a hash-set row.", f"Columns: {', '.join(RAW_COLUMNS)}.")
        if isinstance(theirs, int):
            if theirs < 1:
                raise SettingsError(f"Column {theirs} for {ours}: columns are numbered from 1.")
            places[theirs - 1] = ours
        elif theirs.lower() in lowered:
            places[lowered.index(theirs.lower())] = ours
        else:
            raise SettingsError(f"The list has no column {theirs!r}; it has {', '.join(names)}.")
    return places


def _record(
    fields: list[str], places: dict[int, str], names: list[str], frames: Mapping[str, str] | None
) -> dict[str, Any]:
    record: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for i, value in enumerate(fields):
        if i in places:
            record[places[i]] = value.strip() or None
        elif value.strip():
            extra[names[i] if i < len(names) else f"column {i + 1}"] = value
    if frames and record.get("pdq"):
        place = {ours: extra.pop(theirs) for ours, theirs in frames.items() if theirs in extra}
        extra["frames"] = [{**place, "pdq": record["pdq"].lower()}]
    if extra:
        record["extra"] = orjson.dumps(extra).decode()
    return record


def _parquet_rows(source: Source, file: BinaryIO, batch: int) -> Iterator[tuple[int, list[str]]]:
    """The names of the columns as row 0, then each row from 1 as text: bytes in hexadecimal, nothing as an empty text.

    Raises InputError with the row for a damaged file.
    """
    number = 0
    try:
        with pq.ParquetFile(file) as parquet:
            names = list(parquet.schema_arrow.names)
            yield 0, names
            for part in parquet.iter_batches(batch_size=batch):
                columns = [[_as_text(value) for value in column.to_pylist()] for column in part.columns]
                source.done = file.tell()
                for fields in zip(*columns, strict=True):
                    number += 1
                    yield number, list(fields)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(source, f"row {number + 1}", f"it is no sound Parquet file ({type(error).__name__})") from None


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return ",".join(_as_text(one) for one in value)[:_LARGEST_TEXT]
    return (value.isoformat() if isinstance(value, datetime) else str(value))[:_LARGEST_TEXT]
