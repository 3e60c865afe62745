"""The blocks that our own forms share (schemas/referrals): times, subjects, connections, files, facts, narratives.

Every form reads these with the same words, so that a field means the same whoever sends it.
"""

from __future__ import annotations

from typing import Any

from pipeline.algorithms import STATED
from pipeline.ingest.reports import values
from pipeline.ingest.reports.draft import Draft
from pipeline.ingest.reports.fields import Fields
from pipeline.ingest.reports.reportrules import ReportRules

TIMES = {
    "incident": "incident_at",
    "provider_reported": "provider_reported_at",
    "ncmec_received": "ncmec_received_at",
    "nca_received": "nca_received_at",
    "nca_disseminated": "nca_disseminated_at",
    "force_received": "force_received_at",
}
"""Keys of a form's `times` block -> columns of the referrals record."""

VERSION = "1"
"""Version of our own forms, behind the slash of their key `form`."""

ROLES = frozenset({"suspect", "victim", "recipient", "reporter", "other"})


def read_form(fields: Fields, draft: Draft, rules: ReportRules) -> str:
    """Read everything that the forms share. Returns the zone of
    times that have none."""
    form = fields.text("form") or ""
    if form.partition("/")[2] != VERSION:
        draft.defect(
            fields.at("form"), f"This version of the form is not known; it was read as version {VERSION}.", form
        )
    referral = draft.referral
    for key, column in (
        ("reference", "source_reference"),
        ("report_type", "report_type"),
        ("provider", "provider"),
        ("platform", "platform"),
        ("urgency", "escalation_text"),
        ("priority", "priority"),
        ("handling", "handling"),
    ):
        referral[column] = fields.text(key)
    zone = fields.text("timezone") or ""
    read_times(fields.child("times"), draft, zone)
    draft.force_stated = fields.text("force")
    draft.prior.extend(text for text in [fields.text("supplements")] if text)
    draft.prior.extend(fields.texts("prior_references"))
    if fields.has("declared_complete"):
        fields.fact("declared_complete", "declared_complete")
    for subject in fields.each("subjects"):
        read_subject(subject, draft, zone)
    for connection in fields.each("connections"):
        read_connection(connection, draft, zone)
    read_facts(fields.child("facts"), rules.facts)
    for file in fields.each("files"):
        read_file(file, draft, rules, zone)
    for text in fields.texts("narrative"):
        narrative(draft, rules, "narrative", text, path=fields.at("narrative"))
    for message in fields.each("chat"):
        read_message(message, draft, rules, zone)
    return zone


def read_times(times: Fields, draft: Draft, zone: str) -> None:
    """Every stage time known, with its original text."""
    zone = times.text("timezone") or zone
    for key, column in TIMES.items():
        draft.time(column, times.moment(key, zone))


def read_subject(fields: Fields, draft: Draft, zone: str) -> int:
    """A person with everything that can identify them."""
    role = fields.convert("role", _role) or "other"
    addresses = [_address(a) for a in fields.each("addresses")]
    addresses = [a for a in addresses if a]
    work = [a for w in fields.each("workplaces") if (a := _workplace(w))]
    position = draft.subject(
        role,
        name=fields.text("name"),
        date_of_birth=fields.birth("date_of_birth"),
        approximate_age=fields.whole("approximate_age", 0, 130),
        gender=fields.text("gender"),
        occupation=fields.text("occupation"),
        addresses=addresses or None,
        workplaces=work or None,
        country=fields.text("country"),
    )
    for key, kind in (("emails", "email"), ("phones", "phone")):
        for item in fields.each(key):
            path, verified = f"{item.path}/value", item.tri("verified")
            draft.identifier(kind, item.text("value"), path, subject=position, verified=verified)
    for account in fields.each("accounts"):
        read_account(account, draft, position, zone)
    for key, kind in (("devices", "device"), ("vehicles", "vehicle"), ("urls", "url")):
        for item in fields.each(key):
            draft.identifier(kind, item.text("value"), item.path, subject=position)
    places(draft, addresses, fields.at("addresses"), position)
    return position


def places(draft: Draft, addresses: list[dict[str, str]], path: str, subject: int) -> None:
    """Postal addresses as identifiers, which is what the lists of protected addresses are matched with."""
    for address in addresses:
        if address.get("text"):
            draft.identifier("address", address["text"], path, subject=subject)


def _role(text: str) -> str:
    if text.lower() not in ROLES:
        raise values.UnusableError(f"the role is one of {', '.join(sorted(ROLES))}")
    return text.lower()


def _address(fields: Fields) -> dict[str, str]:
    lines = [fields.text(key) for key in ("value", "text", "street1", "street2", "city", "state")]
    code, country = fields.text("postcode") or fields.text("postalCode"), fields.text("country")
    text = ", ".join(part for part in [*lines, code] if part)
    uk = values.postcode(code or "") or values.postcode(text)
    row = {"text": text, "postcode": uk or code or "", "country": country or ""}
    return {key: value for key, value in row.items() if value}


def _workplace(fields: Fields) -> dict[str, str]:
    """Where somebody works or volunteers: an address, with the name of the employer, school or club."""
    name = fields.text("name")
    row = _address(fields)
    return {"name": name, **row} if name else row


def read_account(fields: Fields, draft: Draft, subject: int | None, zone: str) -> None:
    """A username or user id with the service it belongs to, in lower case."""
    service = (fields.text("service") or "").lower() or None
    seen = fields.moment("seen_at", zone)
    for key, kind in (("username", "username"), ("user_id", "user_id"), ("value", "username")):
        text = fields.text(key)
        draft.identifier(kind, text, fields.at(key), subject=subject, seen=seen, service=service)
    draft.identifier("url", fields.text("profile_url"), fields.at("profile_url"), subject=subject, service=service)
    draft.identifier("email", fields.text("email"), fields.at("email"), subject=subject)
    draft.identifier("phone", fields.text("phone"), fields.at("phone"), subject=subject)


def read_connection(fields: Fields, draft: Draft, zone: str) -> None:
    """An IP address with port and time; text of all three is kept as given."""
    zone = fields.text("timezone") or zone
    subject = fields.whole("subject", 1, len(draft.subjects)) if fields.has("subject") else None
    ip = fields.text("ip")
    port = fields.port("port")
    draft.identifier(
        "ip",
        ip,
        fields.at("ip"),
        subject=None if subject is None else subject - 1,
        seen=fields.moment("at", zone),
        port=port,
        event=fields.text("event"),
        possible_proxy=fields.tri("possible_proxy"),
    )


def read_facts(fields: Fields, names: frozenset[str]) -> None:
    """Facts by name; a value is yes, no or unknown, or an object with `value` and `detail`. Other names stay unread."""
    for key in sorted(fields.data.keys() & names):
        if isinstance(fields.data[key], dict):
            inner = fields.child(key)
            detail = inner.text("detail")
            inner.fact("value", key, detail=detail)
        else:
            fields.fact(key, key)


def read_file(fields: Fields, draft: Draft, rules: ReportRules, zone: str) -> int:
    """A media file as the sender describes it; whether it is in the package is found out later."""
    sent = fields.tri("sent")
    row: dict[str, Any] = {
        "name": fields.text("name"),
        "size": fields.whole("size", 0, 2**62),
        "viewed_by_provider": fields.tri("viewed_by_provider"),
        "publicly_available": fields.tri("publicly_available"),
        "industry_classification": fields.convert("industry_classification", classification),
        "sent": sent,
        "path": fields.path,
    }
    for name, column in CLAIMED.items():
        if name in fields.data:
            row[column] = fields.digest(name, name)
    moment = fields.moment("uploaded_at", zone)
    if moment:
        row |= moment.columns("uploaded_at")
    marks = fields.texts("annotations")
    row["annotations"] = sorted(set(marks)) if marks else []
    return add_file(draft, row, rules)


CLAIMED = {name: f"claimed_{name}" for name in STATED}
"""Hash names -> columns of the media_files record."""


def classification(text: str) -> str:
    """A1, A2, B1 or B2. Raises UnusableError."""
    if text.upper() not in {"A1", "A2", "B1", "B2"}:
        raise values.UnusableError("the industry classification is A1, A2, B1 or B2")
    return text.upper()


def other_name(fields: Fields, key: str) -> str | None:
    """Another name of a file, by which it may be found in the package; it stays among what is kept verbatim."""
    name = fields.text(key)
    if name is not None:
        fields.data[key] = name
    return name


def add_file(draft: Draft, row: dict[str, Any], rules: ReportRules) -> int:
    """Add a file and the facts that its annotations state. Whether the provider viewed the files is one fact per answer,
    with the first file that has it; the answer for each is in its own row."""
    draft.files.append(row)
    position, viewed = len(draft.files) - 1, row["viewed_by_provider"]
    if viewed not in draft.viewed:
        draft.viewed.add(viewed)
        draft.fact("provider_viewed", viewed, row["path"], file=position)
    if row["annotations"]:
        for name in sorted({rules.annotations[a] for a in row["annotations"] if a in rules.annotations}):
            draft.fact(name, values.YES, f"{row['path']}/annotations", file=position)
    return position


def read_message(fields: Fields, draft: Draft, rules: ReportRules, zone: str) -> None:
    """One chat message: time, participant, text."""
    moment = fields.moment("sent_at", zone)
    text = fields.text("text") or fields.text("value")
    if text is not None:
        row = narrative(draft, rules, "chat", text, path=fields.path)
        row["participant"] = fields.text("participant")
        if moment:
            row |= moment.columns("sent_at")


def narrative(
    draft: Draft, rules: ReportRules, kind: str, text: str, *, path: str, compartment: str | None = None
) -> dict[str, Any]:
    """Add a text; one that is longer than the cap is cut, with a note (the original report keeps it whole)."""
    limit = rules.caps["text_characters"]
    if len(text) > limit:
        draft.defect(path, f"The text is longer than {limit} characters; what follows is only in the original.")
        text = text[:limit]
    row = {"kind": kind, "position": len(draft.narratives), "text": text, "compartment": compartment}
    draft.narratives.append(row)
    return row
