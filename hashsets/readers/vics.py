"""VICS JSON 1.2, 1.3 and 2.0: Project VIC and CAID hash sets (`#Media`) and case exports (`#Cases`).

One root string says version, country and entity:

    odata.metadata    http://github.com/ICMEC/ProjectVic/DataModels/1.2.xml#Media
    @odata.context    http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/UK/$metadata#Cases

The country segment decides what `Category` numbers mean, so it is handed on and never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from hashsets.importing.rows import Cleaned
from hashsets.readers.base import Batch, Detection, Source, damaged
from pipeline.errors import InputError

if TYPE_CHECKING:
    from hashsets.readers.splitter import Envelope, Pass

_ROOT = re.compile(rb'"(@odata\.context|odata\.metadata)"\s*:\s*"((?:[^"\\]|\\.)*)"')
_MEDIA = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*(?:"@?odata\.[a-zA-Z.]+"\s*:\s*[^,\[{]{1,400},\s*)*"value"\s*:\s*\[')
"""How a file begins that does not say at once what it is."""
_OLD = re.compile(r"/ProjectVic/DataModels/(1\.[23])\.xml#(Media|Cases)$", re.IGNORECASE)
_NEW = re.compile(r"/ProjectVic/DataModels/(2\.0)\.xml/([A-Za-z]+)/\$metadata#(Media|Cases)$", re.IGNORECASE)

COLUMNS = {
    "MediaID": "entry_id",
    "MD5": "md5",
    "SHA1": "sha1",
    "SHA256": "sha256",
    "PhotoDNA": "photodna",
    "Category": "category",
    "MediaSize": "size",
    "MimeType": "mime",
    "DateUpdated": "updated",
    "VictimIdentified": "victim_identified",
    "OffenderIdentified": "offender_identified",
    "IsDistributed": "distributed",
    "IsPrecategorized": "precategorised",
    "IsSuspected": "suspected",
    "Series": "series",
    "Tags": "tags",
    "@triage.member": "member",
    "@triage.disputed": "disputed",
}
"""Members of a Media object that have a column; everything else is kept as JSON in `extra`.
The two annotations are our own export's: VICS has no place for who of a source's members says something."""

ALTERNATIVE = {
    "photodna": "photodna",
    "sha256": "sha256",
    "sha-256": "sha256",
    "sha1": "sha1",
    "sha-1": "sha1",
    "pdq": "pdq",
    "phash256": "phash256",
    "phash64": "phash64",
    "dhash64": "dhash64",
}
"""Names in AlternativeHashes that we hold as hashes; others stay in `extra`."""

_MEMBERS = {column: member for member, column in COLUMNS.items()}
_KNOWN = frozenset(COLUMNS)


class VicsReader:
    """Streams Media objects; constant memory however large the file."""

    name = "vics"
    stable_ids = False

    def detect(self, head: bytes, source: Source) -> Detection | None:
        if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return None
        found = _ROOT.search(head)
        if found is None and _MEDIA.match(head):  # members of an object come in any order
            found = next(iter(reversed(list(_ROOT.finditer(source.tail())))), None)
        if found is None:
            return None
        return detection(found.group(1).decode(), found.group(2).decode("utf-8", "replace"))

    def read(self, source: Source, detection: Detection) -> Iterator[Batch | Cleaned]:
        # compiled kernels, which most processes that know this reader do not need: the console starts without them
        from hashsets.readers.columns import Table
        from hashsets.readers.splitter import Envelope, SplitError, split

        cases = detection.entity == "Cases"
        envelope = Envelope()
        table = Table(COLUMNS)
        try:
            with source.open() as file:
                for found in split(file, 4 if cases else 2, b"Media" if cases else b"value", table, envelope):
                    source.done = envelope.done
                    case = found.array if cases else 0
                    rows, usual = found.table.arrow(found.data, found.count, found.first)
                    if case > 1:
                        usual[:] = False  # the case is noted in each of its rows
                    if usual.any():
                        yield Cleaned(rows)
                    if not usual.all():
                        yield _batch(source, found, ~usual, case)
                source.done = envelope.done
            _finish(source, envelope, detection)
        except SplitError as error:
            raise damaged(source, f"byte {error.offset}, near record {error.record}", str(error)) from None


def detection(key: str, context: str) -> Detection:
    """Read the root string. Raises InputError for a data model that is not known here."""
    context = context.replace("\\/", "/")
    old, new = _OLD.search(context), _NEW.search(context)
    if key == "odata.metadata" and old:
        return Detection("vics", old.group(1), "", old.group(2).capitalize())
    if key == "@odata.context" and new:
        return Detection("vics", "2.0", new.group(2), new.group(3).capitalize())
    raise InputError(
        f"The file declares the data model {context[:200]!r} in {key}, which is not VICS 1.2, 1.3 or 2.0.",
        "Ask the sender which data model it is; nothing was imported.",
    )


def _batch(source: Source, found: Pass, chosen: Any, case: int) -> Batch:
    """Records that the kernels left to the general path: nested ones, and any with a value of another form."""
    records, numbers, written = found.decode(chosen)
    _refuse_repeated_members(source, records, numbers, written)
    columns: dict[str, list[Any]] = {column: [r.get(name) for r in records] for name, column in COLUMNS.items()}
    extras: list[str | None] = [None] * len(records)
    columns["unsupported"] = [_unread_alternative(record) for record in records]
    for i, record in enumerate(records):
        if _one_alternative(columns, i, record, len(records)):
            continue
        rest = record.keys() - _KNOWN
        if not rest:
            continue
        extra = {k: record[k] for k in record if k in rest}
        if "AlternativeHashes" in rest:
            _alternative(columns, i, extra, len(records))
        if extra:
            extras[i] = orjson.dumps(extra).decode()
    if case > 1:
        extras = [_with_case(e, case) for e in extras]
    columns["extra"] = extras
    return Batch(numbers, columns)


def _unread_alternative(record: dict[str, Any]) -> tuple[str, str] | None:
    """Reason and value where AlternativeHashes holds something that is kept and not matched: a second value of one kind, or a
    list of another form."""
    listed = record.get("AlternativeHashes")
    if listed is None or listed == []:
        return None
    if not isinstance(listed, list) or not all(isinstance(item, dict) and "HashName" in item for item in listed):
        return "alternative_hashes_of_another_form", str(listed)
    values: dict[str, set[str]] = {}
    for item in listed:
        if (column := ALTERNATIVE.get(str(item["HashName"]).lower())) and item.get("HashValue") is not None:
            values.setdefault(column, set()).add(str(item["HashValue"]))
    second = [
        name
        for name, found in values.items()
        if len(found) > 1 or record.get(_MEMBERS.get(name, "")) not in (None, "", *found)
    ]
    return ("second_alternative_hash", ", ".join(second)) if second else None


def _with_case(extra: str | None, case: int) -> str:
    return orjson.dumps({**(orjson.loads(extra) if extra else {}), "@case": case}).decode()


def _one_alternative(columns: dict[str, list[Any]], row: int, record: dict[str, Any], rows: int) -> bool:
    """The usual case, quickly: one alternative hash that we hold, nothing else in its object, and every other member has a
    column. False when it is not that; nothing was done then."""
    listed = record.get("AlternativeHashes")
    if not isinstance(listed, list) or len(listed) != 1 or not isinstance(listed[0], dict):
        return False
    (item,) = listed
    column = ALTERNATIVE.get(str(item.get("HashName", "")).lower())
    value = item.get("HashValue")
    if column is None or value is None or len(record) != 1 + len(record.keys() & _KNOWN):
        return False
    values = columns.get(column)
    if values is None:
        values = columns[column] = [None] * rows
    if values[row] is not None and values[row] != value:
        return False
    values[row] = value
    return True


def _alternative(columns: dict[str, list[Any]], row: int, extra: dict[str, Any], rows: int) -> None:
    """Move hashes that we hold from AlternativeHashes to their columns; the others stay in `extra`."""
    listed = extra["AlternativeHashes"]
    if not isinstance(listed, list):
        return
    others = []
    for item in listed:
        name = str(item.get("HashName", "")).lower() if isinstance(item, dict) else ""
        column = ALTERNATIVE.get(name)
        value = item.get("HashValue") if column else None
        taken = column is not None and value is not None
        if column is not None and taken:
            values = columns.setdefault(column, [None] * rows)
            taken = values[row] is None or values[row] == value
            if taken:
                values[row] = value
        if not taken:
            others.append(item)
    if others:
        extra["AlternativeHashes"] = others
    else:
        del extra["AlternativeHashes"]


def _refuse_repeated_members(source: Source, records: list[Any], numbers: list[int], written: list[int]) -> None:
    """A repeated member ({"Category": 1, "Category": 5}) would be read as its last value by any JSON library."""
    for record, number, members in zip(records, numbers, written, strict=True):
        if len(record) == members:
            continue
        listed = record.get("AlternativeHashes")
        if isinstance(listed, list) and len(record) + sum(len(i) for i in listed if isinstance(i, dict)) == members:
            continue  # as many as were written already, without looking into everything
        if _members(record) != members:
            raise damaged(source, f"record {number}", "a member is named twice in one object")


def _members(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_members(v) for v in value.values() if isinstance(v, dict | list))
    if isinstance(value, list):
        return sum(_members(v) for v in value if isinstance(v, dict | list))
    return 0


def _finish(source: Source, envelope: Envelope, detection_: Detection) -> None:
    """Check the envelope: one root object, `value` a list of records only, every run in its place."""
    from hashsets.readers.splitter import MARKER  # see `read`

    root, runs = envelope.value(), envelope.runs
    value = root.get("value") if isinstance(root, dict) else None
    if not isinstance(value, list):
        raise damaged(source, "the root", "it has no list named value")
    lists = [value]
    if detection_.entity == "Cases":
        if not all(isinstance(case, dict) for case in value):
            raise damaged(source, "the root", "value holds something that is no Case")
        lists = [case.get("Media") or [] for case in value]
        source.notes["cases"] = [{k: v for k, v in case.items() if k != "Media"} for case in value]
        source.notes["cases_with_media"] = [i + 1 for i, media in enumerate(lists) if media]
    if any(not isinstance(items, list) or any(item != MARKER for item in items) for items in lists):
        raise damaged(source, "the root", "the list of media holds something that is no Media object")
    if sum(map(len, lists)) != runs:
        raise damaged(source, "the root", "the list of media is not where it was read")
    if any(key.lower().endswith("odata.nextlink") for key in root):
        raise damaged(source, "the root", "it says that further pages follow (nextLink), and is no whole list")
    source.notes["root"] = {k: v for k, v in root.items() if k != "value"}
