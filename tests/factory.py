"""Synthetic referrals for tests of every room: packages in a landing folder, and rows straight in the lake.

Nothing here is real: people, accounts and texts are numbered, pictures are coloured shapes.

    land(settings, {"referral.json": form(reference="1")})      a complete package, ready to be taken in
    ingest(settings)                                            the real ingest stage over what has landed
    referral(lake, reference="1", identifiers=[...])            rows in the lake, without any package
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline import records
from pipeline.contract import Night, StageReport
from pipeline.fingerprint.outcome import Digests
from pipeline.ingest import stage
from pipeline.ingest.writing.context import stable_id
from pipeline.lake import Lake
from pipeline.sample import folder as sample
from pipeline.sample.media import generated, saved
from pipeline.sample.packages import wrap
from pipeline.settings import Settings

AS_OF = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)
NIGHT = Night("night-test", AS_OF)
DAY = datetime(2026, 11, 21, tzinfo=UTC)


def form(kind: str = "referral", **content: Any) -> bytes:
    """One of our own forms as JSON: `referral`, `ucol-referral`, `ocag-referral` or `nca-direct-report`."""
    return json.dumps({"form": f"{kind}/1", "reference": "1", **content}).encode()


def police_json(**content: Any) -> bytes:
    """A CyberTipline report as the police get it, with `content` in reportedInformation."""
    return json.dumps({"reportId": content.pop("reportId", 1), "reportedInformation": content}).encode()


def picture(seed: int) -> bytes:
    """A harmless generated picture as JPEG, another one for every seed."""
    return saved(generated(seed), 85)


def land(
    settings: Settings,
    content: dict[str, bytes],
    name: str = "package",
    source: str = "other",
    how: str = "folder-ready",
) -> Path:
    """Put a package into the landing folder; `how` is one of sample_packages.WRAPPINGS. Returns its path."""
    base = settings.landing_dir / source / name
    return base.with_name(base.name + wrap(base, how, content))


def ingest(settings: Settings, night: Night = NIGHT) -> StageReport:
    """The real ingest stage, media worker and all."""
    return stage.run(settings, night)


def sample_landing(settings: Settings, seed: int = 1, referrals: int = 20, **options: Any) -> dict[str, int]:
    """What `triage sample` writes; returns its counts. The truth is in HOME/ground_truth.json."""
    truth = settings.home / "ground_truth.json"
    return sample.write(settings.landing_dir, truth, seed=seed, referrals=referrals, day=DAY, **options)


def table(settings: Settings, name: str) -> list[dict[str, Any]]:
    """All rows of a record table."""
    rows: list[dict[str, Any]] = Lake(settings.lake_dir).read(name).to_pylist()
    return rows


def digests(content: bytes) -> Digests:
    """What the media worker says about these bytes."""
    import hashlib

    md5 = hashlib.md5(content, usedforsecurity=False).digest()
    sha1 = hashlib.sha1(content, usedforsecurity=False).digest()
    return Digests(hashlib.sha256(content).digest(), md5, sha1, len(content))


# -- rows in the lake, for rooms that start behind ingest ------------------------------------------------------------


def referral_rows(reference: str = "1", source: str = "OTHER", **columns: Any) -> dict[str, Any]:
    """One row of `referrals` with everything required filled in."""
    referral_id = columns.pop("referral_id", stable_id("referral", source, reference))
    return {
        "referral_id": referral_id,
        "package_id": stable_id("package", source, reference) * 2,
        "source": source,
        "source_reference": reference,
        "force_received_at": AS_OF,
        "narrative_count": 0,
        "completeness": 1.0,
        "report_sha256": stable_id("report", source, reference) * 2,
        "run_id": NIGHT.run_id,
        **columns,
    }


def referral(
    lake: Lake,
    reference: str = "1",
    source: str = "OTHER",
    *,
    subjects: list[dict[str, Any]] | None = None,
    identifiers: list[dict[str, Any]] | None = None,
    facts: dict[str, str] | None = None,
    files: list[dict[str, Any]] | None = None,
    narratives: list[str] | None = None,
    **columns: Any,
) -> str:
    """Publish one referral with its rows as an ingest commit of its own; returns its id.

    `identifiers` need kind and value; `facts` are name -> yes, no or unknown; `files` are columns of media_files.
    """
    row = referral_rows(reference, source, narrative_count=len(narratives or []), **columns)
    own, package = row["referral_id"], row["package_id"]
    tables: dict[str, list[dict[str, Any]]] = {
        "referrals": [row],
        "packages": [_package(row)],
        "subjects": [
            {"subject_id": stable_id(own, "subject", n), "referral_id": own, "role": "suspect", **s}
            for n, s in enumerate(subjects or [])
        ],
        "identifiers": [
            {
                "identifier_id": stable_id(own, "identifier", n),
                "referral_id": own,
                "original": i["value"],
                "time_ambiguous": False,
                **i,
            }
            for n, i in enumerate(identifiers or [])
        ],
        "facts": [
            {
                "fact_id": stable_id(own, "fact", n),
                "referral_id": own,
                "name": name,
                "value": value,
                "source_path": f"/facts/{name}",
            }
            for n, (name, value) in enumerate(sorted((facts or {}).items()))
        ],
        "media_files": [_file(own, package, n, f) for n, f in enumerate(files or [])],
        "narratives": [
            {
                "narrative_id": stable_id(own, "narrative", n),
                "referral_id": own,
                "kind": "narrative",
                "position": n,
                "text": text,
            }
            for n, text in enumerate(narratives or [])
        ],
    }
    built: dict[str, pa.Table] = {name: records.build(name, rows) for name, rows in tables.items()}
    lake.commit("ingest", own, built, run_id=row["run_id"], meta={"counts": {}})
    return str(own)


def _package(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "package_id": row["package_id"],
        "landing_folder": "other",
        "container": f"other/{row['source']}-{row['source_reference']}",
        "report_sha256": row["report_sha256"],
        "format": "generic-json",
        "state": "accepted",
        "referral_id": row["referral_id"],
        "reasons": [],
        "first_seen": row["force_received_at"],
        "files": 0,
        "defects": 0,
        "run_id": row["run_id"],
    }


def _file(own: str, package: str, number: int, columns: dict[str, Any]) -> dict[str, Any]:
    return {
        "file_id": stable_id(own, "file", number),
        "referral_id": own,
        "package_id": package,
        "name": f"file-{number}.jpg",
        "state": "present" if columns.get("sha256") else "missing",
        "viewed_by_provider": "unknown",
        "publicly_available": "unknown",
        "annotations": [],
        **columns,
    }
