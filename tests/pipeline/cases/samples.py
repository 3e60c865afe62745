"""Synthetic assessments, links and referrals for the tests of the case store. Plainly made up: numbers and codes only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline import records
from pipeline.assess.evidence.case_file import case_id
from pipeline.cases.publishing.stage import publish
from pipeline.contract import Night
from pipeline.lake import Lake
from pipeline.store.opening import Store

START = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
HOURS = {"very_high": 24, "high": 168, "medium": 336, "low": 720}
SCORES = {"very_high": 90.0, "high": 60.0, "medium": 30.0, "low": 5.0}


def referral(number: int) -> str:
    return f"R-{number:06d}"


def case_of(number: int) -> str:
    return case_id(referral(number))


def night(number: int = 0) -> Night:
    """The run of the night `number` days after START."""
    return Night(f"night-{number}", START + timedelta(days=number))


def reason(feature: str, contribution: float = 5.0, evidence: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    rows = [{"table": table, "id": name, "note": "sample"} for table, name in evidence]
    return {
        "feature": feature, "label": f"Reason {feature}", "contribution": contribution, "explanation": f"Why {feature}",
        "value": "yes", "evidence": rows,
    }  # fmt: skip


def assessment(
    number: int, band: str = "medium", *, version: int = 1, at: Night | None = None, **over: Any
) -> dict[str, Any]:
    """One assessment row; `over` replaces columns, and `summary` entries by a dict."""
    run = at or night()
    score = over.pop("score", SCORES[band])
    reasons = over.pop("reasons", [reason("a", score)])
    summary = {
        "source": "NCA_NCMEC", "provider": "Example Chat", "force_code": "42", "compartment": None,
        "oldest_at": START.isoformat(), "unknown_files": 0, "matched_exact": 0, "matched_near": 0, "text_only": False,
        "links": 0, "top_reasons": [r["label"] for r in reasons][:3],
    } | over.pop("summary", {})  # fmt: skip
    digest = hashlib.sha256(f"{number} {band} {version} {score} {summary} {reasons}".encode()).hexdigest()
    clock = over.pop("clock_start", START)
    row = {
        "assessment_id": f"A-{digest[:32]}", "case_id": case_of(number), "referral_id": referral(number),
        "version": version, "referrals": [referral(number)], "model": "test 1", "band": band, "score": score,
        "reasons": reasons, "unknowns": [], "flags": [], "notifications": [], "clock_start": clock,
        "due_at": clock + timedelta(hours=HOURS[band]), "band_if_known": "very_high", "summary": summary,
        "inputs_sha256": digest, "previous_band": None, "changes": None, "assessed_at": run.as_of, "run_id": run.run_id,
    }  # fmt: skip
    return row | over


def link(left: int, right: int | str, *, kind: str = "email", at: Night | None = None, **over: Any) -> dict[str, Any]:
    run = at or night()
    other = referral(right) if isinstance(right, int) else right
    row = {
        "link_id": f"L-{left}-{right}-{kind}", "left": referral(left), "right": other, "kind": kind,
        "strength": "strong", "evidence": [{"value": "synthetic@example.invalid"}], "explanation": "Same address.",
        "shared": 1, "withdrawn": False, "found_at": run.as_of, "run_id": run.run_id,
    }  # fmt: skip
    return row | over


def referral_row(number: int, **over: Any) -> dict[str, Any]:
    row = {
        "referral_id": referral(number), "package_id": f"P-{number}", "source": "NCA_NCMEC", "force_received_at": START,
        "narrative_count": 0, "completeness": 1.0, "report_sha256": "0" * 64, "run_id": "night-0",
    }  # fmt: skip
    return row | over


def commit(
    store: Store,
    run: Night,
    *,
    assessments: Sequence[Mapping[str, Any]] = (),
    links: Sequence[Mapping[str, Any]] = (),
    referrals: Sequence[Mapping[str, Any]] = (),
    matches: Sequence[Mapping[str, Any]] = (),
) -> Lake:
    """Write rows to the lake as the stages before publish do."""
    lake = Lake(store.settings.lake_dir)
    for stage, table, rows in (
        ("ingest", "referrals", referrals),
        ("match", "matches", matches),
        ("link", "links", links),
        ("assess", "assessments", assessments),
    ):
        if rows:
            known = set(records.arrow_schema(table).names)
            built = records.build(table, [{k: v for k, v in row.items() if k in known} for row in rows])
            digest = hashlib.sha256(repr(built.to_pylist()).encode()).hexdigest()[:16]
            lake.commit(stage, f"{run.run_id}-{digest}", {table: built}, run_id=run.run_id)
    return lake


def publish_rows(store: Store, run: Night | None = None, **rows: Any) -> dict[str, int]:
    """Commit rows and publish them."""
    chosen = run or night()
    return publish(store, commit(store, chosen, **rows), chosen)
