"""What this product exports, read back: the CSV of `triage hashset export`, and CASE/UCO graphs, ours or another tool's.

The CSV's columns say what they are, so no mapping is declared, and nothing is lost. Derived columns (the grade, the UK category) are
not read, nor are votes: what a source's word is worth stands in policy. A leading apostrophe is taken off, as the export put it on.

Of a CASE/UCO graph (JSON-LD) the digests of the files that it names are read. Terms are known by the last part of their names,
whatever prefix a graph gives the ontology. The format has words for digests only; perceptual hashes travel as VICS.
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


LARGEST = 256 << 20
"""Bytes of a graph that are read: it is one JSON document, held in memory."""
_METHODS = {"md5": "md5", "sha1": "sha1", "sha256": "sha256"}
_ONTOLOGY = b"ontology.unifiedcyberontology.org"


class CaseUcoReader:
    """One row per object with digests: of a bundle's objects, or of a graph's nodes."""

    name = "case_uco"
    stable_ids = False

    def detect(self, head: bytes, source: Source) -> Detection | None:
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        found = text.startswith((b"{", b"[")) and b'"@context"' in head and _ONTOLOGY in head
        return Detection(self.name, "1", entity="Bundle") if found else None

    def read(self, source: Source, detection: Detection) -> Iterator[Batch]:
        with source.open() as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise damaged(source, f"byte {LARGEST}", "a graph of CASE/UCO is read up to 256 MiB")
        try:
            graph = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError as error:
            raise damaged(source, f"line {error.lineno}", f"it is not JSON ({error.msg})") from None
        rows = [(number, record) for number, node in enumerate(_nodes(graph), 1) if (record := _digests(node))]
        for start in range(0, len(rows), delimited.BATCH):
            chosen = rows[start : start + delimited.BATCH]
            yield Batch([number for number, _ in chosen], delimited.to_columns([record for _, record in chosen]))
        source.done = len(data)


def _nodes(graph: Any) -> Iterator[dict[str, Any]]:
    """The nodes of a graph in their order: of a list, of `@graph`, or of the objects that a bundle contains."""
    waiting = [graph]  # and no recursion: lists in lists may be nested as deeply as the parser lets through
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(reversed(node))
        elif isinstance(node, dict):
            inside = [value for key, value in node.items() if key == "@graph" or _local(key) == "object"]
            if any(isinstance(value, list) and any(len(_dict(v)) > 1 for v in value) for value in inside):
                waiting.extend(reversed(inside))
            else:
                yield node


def _digests(node: dict[str, Any]) -> dict[str, Any] | None:
    """The digests, size and type of a node; None for one without digests."""
    record: dict[str, Any] = {}
    others: list[str] = []
    for facet in _list(_term(node, "hasFacet")):
        for one in _list(_term(_dict(facet), "hash")):
            method = str(_value(_term(_dict(one), "hashMethod")) or "")
            column = _METHODS.get(method.lower().replace("-", ""))
            if column is None:
                others.append(method)
            elif column not in record:
                record[column] = _value(_term(_dict(one), "hashValue"))
        for term, column in (("sizeInBytes", "size"), ("mimeType", "mime")):
            value = _value(_term(_dict(facet), term))
            if value is not None and column not in record:
                record[column] = str(value)
    if not record.keys() & set(_METHODS.values()):
        return {"unsupported": ("unsupported_hash_type", ", ".join(others))} if others else None
    return record


def _term(node: dict[str, Any], local: str) -> Any:
    return next((value for key, value in node.items() if _local(key) == local), None)


def _local(key: str) -> str:
    return key.replace("#", ":").replace("/", ":").rpartition(":")[2]


def _value(value: Any) -> Any:
    """A literal, plain or with its datatype."""
    value = value[0] if isinstance(value, list) and value else value
    return value.get("@value") if isinstance(value, dict) else value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
