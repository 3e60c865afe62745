"""A draft with its package to rows of the record tables: ids, media states, force, ages, completeness."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from pipeline.ingest.geography import places
from pipeline.ingest.reports import values
from pipeline.ingest.reports.draft import Draft
from pipeline.ingest.reports.report import FoundReport
from pipeline.ingest.rules import IngestRules
from pipeline.ingest.sources.ucol import COMPARTMENT
from pipeline.ingest.writing import media_rows
from pipeline.ingest.writing.context import Context, numbered_ids
from pipeline.row import Row

STAGES = (
    "incident_at",
    "provider_reported_at",
    "ncmec_received_at",
    "nca_received_at",
    "nca_disseminated_at",
    "force_received_at",
)
"""Stage times in the order in which they happen."""


def compose(report: FoundReport, context: Context) -> dict[str, list[Row]]:
    """All rows of one referral, by record table."""
    draft, referral_id = report.draft, context.referral_id
    media = media_rows.compose(report, context)
    subject_ids = numbered_ids(referral_id, "subject", len(draft.subjects))
    subjects = [
        {"subject_id": i, "referral_id": referral_id, **s} for i, s in zip(subject_ids, draft.subjects, strict=True)
    ]
    for row in subjects:
        row["places"] = places.of_subject(row, context.rules.forces) or None
    identifiers, facts = [], []
    for own, row in zip(
        numbered_ids(referral_id, "identifier", len(draft.identifiers)), draft.identifiers, strict=True
    ):
        subject = row.pop("subject")
        row["subject_id"] = None if subject is None else subject_ids[subject]
        row["identifier_id"], row["referral_id"] = own, referral_id
        identifiers.append(row)
    for own, row in zip(numbered_ids(referral_id, "fact", len(draft.facts)), draft.facts, strict=True):
        subject, file = row.pop("subject"), row.pop("file")
        row["subject_id"] = None if subject is None else subject_ids[subject]
        row["file_id"] = None if file is None else media[file]["file_id"]
        row["fact_id"], row["referral_id"] = own, referral_id
        facts.append(row)
    for own, row in zip(numbered_ids(referral_id, "narrative", len(draft.narratives)), draft.narratives, strict=True):
        row["narrative_id"], row["referral_id"] = own, referral_id
        row["compartment"] = row.get("compartment") or draft.referral.get("compartment")
    referral = _referral(report, context, media)
    for row in draft.defects:
        row["referral_id"], row["package_id"] = referral_id, context.package_id
    return {
        "referrals": [referral],
        "subjects": subjects,
        "identifiers": identifiers,
        "facts": facts,
        "narratives": draft.narratives,
        "media_files": media,
        "defects": draft.defects,
        "originals": [_original(report, context)],
    }


def _original(report: FoundReport, context: Context) -> Row:
    draft = report.draft
    covert = draft.covert is not None or (
        bool(draft.restricted) and any(n.get("compartment") for n in draft.narratives)
    )
    return {
        "report_sha256": report.sha256,
        "package_id": context.package_id,
        "referral_id": context.referral_id,
        "name": report.member.name,
        "compartment": draft.referral.get("compartment") or (COMPARTMENT if covert else None),
        "content": report.member.content,
    }


def _referral(report: FoundReport, context: Context, media: list[Row]) -> Row:
    draft, rules = report.draft, context.rules
    _check_times(draft, context)
    row: Row = dict(draft.referral)
    if row.get("force_received_at") is None:
        row["force_received_at"] = context.clock_from or context.as_of
    candidates, code, basis = _force(draft, rules)
    hints = [h for stated in draft.hints if (h := places.hint(stated, rules.forces))]
    row["location_hints"] = hints or None
    if not candidates and hints:
        candidates, basis = sorted({h["force"] for h in hints if h["force"]}), "ip_location"
    ages = {name: _hours(row[name], row["force_received_at"]) for name in STAGES[:-1] if row.get(name)}
    steps = [(name, row[name]) for name in STAGES if row.get(name)]
    for (earlier, start), (later, end) in pairwise(steps):
        ages[f"{earlier}>{later}"] = _hours(start, end)
    declared = [f["value"] for f in draft.facts if f["name"] == "declared_complete"]
    row.update(
        referral_id=context.referral_id,
        package_id=context.package_id,
        source=report.reader.source,
        supplements=context.supplements,
        prior_references=sorted(set(draft.prior)),
        force_code=code,
        force_basis=basis,
        force_candidates=candidates,
        transfer_to=code if code and rules.force and code != rules.force else None,
        stage_ages=ages,
        times_original=draft.times,
        narrative_count=len(draft.narratives),
        declared_complete=declared[0] if declared else values.UNKNOWN,
        report_sha256=report.sha256,
        run_id=context.run_id,
    )
    missing = missing_fields(row, draft, media, rules.data["completeness"])
    row["missing_fields"] = missing
    row["completeness"] = round(1 - len(missing) / len(rules.data["completeness"]), 4)
    return row


def _hours(start: datetime, end: datetime) -> float:
    return round((end - start).total_seconds() / 3600, 2)


def _check_times(draft: Draft, context: Context) -> None:
    """Note times that lie ahead of the run, and stages in an impossible order. The values stay as they are."""
    limit = context.as_of + timedelta(minutes=context.rules.data["near_future_minutes"])
    known = [(n, draft.referral[n]) for n in STAGES if draft.referral.get(n)]
    for name, value in known:
        if value > limit:
            draft.defect(f"/{name}", "The time lies in the future.", draft.times[name]["original"])
    for (earlier, start), (later, end) in pairwise(known):
        if end < start:
            draft.defect(f"/{later}", f"The time lies before {earlier}.", draft.times[later]["original"])


def _force(draft: Draft, rules: IngestRules) -> tuple[list[str], str | None, str | None]:
    """Candidates, the force, and what that rests on. The sender's statement counts before postcodes; postcodes are
    those of suspects, else of anybody, and decide only when one force remains."""
    if draft.force_stated:
        stated = rules.forces.stated(draft.force_stated)
        if stated:
            return [stated], stated, "statement"
        draft.defect("/force", "This is no code or name of a force.", draft.force_stated)
    for roles in ({"suspect"}, {"victim", "recipient", "reporter", "other"}):
        codes = sorted(
            {
                code
                for subject in draft.subjects
                if subject["role"] in roles
                for address in subject.get("addresses") or []
                for code in places.police(address, rules.forces)
            }
        )
        if codes:
            return codes, codes[0] if len(codes) == 1 else None, "postcode" if len(codes) == 1 else None
    return [], None, None


def missing_fields(row: Row, draft: Draft, media: list[Row], wanted: list[str]) -> list[str]:
    """Names of what an investigator needs and the referral does not have (policy/ingest.yaml)."""
    suspects = [s for s in draft.subjects if s["role"] == "suspect"]
    ips = [i for i in draft.identifiers if i["kind"] == "ip"]
    has = {
        "incident_time": row.get("incident_at") is not None,
        "subject": any(s.get("name") or s.get("date_of_birth") for s in suspects),
        "identifier": any(i["kind"] != "ip" for i in draft.identifiers),
        "address_with_port_and_time": any(i["port"] and i["seen_at"] for i in ips),
        "platform": bool(row.get("platform") or row.get("provider")),
        "force": row["force_code"] is not None,
        "content": bool(draft.narratives) or any(m["state"] == "present" for m in media),
        "viewed_by_provider": not media or any(m["viewed_by_provider"] != values.UNKNOWN for m in media),
        "stage_times": any(row.get(name) for name in STAGES[1:-1]),
    }
    return [name for name in wanted if not has[name]]
