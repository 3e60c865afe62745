"""What a referral format is to the rest of ingest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.ingest.reports.draft import Draft
from pipeline.ingest.reports.fields import Fields
from pipeline.ingest.reports.reportrules import ReportRules
from pipeline.senders import SOURCES


@dataclass(frozen=True)
class Reader:
    """One format. `kind` is its syntax (json, xml, csv), `source` the code of its source in
    `pipeline/senders.py`, which says the landing folder it belongs in. `recognises(root, tree)` decides by content (`root` is the name of an XML root
    element, else empty); `read(fields, draft, rules)` takes out of the tree what it understands."""

    name: str
    title: str
    source: str
    kind: str
    schema: str | None
    recognises: Callable[[str, dict[str, Any]], bool]
    read: Callable[[Fields, Draft, ReportRules], None]

    @property
    def folder(self) -> str:
        """The landing folder that reports of this format belong in."""
        return SOURCES[self.source].folder


def form(name: str) -> Callable[[str, dict[str, Any]], bool]:
    """Recognises one of our own forms by its key `form`, whatever the version behind the slash."""

    def recognises(_root: str, tree: dict[str, Any]) -> bool:
        given = tree.get("form")
        return isinstance(given, str) and given.partition("/")[0] == name

    return recognises
