"""Address markers: addresses of open cases at or above a band, as CSV for a force's command-and-control system.

A marker says that officers should ask before they call there, and nothing of why: control rooms show it to many. The
columns are those of COLUMNS; each export is a disclosure that the audit log has with recipient, band and number.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.cases.views import queue
from pipeline.export.exchange import persons
from pipeline.lake import Lake
from pipeline.store.actors import Actor
from pipeline.store.context import now
from pipeline.store.tables import Case
from pipeline.store.types import BANDS

COLUMNS = {
    "address": "The address as the referral states it.",
    "postcode": "Its postcode, if there is one.",
    "whose": "suspect or child: whose home it is.",
    "case_id": "Number of the case, to ask by.",
    "band": "Band of the case when the file was written.",
    "marker": "Words for the control room.",
    "as_of": "When the file was written (UTC).",
}
"""Columns of the file and what they hold."""
MARKER = "Child protection: speak to POLIT before attending."


def rows(session: Session, actor: Actor, lake: Lake, band: str) -> list[dict[str, Any]]:
    """One row for each home of a suspect or a child in an open case of `band` or above that the actor may see; the same
    address of one case once. Addresses without a text are left out."""
    query = select(Case.case_id, Case.band).where(Case.is_open.is_(True), queue.visible(actor))
    chosen = {case_id: own for case_id, own in session.execute(query) if BANDS.index(own) <= BANDS.index(band)}
    written = now(session).replace(microsecond=0).isoformat()
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for person in persons.of_cases(session, lake, chosen):
        whose = {"suspect": "suspect", "victim": "child"}.get(person["role"])
        for address in person["addresses"] if whose else ():
            text = (address.get("text") or "").strip()
            if not text:
                continue
            row = (
                text,
                address.get("postcode") or "",
                whose,
                person["case_id"],
                chosen[person["case_id"]],
                MARKER,
                written,
            )
            found.setdefault((person["case_id"], text.casefold()), dict(zip(COLUMNS, row, strict=True)))
    return [found[key] for key in sorted(found)]
