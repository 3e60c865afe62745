"""NCA, NCMEC origin: the provider's XML as submitted to the CyberTipline (domain notes 3.1).

Only incident type and time are compulsory there; everything else may be missing. Element names are those of the
Reporting API, which differ from the police JSON (`fileViewedByEsp` for `viewedByEsp`). What bears on risk is read by
either name, and in whichever of a person's two elements it stands.
"""

from __future__ import annotations

from typing import Any

from pipeline.algorithms import STATED
from pipeline.ingest.reports import values
from pipeline.ingest.reports.draft import Draft
from pipeline.ingest.reports.fields import Fields
from pipeline.ingest.reports.reportrules import ReportRules
from pipeline.ingest.sources.common import add_file, classification, narrative, other_name, places
from pipeline.ingest.sources.ncmec_json import read_detail, read_incident, read_ncmec, read_stated, relevance
from pipeline.ingest.sources.reader import Reader


def recognises(root: str, tree: dict[str, Any]) -> bool:
    """A `report` element with an incident summary or file details."""
    return root == "report" and bool({"incidentSummary", "fileDetails", "personOrUserReported"} & tree.keys())


def read(fields: Fields, draft: Draft, rules: ReportRules) -> None:
    """The report, then the details of every file."""
    referral = draft.referral
    referral["source_reference"] = fields.text("reportId") or fields.text("@id")
    draft.time("ncmec_received_at", fields.moment("dateReceived"))
    if fields.has("additionalNcmecInformation"):
        read_ncmec(fields.child("additionalNcmecInformation"), draft)
    summary = fields.child("incidentSummary")
    read_incident(summary, draft, rules)
    reporter = fields.child("reporter")
    referral["provider"] = reporter.child("reportingPerson").text("companyName") or reporter.text("companyTemplate")
    draft.time("provider_reported_at", reporter.moment("dateTime"))
    for details in fields.each("internetDetails"):
        for key in sorted(details.data):
            for incident in details.each(key):
                read_detail(incident, draft, rules)
                _events(incident, draft, None)
    for key, role in _ROLES.items():
        for person in fields.each(key):
            _person(person, draft, rules, role)
    for file in fields.each("fileDetails"):
        _file(file, draft, rules)
    info = fields.text("additionalInfo") if isinstance(fields.data.get("additionalInfo"), str) else None
    if info:
        narrative(draft, rules, "narrative", info, path=fields.at("additionalInfo"))


_ROLES = {
    "personOrUserReported": "suspect",
    "intendedRecipient": "recipient",
    "victim": "victim",
    "childVictim": "victim",
}
_PERSON = ("personOrUserReportedPerson", "intendedRecipientPerson", "victimPerson", "childVictimPerson")
"""The element within a role's element that holds the person; where there is none, the role's element holds them itself."""


def _person(fields: Fields, draft: Draft, rules: ReportRules, role: str) -> None:
    person = next((fields.child(key) for key in _PERSON if fields.has(key)), fields)
    names = [person.text(key) for key in ("firstName", "middleName", "lastName")]
    shown = [(text, item.at("value")) for item in fields.each("displayName") if (text := item.text("value"))]
    addresses = [_address(a) for a in person.each("address")]
    position = draft.subject(
        role,
        name=" ".join(n for n in names if n) or next((text for text, _ in shown), None),
        date_of_birth=person.birth("dateOfBirth"),
        approximate_age=_either(person, "age", "approximateAge"),
        gender=person.text("gender"),
        occupation=person.text("occupation") or fields.text("occupation"),
        addresses=[a for a in addresses if a] or None,
        country=fields.child("estimatedLocation").text("countryCode"),
    )
    places(draft, addresses, person.at("address"), position)
    service = (fields.text("espService") or draft.referral.get("provider") or "").lower() or None
    for key, kind in (("espIdentifier", "user_id"), ("screenName", "username"), ("profileUrl", "url")):
        for item in fields.each(key):
            draft.identifier(kind, item.text("value"), item.at("value"), subject=position, service=service)
    for text, path in shown:
        draft.identifier("display_name", text, path, subject=position, service=service)
    for key in ("phone", "email"):
        for item in person.each(key):
            verified = item.tri("@verified")
            draft.identifier(key, item.text("value"), item.at("value"), subject=position, verified=verified)
    _vehicle(fields, draft, rules, position)
    for block in (fields, person) if person is not fields else (fields,):
        read_stated(block, draft, rules, role, position)
    _events(fields, draft, position)
    draft.prior.extend(fields.texts("priorCTReports"))
    info = fields.text("additionalInfo")
    if info:
        narrative(draft, rules, "narrative", info, path=fields.at("additionalInfo"))


def _either(fields: Fields, *names: str) -> int | None:
    """An age by the first of its names that has one."""
    return next((age for name in names if (age := fields.whole(name, 0, 130)) is not None), None)


def _vehicle(fields: Fields, draft: Draft, rules: ReportRules, position: int) -> None:
    """A description is free text; only one that is a registration and nothing else identifies the vehicle."""
    path, text = fields.at("vehicleDescription"), fields.text("vehicleDescription")
    if text and values.is_registration(text):
        draft.identifier("vehicle", text, path, subject=position)
    elif text:
        narrative(draft, rules, "narrative", text, path=path)


def _address(fields: Fields) -> dict[str, str]:
    lines = [fields.text(key) for key in ("value", "address", "city", "state")]
    code, country = fields.text("zipCode") or fields.text("postalCode"), fields.text("country")
    text = ", ".join(part for part in [*lines, code] if part)
    row = {"text": text, "postcode": values.postcode(code or "") or code or "", "country": country or ""}
    return {key: value for key, value in row.items() if value}


def _events(fields: Fields, draft: Draft, subject: int | None) -> None:
    """`ipCaptureEvent` and `deviceId` elements."""
    for event in fields.each("ipCaptureEvent"):
        draft.identifier(
            "ip",
            event.text("ipAddress"),
            event.at("ipAddress"),
            subject=subject,
            seen=event.moment("dateTime"),
            port=event.port("port"),
            event=event.text("eventName"),
            possible_proxy=event.tri("possibleProxy"),
        )
    for device in fields.each("deviceId"):
        kind = device.text("idType")
        draft.identifier(
            "device",
            device.text("idValue"),
            device.at("idValue"),
            subject=subject,
            seen=device.moment("dateTime"),
            event=device.text("eventName"),
            service=kind.lower() if kind else None,
        )


def _file(fields: Fields, draft: Draft, rules: ReportRules) -> None:
    fields.text("reportId")
    given = fields.text("fileName")
    original = other_name(fields, "originalFileName") if given else fields.text("originalFileName")
    row: dict[str, Any] = {
        "name": given or original,
        "alias": (original if given else None) or other_name(fields, "fileId"),
        "size": None,
        "viewed_by_provider": fields.tri("fileViewedByEsp" if fields.has("fileViewedByEsp") else "viewedByEsp"),
        "publicly_available": fields.tri("publiclyAvailable"),
        "industry_classification": fields.convert("industryClassification", classification),
        "sent": values.UNKNOWN,
        "path": fields.path,
    }
    for item in fields.each("originalFileHash"):
        name = str(item.data.get("@hashType") or "md5").lower().replace("-", "")
        if name in STATED:
            item.text("@hashType")
            row[f"claimed_{name}"] = item.digest("value", name)
    marks = fields.child("fileAnnotations")
    row["annotations"] = [key for key in sorted(marks.data) if _set(marks, key)] + relevance(fields)
    moment = fields.moment("uploadedToEspTimestamp")
    if moment:
        row |= moment.columns("uploaded_at")
    _events(fields, draft, None)
    add_file(draft, row, rules)


def _set(fields: Fields, key: str) -> bool:
    """An annotation is an empty element, or one that says yes."""
    if fields.data[key] == "":
        del fields.data[key]
        return True
    return fields.tri(key) == values.YES


READER = Reader(
    name="ncmec-xml",
    title="NCMEC CyberTipline report, provider XML",
    source="NCA_NCMEC",
    kind="xml",
    schema=None,
    recognises=recognises,
    read=read,
)
