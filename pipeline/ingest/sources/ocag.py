"""OCAG: referrals of online child abuse activist groups (schemas/referrals/ocag.json).

The group, its decoy profiles, where its chat evidence comes from, whether the suspect was confronted, streamed or
named and when, concern for the suspect's life, and the result of deconfliction with undercover work (CPS guidance,
July 2024: publication endangers the suspect and may disrupt a covert operation).
"""

from __future__ import annotations

from typing import Any

from pipeline.ingest.reports import values
from pipeline.ingest.reports.draft import Draft
from pipeline.ingest.reports.fields import Fields
from pipeline.ingest.reports.reportrules import ReportRules
from pipeline.ingest.sources.common import read_form
from pipeline.ingest.sources.reader import Reader, form

_EVENTS = {"confronted": "suspect_confronted", "streamed": "suspect_streamed", "named": "suspect_named"}


def read(fields: Fields, draft: Draft, rules: ReportRules) -> None:
    """Common blocks, then the activist group's."""
    zone = read_form(fields, draft, rules)
    block = fields.child("ocag")
    group = block.child("group")
    extension: dict[str, Any] = {
        "group": {key: text for key in ("name", "contact", "platform") if (text := group.text(key))} or None,
        "decoy_profiles": [_decoy(d) for d in block.each("decoy_profiles")] or None,
        "evidence": [_evidence(e, zone) for e in block.each("evidence")] or None,
    }
    for key, name in _EVENTS.items():
        extension[key] = None
        if isinstance(block.data.get(key), dict):
            extension[key] = _event(block.child(key), name, draft, zone)
        else:
            block.fact(key, name)
    block.fact("suspect_welfare_risk", "suspect_welfare_risk")
    deconfliction = block.child("deconfliction")
    extension["deconfliction"] = {
        key: text for key in ("result", "reference", "checked_by") if (text := deconfliction.text(key))
    } or None
    checked = deconfliction.moment("checked_at", zone)
    if checked and extension["deconfliction"] is not None:
        extension["deconfliction"]["checked_at"] = checked.stated()
    deconfliction.fact("conflict", "covert_conflict")
    draft.referral["extension"] = {"ocag": {k: v for k, v in extension.items() if v is not None}}


def _decoy(fields: Fields) -> dict[str, Any]:
    row: dict[str, Any] = {key: fields.text(key) for key in ("service", "username", "stated_age", "operator")}
    return {k: v for k, v in row.items() if v is not None}


def _evidence(fields: Fields, zone: str) -> dict[str, Any]:
    """Where a piece of chat evidence comes from: kind, how it was captured, whether it is whole and unedited."""
    row: dict[str, Any] = {key: fields.text(key) for key in ("kind", "captured_by", "method", "file")}
    captured = fields.moment("captured_at", zone)
    row["captured_at"] = captured.stated() if captured else None
    row["complete"] = fields.tri("complete")
    row["edited"] = fields.tri("edited")
    return {k: v for k, v in row.items() if v is not None}


def _event(fields: Fields, name: str, draft: Draft, zone: str) -> dict[str, Any]:
    """Whether and when it happened. A time alone says that it did."""
    when = fields.moment("at", zone)
    where = fields.text("where")
    stated = fields.tri("value")
    if stated == values.UNKNOWN and when is not None:
        stated = values.YES
    draft.fact(name, stated, fields.path)
    row = {"value": stated, "where": where, "at": when.stated() if when else None}
    return {k: v for k, v in row.items() if v is not None}


READER = Reader(
    name="ocag",
    title="OCAG referral",
    source="OCAG",
    kind="json",
    schema="ocag",
    recognises=form("ocag-referral"),
    read=read,
)
