"""NCA direct report: what a UK provider reports to the NCA under section 66 of the Online Safety Act 2023.

Our own form for it (schemas/referrals/nca_direct.json). The schedule of the regulations (SI 2026/268, in force
7 April 2026) was not read; the blocks follow its defined terms: connections with other accounts, exif data, hash
value, IP address, port number, platform, subsequent report, priority assessment.
"""

from __future__ import annotations

from typing import Any

from pipeline.ingest.reports import values
from pipeline.ingest.reports.draft import Draft
from pipeline.ingest.reports.fields import Fields
from pipeline.ingest.reports.reportrules import ReportRules
from pipeline.ingest.sources.common import read_account, read_form
from pipeline.ingest.sources.reader import Reader, form


def read(fields: Fields, draft: Draft, rules: ReportRules) -> None:
    """Common blocks, then the provider's own: accounts, connected accounts, EXIF, priority assessment."""
    zone = read_form(fields, draft, rules)
    block = fields.child("report")
    draft.prior.extend(text for text in [block.text("subsequent_report_of")] if text)
    assessment = block.child("priority_assessment")
    level = assessment.text("level")
    reasons = assessment.texts("reasons")
    if level and draft.referral.get("priority") is None:
        draft.referral["priority"] = level
    if level and level.lower() in {"high", "urgent", "immediate"}:
        draft.fact("provider_escalated", values.YES, assessment.at("level"))
    connected = [_connected(account, draft, zone) for account in block.each("connected_accounts")]
    exif = [_exif(item, draft) for item in block.each("exif")]
    extension = {
        "submission": block.text("submission"),
        "authorised_person": block.text("authorised_person"),
        "detection": block.text("detection"),
        "priority_level": level,
        "priority_reasons": reasons or None,
        "connected_accounts": connected or None,
        "exif": exif or None,
    }
    draft.referral["extension"] = {"drb": {k: v for k, v in extension.items() if v is not None}}


def _connected(fields: Fields, draft: Draft, zone: str) -> dict[str, Any]:
    """An account that the reported one has a connection with: a person of its own, whose role is not known."""
    relation = fields.text("relation")
    service, username = fields.data.get("service"), fields.data.get("username")
    position = draft.subject("other")
    read_account(fields, draft, position, zone)
    return {"subject": position + 1, "relation": relation, "service": service, "username": username}


def _exif(fields: Fields, draft: Draft) -> dict[str, Any]:
    """EXIF of a file as the provider states it. The device's serial number identifies the device."""
    moment = fields.moment("taken_at")
    for key in ("latitude", "longitude"):
        if isinstance(fields.data.get(key), float):
            fields.data[key] = str(fields.data[key])
    row = {key: fields.text(key) for key in ("file", "make", "model", "serial", "latitude", "longitude")}
    if row["serial"]:
        draft.identifier("device", row["serial"], fields.at("serial"), seen=moment, event="exif")
    return {**{k: v for k, v in row.items() if v}, **({"taken_at": moment.stated()} if moment else {})}


READER = Reader(
    name="nca-direct",
    title="NCA direct report (Online Safety Act)",
    source="NCA_DRB",
    kind="json",
    schema="nca_direct",
    recognises=form("nca-direct-report"),
    read=read,
)
