"""The policy that ingest works by: policy/ingest.yaml, the names of policy/facts.yaml, and the forces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline import policy
from pipeline.errors import SettingsError
from pipeline.ingest.geography import forces
from pipeline.ingest.geography.forces import Forces
from pipeline.ingest.reports.reportrules import ReportRules
from pipeline.senders import FOLDERS
from pipeline.settings import Settings

NO_FORCE = "00"
"""The value of TRIAGE_FORCE that names no force: no case is then marked for transfer."""


@dataclass(frozen=True)
class IngestRules:
    """`data` is policy/ingest.yaml, `report` the part of it by which reports are read; `force` is ours, None when not set."""

    data: dict[str, Any]
    report: ReportRules
    forces: Forces
    force: str | None


def load(settings: Settings) -> IngestRules:
    """Read and cross-check the policy. Raises SettingsError."""
    data = policy.load(settings, "ingest").data
    names = frozenset(policy.load(settings, "facts").data["facts"])
    tables = (data["incident_types"], data["offers"], data["offers_otherwise"], data["relationships"])
    used = {n for table in tables for listed in table.values() for n in listed} | set(data["annotations"].values())
    if used - names:
        raise SettingsError(f"Policy file ingest.yaml uses facts that facts.yaml has not: {sorted(used - names)}.")
    missing = set(FOLDERS) - set(data["landing_folders"])
    if missing:
        raise SettingsError(
            f"Policy file ingest.yaml leaves out landing folders of sources: {sorted(missing)}.",
            "Name every folder of pipeline/senders.py under `sources`.",
        )
    known = forces.load(settings)
    if settings.force not in {NO_FORCE, *known.names}:
        raise SettingsError(f"TRIAGE_FORCE={settings.force!r} is no code of policy/forces.csv.")
    return IngestRules(data, ReportRules.of(data, names), known, None if settings.force == NO_FORCE else settings.force)
