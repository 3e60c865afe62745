"""The generic form, JSON or CSV, for what is phoned in and for other forces (schemas/referrals/generic.json).

The CSV has two columns, `field,value`; a field is the path in the JSON form with lists counted from 1, for example
`subjects.1.emails.1`.
"""

from __future__ import annotations

from pipeline.ingest.reports.draft import Draft
from pipeline.ingest.reports.fields import Fields
from pipeline.ingest.reports.reportrules import ReportRules
from pipeline.ingest.sources.common import read_form
from pipeline.ingest.sources.reader import Reader, form


def read(fields: Fields, draft: Draft, rules: ReportRules) -> None:
    """The common blocks, and who took it down."""
    read_form(fields, draft, rules)
    taken = fields.child("taken")
    row = {key: text for key in ("by", "organisation", "how") if (text := taken.text(key))}
    if row:
        draft.referral["extension"] = {"taken": row}


READER = Reader(
    name="generic-json",
    title="Generic referral form (JSON)",
    source="OTHER",
    kind="json",
    schema="generic",
    recognises=form("referral"),
    read=read,
)
CSV_READER = Reader(
    name="generic-csv",
    title="Generic referral form (CSV)",
    source="OTHER",
    kind="csv",
    schema="generic",
    recognises=form("referral"),
    read=read,
)
