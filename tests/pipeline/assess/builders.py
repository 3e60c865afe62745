"""Short ways to write synthetic lake rows for the tests of this room."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline import contract as night
from pipeline import records
from pipeline.assess.evidence.inputs import YES, Answer, CaseFile, EvidenceRow
from pipeline.contract import Night
from pipeline.lake import Lake
from pipeline.settings import Settings

T0 = datetime(2026, 11, 1, tzinfo=UTC)


def start(settings: Settings, number: int = 1) -> Night:
    """The night of that number, a day apart."""
    return night.start(settings, f"night-{number}", T0 + timedelta(days=number))


def commit(settings: Settings, key: str, stage: str = "ingest", **tables: list[dict[str, Any]]) -> Lake:
    """Commit rows of several tables under one key."""
    lake = Lake(settings.lake_dir)
    lake.commit(stage, key, {name: records.build(name, rows) for name, rows in tables.items()}, run_id=key)
    return lake


def referral(name: str, **more: Any) -> dict[str, Any]:
    return {
        "referral_id": name,
        "package_id": f"p-{name}",
        "source": "NCA_NCMEC",
        "force_received_at": T0,
        "narrative_count": 0,
        "completeness": 0.5,
        "report_sha256": "0" * 64,
        "run_id": "r",
        **more,
    }


def fact(referral_id: str, name: str, value: str = "yes", **more: Any) -> dict[str, Any]:
    identity = f"f-{referral_id}-{name}-{value}-{more.get('subject_id', '')}"
    return {"fact_id": identity, "referral_id": referral_id, "name": name, "value": value, "source_path": "/x", **more}


def content(name: str) -> bytes:
    """SHA-256 of a file named so."""
    return hashlib.sha256(name.encode()).digest()


def media(referral_id: str, name: str, state: str = "present", **more: Any) -> dict[str, Any]:
    return {
        "file_id": f"m-{referral_id}-{name}",
        "referral_id": referral_id,
        "package_id": "p",
        "state": state,
        "sha256": content(name) if state == "present" else None,
        "viewed_by_provider": "unknown",
        "publicly_available": "no",
        "annotations": [],
        **more,
    }


def fingerprint(name: str, state: str = "hashed", **more: Any) -> dict[str, Any]:
    return {
        "sha256": content(name),
        "size": 1,
        "state": state,
        "low_information": False,
        "algorithm_version": "1",
        "decoder_version": "1",
        "sandbox": "none",
        "run_id": "r",
        **more,
    }


def match(name: str, media_key: int = 1, kind: str = "exact", grade: str = "TRUSTED", **more: Any) -> dict[str, Any]:
    return {
        "match_id": f"x-{name}-{media_key}-{kind}-{more.get('release', 1)}",
        "sha256": content(name),
        "media_key": media_key,
        "kind": kind,
        "algorithm": "sha256",
        "distance": 0,
        "threshold": 0,
        "low_information": False,
        "total_hits": 1,
        "release": 1,
        "grade": grade,
        "category": "A",
        "sources": ["caid"],
        "victim_identified": "unknown",
        "offender_identified": "unknown",
        "distributed": "unknown",
        "series": [],
        "tags": [],
        "algorithm_version": "1",
        "code_version": "1",
        "run_id": "r",
        **more,
    }


def identifier(referral_id: str, kind: str, value: str, **more: Any) -> dict[str, Any]:
    parts = [referral_id, kind, value, *(str(more.get(k, "")) for k in ("service", "port", "seen_at", "subject_id"))]
    return {
        "identifier_id": "i-" + "-".join(parts),
        "referral_id": referral_id,
        "kind": kind,
        "value": value,
        "original": value,
        "time_ambiguous": False,
        **more,
    }


def subject(referral_id: str, number: int = 0, role: str = "suspect", **more: Any) -> dict[str, Any]:
    return {"subject_id": f"s-{referral_id}-{number}", "referral_id": referral_id, "role": role, **more}


def case(**more: Any) -> CaseFile:
    """A case file of which nothing is known but when it was received."""
    return CaseFile("C-0000000001", "R1", ("R1",), "NCA_NCMEC", times={"force_received_at": T0}, **more)


def said(*names: str) -> dict[str, Answer]:
    """Facts that are yes."""
    return {name: Answer(YES, 1.0, (EvidenceRow("facts", f"f-{name}"),), 1) for name in names}
