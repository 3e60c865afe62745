"""What reading a report goes by: the part of policy/ingest.yaml that readers use, and the names of policy/facts.yaml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ReportRules:
    """Limits (`caps`, in bytes, rows or characters), the words of senders that state facts, the region of phone numbers
    without a country code, and the names of all facts."""

    caps: Mapping[str, int]
    annotations: Mapping[str, str]
    incident_types: Mapping[str, list[str]]
    offers: Mapping[str, list[str]]
    offers_otherwise: Mapping[str, list[str]]
    relationships: Mapping[str, list[str]]
    phone_region: str
    facts: frozenset[str]

    @classmethod
    def of(cls, data: Mapping[str, Any], facts: Iterable[str]) -> ReportRules:
        """From policy/ingest.yaml as it was read, and the names of facts."""
        names = ("caps", "annotations", "incident_types", "offers", "offers_otherwise", "relationships", "phone_region")
        return cls(**{name: data[name] for name in names}, facts=frozenset(facts))
