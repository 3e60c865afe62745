"""NCA, NCMEC origin: the CyberTipline report as the JSON that police receive.

There is no official schema; the shape is reconstructed from three public readers (domain notes 3.2, described in
schemas/referrals/ncmec_json.json). Keys go missing or null at random, a BOM may occur, lists come nested
(`uploadedFiles.uploadedFiles`) or flat with other names of the keys. Both are read, whatever else is there is kept.
"""

from __future__ import annotations

from typing import Any

from pipeline.ingest import values
from pipeline.ingest.draft import Draft
from pipeline.ingest.fields import Fields
from pipeline.ingest.sources.common import CLAIMED, add_file, classification, narrative, other_name, places
from pipeline.ingest.sources.reader import Reader

_ROOT_KEYS = frozenset({"reportedInformation", "additionalNcmecInformation", "automatedInformation"})


def recognises(_root: str, tree: dict[str, Any]) -> bool:
    """Police JSON has one of three characteristic blocks, or a report number with files or persons beside it."""
    if "form" in tree:
        return False
    if _ROOT_KEYS & tree.keys():
        return True
    return "reportId" in tree and bool({"uploadedFiles", "reportedPeople", "incidentSummary"} & tree.keys())


def read(fields: Fields, draft: Draft, policy: dict[str, Any]) -> None:
    """Header, NCMEC's own block, then the provider's report (nested, or flat at the top)."""
    referral = draft.referral
    referral["source_reference"] = fields.text("reportId")
    draft.time("ncmec_received_at", fields.moment("dateReceived"))
    _ncmec(fields.child("additionalNcmecInformation"), draft)
    contacts = fields.child("lawEnforcementContactInformation")
    for contact in contacts.each("lawEnforcementContacts"):
        draft.time("nca_received_at", contact.moment("dateTimeMadeAvailable"))
    report = fields.child("reportedInformation") if fields.has("reportedInformation") else fields
    _report(report, draft, policy)
    _geolookups(fields.child("automatedInformation"))


def _ncmec(fields: Fields, draft: Draft) -> None:
    draft.referral["ncmec_classification"] = fields.text("ncmecClassification")
    priority = fields.child("priority")
    draft.referral["priority"] = priority.text("value") or priority.text("priorityId")


def _geolookups(fields: Fields) -> None:
    """Geolocation by NCMEC is derived from addresses that are read elsewhere; it stays verbatim in unknown_keys."""


def _report(fields: Fields, draft: Draft, policy: dict[str, Any]) -> None:
    referral = draft.referral
    esp = next(fields.each("reportingEsp"), Fields(draft, {}))  # an object, or the name alone
    referral["provider"] = esp.text("espName") or esp.text("value") or esp.text("lastName")
    read_incident(fields.child("incidentSummary"), draft, policy)
    _details(fields.child("incidentDetails"), draft, policy)
    for person in (*fields.each("reportedPeople", "reportedPersons"), *fields.each("reportedPersons")):
        _person(person, draft, policy, "suspect")
    for person in fields.each("childVictims", "childVictims"):
        _person(person, draft, policy, "victim")
    for person in fields.each("intendedRecipients", "intendedRecipients"):
        _person(person, draft, policy, "recipient")
    for file in fields.each("uploadedFiles", "uploadedFiles"):
        _file(file, draft, policy)
    for item in fields.each("additionalInformations"):
        text = item.text("value")
        if text:
            narrative(draft, policy, "narrative", text, path=item.path)


def read_incident(fields: Fields, draft: Draft, policy: dict[str, Any]) -> None:
    """Incident type (with the facts that its words state), time, platform, and the provider's wish for urgency."""
    referral = draft.referral
    kind = fields.text("incidentType")
    referral["report_type"] = kind
    for name in policy["incident_types"].get(kind or "", []):
        draft.fact(name, values.YES, fields.at("incidentType"))
    draft.time("incident_at", fields.moment("incidentDateTime"))
    referral["platform"] = fields.text("platform")
    described = fields.text("incidentDateTimeDescription")
    if described:
        narrative(draft, policy, "narrative", described, path=fields.at("incidentDateTimeDescription"))
    urgent = fields.text("escalateToHighPriority")
    if urgent and urgent.lower() not in {"false", "no", "0"}:
        referral["escalation_text"] = urgent
        draft.fact("provider_escalated", values.YES, fields.at("escalateToHighPriority"))


_CHATS = ("chatIncident", "emailIncident", "gamingIncident", "cellPhoneIncident", "peerToPeerIncident")
_WEB = ("webpageIncident", "newsgroupIncident", "internetIncident", "otherInternetIncident", "nonInternetIncident")


def _details(fields: Fields, draft: Draft, policy: dict[str, Any]) -> None:
    for key in _CHATS + _WEB:
        for incident in fields.each(key):
            read_detail(incident, draft, policy)


def read_detail(fields: Fields, draft: Draft, policy: dict[str, Any]) -> None:
    """One incident detail: the client is the platform where none is named (else it stays as it is), texts are chat,
    addresses and numbers are identifiers."""
    for key in ("chatClient", "gameName", "client"):
        if draft.referral.get("platform") is None:
            draft.referral["platform"] = fields.text(key)
    for key in ("content", "additionalInfo", "value"):
        text = fields.text(key)
        if text:
            narrative(draft, policy, "chat" if key == "content" else "narrative", text, path=fields.at(key))
    for url in fields.each("url"):
        draft.identifier("url", url.text("value"), url.at("value"))
    for number in fields.each("phoneNumber"):
        draft.identifier("phone", number.text("value"), number.at("value"))
    for address in fields.each("emailAddress"):
        draft.identifier("email", address.text("value"), address.at("value"))
    read_captures(fields, draft, None)


_PERSON_FACTS = {
    "accessToChildVictim": "access_to_child_victim",
    "accessToChildren": "access_to_children",
    "accessToFirearms": "access_to_firearms",
    "convictedSexOffender": "convicted_sex_offender",
}


def _person(fields: Fields, draft: Draft, policy: dict[str, Any], role: str) -> None:
    parts = [fields.text(key) for key in ("firstName", "middleName", "lastName")]
    shown = [
        (text, item.at("value")) for item in fields.each("displayNames", "displayNames") if (text := item.text("value"))
    ]
    preferred = fields.text("preferredName")
    addresses = [_address(a) for a in fields.each("addresses", "addresses")]
    gender = fields.text("gender")
    position = draft.subject(
        role,
        name=" ".join(p for p in parts if p) or preferred or next((text for text, _ in shown), None),
        date_of_birth=fields.birth("dateOfBirth"),
        approximate_age=fields.whole("approximateAge", 0, 130),
        gender=gender,
        occupation=fields.text("occupation"),
        addresses=[a for a in addresses if a] or None,
        country=next((a["country"] for a in addresses if a.get("country")), None),
    )
    places(draft, addresses, fields.at("addresses"), position)
    service = (fields.text("espService") or draft.referral.get("provider") or "").lower() or None
    _accounts(fields, draft, position, service)
    for text, path in shown:
        draft.identifier("display_name", text, path, subject=position, service=service)
    for key, kind in (("emails", "email"), ("phones", "phone")):
        for item in fields.each(key, key):
            verified = item.tri("verified")
            draft.identifier(kind, item.text("value"), item.at("value"), subject=position, verified=verified)
    read_captures(fields, draft, position)
    relation = fields.text("relationshipToChildVictim")
    for key, name in _PERSON_FACTS.items():
        fields.fact(key, name, position, relation if name == "access_to_child_victim" else None)
    for prior in fields.each("priorCTReports", "priorCTReports"):
        number = prior.text("value") or prior.text("reportId")
        if number:
            draft.prior.append(number)
    bio = fields.text("profileBio")
    if bio:
        narrative(draft, policy, "narrative", bio, path=fields.at("profileBio"))


def _accounts(fields: Fields, draft: Draft, position: int, service: str | None) -> None:
    user = fields.text("espUserId")
    draft.identifier("user_id", user, fields.at("espUserId"), subject=position, service=service)
    screen = fields.text("screenName")
    draft.identifier("username", screen, fields.at("screenName"), subject=position, service=service)
    for item in fields.each("profileUrls", "profileUrls"):
        draft.identifier("url", item.text("value"), item.at("value"), subject=position, service=service)
    for item in fields.each("deviceIds", "deviceIds"):
        draft.identifier("device", item.text("idValue") or item.text("value"), item.at("value"), subject=position)


def _address(fields: Fields) -> dict[str, str]:
    lines = [fields.text(key) for key in ("street1", "street2", "city", "state", "value")]
    code, country = fields.text("postalCode"), fields.text("country")
    text = ", ".join(part for part in [*lines, code] if part)
    row = {"text": text, "postcode": values.postcode(code or "") or code or "", "country": country or ""}
    return {key: value for key, value in row.items() if value}


_CAPTURES = {"ip": "ip", "email": "email", "phone": "phone", "device": "device", "url": "url"}


def read_captures(fields: Fields, draft: Draft, subject: int | None) -> None:
    """`sourceInformation.sourceCaptures`: addresses and device ids with event, time, port and proxy mark.

    What kind a capture is stands in `captureType` or `valueType` in several spellings; one of no known kind stays
    unread, verbatim.
    """
    if "sourceInformation" not in fields.data:
        return
    for capture in fields.child("sourceInformation").each("sourceCaptures"):
        named = f"{capture.data.get('captureType') or ''} {capture.data.get('valueType') or ''}".lower()
        kind = next((k for word, k in _CAPTURES.items() if word in named.replace("description", "")), None)
        if kind is None:
            continue
        for key in ("captureType", "valueType"):
            capture.text(key)
        path, original = f"{capture.path}/value", capture.text("value")
        draft.identifier(
            kind,
            original,
            path,
            subject=subject,
            seen=capture.moment("dateTime"),
            port=capture.port("port"),
            event=capture.text("eventName"),
            possible_proxy=capture.tri("possibleProxy"),
        )


_HASHES = {"verificationHash": "md5", "md5": "md5", "fileHash": "", "sha1": "sha1", "sha256": "sha256", "pdq": "pdq"}
_BY_LENGTH = {32: "md5", 40: "sha1", 64: "sha256"}


def _file(fields: Fields, draft: Draft, policy: dict[str, Any]) -> None:
    given = fields.text("filename") or fields.text("fileName")
    original = other_name(fields, "originalFilename") if given else fields.text("originalFilename")
    row: dict[str, Any] = {
        "name": given or original,
        "alias": original if given else None,
        "size": fields.whole("fileSize", 0, 2**62),
        "viewed_by_provider": fields.tri("viewedByEsp"),
        "publicly_available": fields.tri("publiclyAvailable"),
        "industry_classification": fields.convert("industryClassification", classification),
        "sent": values.UNKNOWN,
        "path": fields.path,
    }
    for key, name in _HASHES.items():
        if key in fields.data:
            text = fields.data[key]
            known = name or _BY_LENGTH.get(len(text.strip()) if isinstance(text, str) else 0, "md5")
            column, value = CLAIMED[known], fields.digest(key, known)
            row[column] = row.get(column) or value
    row["annotations"] = _annotations(fields) if "ncmecTags" in fields.data or "fileAnnotations" in fields.data else []
    moment = _uploaded(fields)
    if moment:
        row |= moment.columns("uploaded_at")
    read_captures(fields, draft, None)
    add_file(draft, row, policy)


def _annotations(fields: Fields) -> list[str]:
    """Tags, and annotations that are set."""
    tags = [
        text
        for group in fields.child("ncmecTags").each("groups")
        for tag in group.each("tags")
        if (text := tag.text("value"))
    ]
    return sorted({*tags, *_flags(fields.child("fileAnnotations"))})


def _flags(fields: Fields) -> list[str]:
    """Names of annotations that are set."""
    return [key for key in sorted(fields.data) if fields.tri(key) == values.YES]


_UPLOADED = frozenset({"uploaded", "upload time", "upload date", "uploadedtoesptimestamp", "upload_time", "uploadedat"})


def _uploaded(fields: Fields) -> values.Moment | None:
    """Upload time: every provider hides it elsewhere; name and value pairs with a known name are read."""
    moment = fields.moment("uploadedToEspTimestamp")
    if "espMetadata" not in fields.data:
        return moment
    for pair in fields.child("espMetadata").each("metadatas"):
        name = pair.data.get("name")
        if isinstance(name, str) and name.strip().lower() in _UPLOADED and moment is None:
            moment = pair.moment("value")
            pair.text("name")
    return moment


READER = Reader(
    name="ncmec-json",
    title="NCMEC CyberTipline report, police JSON",
    source="NCA_NCMEC",
    folder="nca",
    kind="json",
    schema="ncmec_json",
    recognises=recognises,
    read=read,
)
