"""NCMEC hash sharing v2: XML pages of adds, updates and tombstones.

    queryResult / images|videos / image|video|deletedImage|deletedVideo
        member@id, id, timestamp, classification, fingerprints/{md5, sha1, pdna, pdq, ...}, feedback
    queryResult / paging / next        there are more pages

An entry is known by member and id; the newest timestamp wins, whatever order pages come in. A page says whether it
is the last: the rows of a delivery enter a release only when all its pages are there (`hashsets.importing.paging`), and the
checkpoint, the largest timestamp that was asked for, moves only then. Entities and DTDs are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import ParseError

import orjson
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from hashsets.readers import delimited
from hashsets.readers.base import Batch, Detection, Source, damaged

NAMESPACE = "https://hashsharing.ncmec.org/hashsharing/v2"
_ROOT = re.compile(rb"<(?:\w+:)?queryResult\b[^>]*" + re.escape(NAMESPACE.encode()))
_ENTRIES = {"image": False, "video": False, "deletedImage": True, "deletedVideo": True}
_HASHES = {"md5": "md5", "sha1": "sha1", "sha256": "sha256", "pdna": "photodna", "pdq": "pdq"}
MAX_DEPTH = 32


class NcmecReader:
    """One page of a delivery."""

    name = "ncmec"
    stable_ids = True

    def detect(self, head: bytes, source: Source) -> Detection | None:
        return Detection(self.name, "2", entity="page") if _ROOT.search(head) else None

    def read(self, source: Source, detection: Detection) -> Iterator[Batch]:
        position: list[int] = []
        records: list[dict[str, Any]] = []
        read = 0
        source.notes.update({"next": None, "max_timestamp": None, "entries": 0})
        try:
            with source.open() as file:
                for record in self._entries(source, file):
                    read += 1
                    position.append(read)
                    records.append(record)
                    if len(position) == delimited.BATCH:
                        yield Batch(position, delimited.to_columns(records))
                        position, records = [], []
                        source.done = file.tell()
        except ParseError as error:
            raise damaged(source, f"line {error.position[0]}", f"it is not XML ({error})") from None
        except DefusedXmlException as error:
            raise damaged(
                source, f"entry {read + 1}", f"entities and DTDs are refused ({type(error).__name__})"
            ) from None
        source.notes["entries"] = read
        if position:
            yield Batch(position, delimited.to_columns(records))

    def _entries(self, source: Source, file: Any) -> Iterator[dict[str, Any]]:
        path: list[Any] = []
        for event, element in iterparse(file, events=("start", "end"), forbid_dtd=True):
            name = _local(element)
            if event == "start":
                path.append(element)
                if len(path) > MAX_DEPTH:
                    raise damaged(source, "an entry", f"it is nested deeper than {MAX_DEPTH} levels")
                if name in {"images", "videos"} and element.get("maxTimestamp"):
                    stamps = [element.get("maxTimestamp"), source.notes["max_timestamp"]]
                    source.notes["max_timestamp"] = max(s for s in stamps if s)
                continue
            path.pop()
            if name in _ENTRIES and len(path) == 2:
                yield _record(element, _ENTRIES[name], name)
                path[-1].remove(element)
            elif name == "next" and path and _local(path[-1]) == "paging":
                source.notes["next"] = (element.text or "").strip() or None


def _local(element: Any) -> str:
    return str(element.tag).rsplit("}", 1)[-1]


def _record(entry: Any, deleted: bool, kind: str) -> dict[str, Any]:
    record: dict[str, Any] = {"withdraw": deleted}
    extra: dict[str, Any] = {"kind": kind}
    for child in entry:
        name = _local(child)
        text = (child.text or "").strip()
        if name == "member":
            record["member"] = child.get("id")
            if text:
                extra["member_name"] = text
        elif name == "id":
            record["entry_id"] = text
        elif name == "timestamp":
            record["updated"] = text
        elif name == "classification":
            record["category"] = text
        elif name == "fingerprints":
            _fingerprints(child, record, extra)
        elif name == "feedback":
            _feedback(child, record, extra)
        elif text:
            extra[name] = text
    record["extra"] = orjson.dumps(extra, option=orjson.OPT_SORT_KEYS).decode()
    return record


def _fingerprints(parent: Any, record: dict[str, Any], extra: dict[str, Any]) -> None:
    others = []
    for child in parent:
        name, text = _local(child), (child.text or "").strip()
        column = _HASHES.get(name)
        if column and text and column not in record:
            record[column] = text
        else:
            others.append({"type": name, **({"value": text} if text else {}), **dict(child.attrib)})
    if others:
        extra["fingerprints"] = others


def _feedback(parent: Any, record: dict[str, Any], extra: dict[str, Any]) -> None:
    """Feedback of other members: any negative one disputes the entry; all of it is kept."""
    given = []
    for child in parent:
        given.append({"kind": _local(child), **dict(child.attrib), "text": " ".join("".join(child.itertext()).split())})
        if _local(child) == "negativeFeedback":
            record["disputed"] = True
    extra.setdefault("feedback", []).append({"given": given, **dict(parent.attrib)})
