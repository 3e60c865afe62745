"""Deliveries in pages (NCMEC): whether all pages are there, which pages wait and why, and completing one by hand.

    /v2/entries?from=...&to=...&start=2001&size=1000&max=3000      what a page says of the page after it

`start` is the number of the next page's first entry and `max` that of its last; whether the first of all has number 0
or 1 differs between senders, so both are accepted. A page may hold fewer entries than `size`: what counts is the number
at which each page begins, never how many entries it has, unless the link states neither `size` nor `max`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hashsets.importing import importer
from hashsets.importing.importer import Import
from pipeline import files
from pipeline.errors import UsageError
from pipeline.settings import Settings

BASES = (0, 1)
"""Numbers that the first entry of a delivery may have."""
_BY_HAND = "complete.json"


@dataclass(frozen=True)
class Waiting:
    """A page that no release takes in yet, why, and since when (ISO 8601) it waits."""

    record: Import
    why: str

    @property
    def since(self) -> str:
        return self.record.loaded_at

    @property
    def text(self) -> str:
        """One sentence for a report: which page, since when, and why."""
        return (
            f"hash-set page {self.record.source_id}/{self.record.file_name} waits since {self.since}, in no release: "
            f"{self.why} (`triage hashset waiting`)"
        )


@dataclass(frozen=True)
class _Link:
    """What a page says of the next: number of its first entry, and of the first entry behind it (None: not stated)."""

    start: int
    end: int | None
    entries: int
    """How many entries the page that holds this link has."""


def missing(pages: Sequence[Mapping[str, Any]]) -> str:
    """Why the pages of one source (the notes of their imports) are not whole deliveries, in words; empty when they are.

    Several deliveries may wait at once; those that ask for another period or size are told apart by their links.
    """
    last = sum(1 for page in pages if not page.get("next"))
    queries: defaultdict[tuple[str, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for page in pages:
        if page.get("next"):
            query = _query(page["next"])
            queries[tuple(query.get(name, "") for name in ("from", "to"))].append(page)
    if last < max(1, len(queries)):
        return "the last page, the one without a link to a next one, is not there"
    return next((problem for chain in queries.values() if (problem := _gap(chain))), "")


def _gap(pages: list[Mapping[str, Any]]) -> str:
    """Why the pages of one delivery that have a next one do not join up from the first entry to the last page."""
    links: dict[int, _Link] = {}
    for page in pages:
        link = _link(page)
        if link is None:  # a link in a form that is not known: nothing can be said but that each is another page
            return "" if len({p["next"] for p in pages}) == len(pages) else "two pages name the same next page"
        links[link.start] = link
    ordered = [links[start] for start in sorted(links)]
    first = ordered[0]
    sizes = {first.entries} | ({first.end - first.start} if first.end is not None else set())
    if not any(first.start - base in sizes for base in BASES):
        return f"a page before entry {first.start} is not there"
    for before, link in pairwise(ordered):
        behind = before.end if before.end is not None else before.start + link.entries
        if link.start != behind:
            return f"a page between the entries {before.start} and {link.start} is not there"
    return ""


_NUMBER = re.compile(r"[0-9]{1,18}")


def _query(link: str) -> dict[str, str]:
    """What a link asks for, by name; nothing where it is no address at all: a sender may write anything there."""
    try:
        return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    except ValueError:
        return {}


def _link(page: Mapping[str, Any]) -> _Link | None:
    query = _query(page["next"])
    numbers = {name: int(text) for name in ("start", "size", "max") if _NUMBER.fullmatch(text := query.get(name, ""))}
    if "start" not in numbers:
        return None
    start = numbers["start"]
    end = start + numbers["size"] if numbers.get("size") else None
    if end is None and numbers.get("max", -1) >= start:
        end = numbers["max"] + 1
    return _Link(start, end, int(page["entries"]))


def waiting(settings: Settings, records: Iterable[Import]) -> list[Waiting]:
    """Those of some imports, none of them in a release, that wait for other pages; ordered as they were loaded."""
    pages: defaultdict[str, list[Import]] = defaultdict(list)
    for record in records:
        if record.reader == "ncmec" and not _by_hand(settings, record).is_file():
            pages[record.source_id].append(record)
    found = []
    for mine in pages.values():
        why = missing([record.notes for record in mine])
        if why:
            found += [Waiting(record, why) for record in mine]
    return found


def complete(
    settings: Settings, records: Iterable[Import], source_id: str, *, person: str, reason: str, as_of: datetime
) -> list[Import]:
    """Let the waiting pages of a source enter the next release as they are: a person has seen that no more will come.

    Raises UsageError when none of the source's pages wait.
    """
    chosen = [w for w in waiting(settings, records) if w.record.source_id == source_id]
    if not chosen:
        raise UsageError(f"No page of {source_id} waits for another.", "`triage hashset waiting` lists those that do.")
    for page in chosen:
        what = {"by": person, "reason": reason, "at": as_of.isoformat(), "missing": page.why}
        files.write_json(_by_hand(settings, page.record), what)
    return [page.record for page in chosen]


def completed(settings: Settings, record: Import) -> dict[str, Any] | None:
    """Who completed the delivery of this page by hand, why and when; None when nobody did."""
    path = _by_hand(settings, record)
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _by_hand(settings: Settings, record: Import) -> Path:
    return importer.imports_dir(settings) / record.key / _BY_HAND
