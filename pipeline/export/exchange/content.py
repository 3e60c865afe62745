"""What an export of one case holds: its files with digests and standing, its identifiers, its matches. No texts, no pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cases import cases as case_reading
from pipeline.export.asking import Enquiry
from pipeline.export.listing import cases_of, without
from pipeline.ingest.geography import forces
from pipeline.lake import Lake
from pipeline.settings import Settings


@dataclass(frozen=True)
class ExportFile:
    """One media file of the case: the lake's row, its fingerprint if any, and its matches, surest first."""

    row: dict[str, Any]
    fingerprint: dict[str, Any] | None
    matches: list[dict[str, Any]]


@dataclass(frozen=True)
class CaseExport:
    """One case, ready to be written in an exchange format. `at` is the moment of the export."""

    number: str
    source: str
    band: str
    at: datetime
    force: str
    referrals: list[dict[str, Any]]
    identifiers: list[dict[str, Any]]
    files: list[ExportFile] = field(default_factory=list)


def of_case(settings: Settings, question: Enquiry, number: str) -> CaseExport:
    """Everything that an export of the case holds. Raises UsageError where it does not exist for this person."""
    case = case_reading.find(question.session, question.actor, number, "case.read")
    lake = Lake.of(settings)
    hidden = question.hidden_referrals()
    members = [r for r, c in cases_of(lake).items() if c == number and r not in set(hidden)]
    files = _of(lake, "media_files", members, hidden)
    contents = sorted({f["sha256"] for f in files if f["sha256"]})
    prints = {p["sha256"]: p for p in _with_content(lake, "fingerprints", contents)}
    found: dict[Any, list[dict[str, Any]]] = {}
    for match in _with_content(lake, "matches", contents, [f["file_id"] for f in files if not f["sha256"]]):
        found.setdefault(match["file_id"] or match["sha256"], []).append(match)
    for matches in found.values():
        matches.sort(key=lambda m: (m["distance"], m["kind"], m["match_id"]))
    return CaseExport(
        number=number,
        source=case.source,
        band=case.band,
        at=question.session.info["store"].clock(),
        force=_force_name(settings),
        referrals=_of(lake, "referrals", members, hidden),
        identifiers=_of(lake, "identifiers", members, hidden),
        files=[ExportFile(f, prints.get(f["sha256"]), found.get(f["sha256"] or f["file_id"], [])) for f in files],
    )


def _of(lake: Lake, table: str, members: list[str], hidden: list[str]) -> list[dict[str, Any]]:
    rows = without(lake.read(table), hidden)
    chosen = rows.filter(pc.is_in(rows["referral_id"], value_set=pa.array(members, pa.string())))
    listed: list[dict[str, Any]] = chosen.to_pylist()
    return listed


def _with_content(
    lake: Lake, table: str, contents: list[bytes], file_ids: list[str] | None = None
) -> list[dict[str, Any]]:
    rows = lake.read(table)
    chosen = pc.is_in(rows["sha256"], value_set=pa.array(contents, pa.binary(32)))
    if file_ids:
        chosen = pc.or_(chosen, pc.is_in(rows["file_id"], value_set=pa.array(file_ids, pa.string())))
    listed: list[dict[str, Any]] = rows.filter(chosen).to_pylist()
    return listed


def _force_name(settings: Settings) -> str:
    """Name of the force that exports, from policy/forces.csv; its code where the file does not name it."""
    return forces.load(settings).names.get(settings.force, settings.force)
