"""UCOL: undercover online referrals, led by a conversation rather than by pictures (schemas/referrals/ucol.json).

What could identify the covert source goes to the compartment `ucol` and nowhere else (pipeline/ingest/sources/covert.py).
A referral that the sender marks `restricted` is in the compartment as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.ingest.reports import values
from pipeline.ingest.reports.draft import Draft
from pipeline.ingest.reports.fields import Fields
from pipeline.ingest.reports.reportrules import ReportRules
from pipeline.ingest.sources import covert
from pipeline.ingest.sources.common import read_form
from pipeline.ingest.sources.reader import Reader, form

COMPARTMENT = covert.COMPARTMENT
_OWN_FACTS = {
    "access_to_child": "access_to_children",
    "live_offending": "live_offending",
    "live_streaming": "live_streaming",
    "contact_offered": "contact_offer",
    "sexual_communication": "sexual_communication",
    "child_identified": "child_identified",
}


def read(fields: Fields, draft: Draft, rules: ReportRules) -> None:
    """Common blocks, then offers of contact, access to a child, live offending, and the covert source."""
    zone = read_form(fields, draft, rules)
    if fields.tri("restricted") == values.YES:
        draft.referral["compartment"] = COMPARTMENT
    block = fields.child("ucol")
    for key, name in _OWN_FACTS.items():
        block.fact(key, name)
    offers = [_offer(offer, draft, rules, zone) for offer in block.each("offers_of_contact")]
    extension = {
        "network": block.text("network"),
        "conversation_started": _original(block, "conversation_started", zone),
        "conversation_ended": _original(block, "conversation_ended", zone),
        "participants": block.texts("participants") or None,
        "offers_of_contact": offers or None,
    }
    draft.referral["extension"] = {"ucol": {k: v for k, v in extension.items() if v is not None}}


def _original(fields: Fields, key: str, zone: str) -> dict[str, Any] | None:
    moment = fields.moment(key, zone)
    return moment.stated() if moment else None


def by_words(table: Mapping[str, list[str]], kind: str | None) -> list[str]:
    """The facts that a kind of offer states, by whole words of it ("phone call" has "call"); empty where it has none."""
    words = f" {' '.join(re.findall(r'[a-z]+', (kind or '').casefold()))} "
    return sorted({fact for name, facts in table.items() if f" {name} " in words for fact in facts})


def _offer(fields: Fields, draft: Draft, rules: ReportRules, zone: str) -> dict[str, Any]:
    """An offer: the facts that its kind states, with where and when in the extension. Of one that does not say what is
    offered, whether it is a meeting is an open question unless it names a place."""
    when = _original(fields, "when", zone)
    kind = fields.text("kind")
    row = {"kind": kind, "place": fields.text("place"), "when": when}
    stated = by_words(rules.offers, kind)
    if not stated:
        stated = rules.offers_otherwise["with_place" if row["place"] else "without"]
        if MEETING not in stated:
            draft.fact(MEETING, values.UNKNOWN, fields.path, detail=kind)
    for name in stated:
        draft.fact(name, values.YES, fields.path, detail=kind)
    return {k: v for k, v in row.items() if v is not None}


MEETING = "contact_offer"
"""The fact that an offer to meet states."""

READER = Reader(
    name="ucol",
    title="UCOL referral",
    source="UCOL",
    kind="json",
    schema="ucol",
    recognises=form("ucol-referral"),
    read=read,
)
