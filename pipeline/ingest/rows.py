"""A draft with its package to rows of the record tables: ids, media states, force, ages, completeness."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any

from pipeline.fingerprint.outcome import Digests, Failure
from pipeline.ingest import values
from pipeline.ingest.draft import Draft
from pipeline.ingest.package import Member, Package
from pipeline.ingest.report import Report
from pipeline.ingest.rules import Rules
from pipeline.ingest.sources.ucol import COMPARTMENT

Row = dict[str, Any]
STAGES = (
    "incident_at",
    "provider_reported_at",
    "ncmec_received_at",
    "nca_received_at",
    "nca_disseminated_at",
    "force_received_at",
)
"""Stage times in the order in which they happen."""


def stable_id(*parts: object) -> str:
    """32 hexadecimal digits of SHA-256 over the parts: the same things have the same id in every run."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def numbered_ids(referral_id: str, what: str, count: int) -> list[str]:
    """`stable_id(referral_id, what, n)` for n from 0: the ids of a referral's rows of one kind."""
    start = hashlib.sha256(f"{referral_id}\x1f{what}\x1f".encode())
    ids = []
    for n in range(count):
        one = start.copy()
        one.update(b"%d" % n)
        ids.append(one.hexdigest()[:32])
    return ids


@dataclass
class Answers:
    """What the media worker said, by locator text."""

    digests: dict[str, Digests]
    failures: Mapping[str, Failure]


@dataclass
class Context:
    """What rows need besides the draft."""

    package: Package
    package_id: str
    referral_id: str
    supplements: str | None
    answers: Answers
    rules: Rules
    run_id: str
    as_of: datetime
    clock_from: datetime | None = None
    """First arrival of the package in quarantine that this one puts right, if it does."""


def compose(report: Report, context: Context) -> dict[str, list[Row]]:
    """All rows of one referral, by record table."""
    draft, referral_id = report.draft, context.referral_id
    media = _media(report, context)
    subject_ids = numbered_ids(referral_id, "subject", len(draft.subjects))
    subjects = [
        {"subject_id": i, "referral_id": referral_id, **s} for i, s in zip(subject_ids, draft.subjects, strict=True)
    ]
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


def _original(report: Report, context: Context) -> Row:
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


def _referral(report: Report, context: Context, media: list[Row]) -> Row:
    draft, rules = report.draft, context.rules
    _check_times(draft, context)
    row: Row = dict(draft.referral)
    if row.get("force_received_at") is None:
        row["force_received_at"] = context.clock_from or context.as_of
    candidates, code, basis = _force(draft, rules)
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


def _force(draft: Draft, rules: Rules) -> tuple[list[str], str | None, str | None]:
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
                for code in _police(address, rules)
            }
        )
        if codes:
            return codes, codes[0] if len(codes) == 1 else None, "postcode" if len(codes) == 1 else None
    return [], None, None


_HERE = frozenset(
    {"", "GB", "GBR", "UK", "UNITED KINGDOM", "GREAT BRITAIN", "ENGLAND", "SCOTLAND", "WALES", "NORTHERN IRELAND"}
)


def _police(address: Row, rules: Rules) -> tuple[str, ...]:
    """Codes of the forces of an address. A district alone counts where no other country is named."""
    written = address.get("postcode", "")
    code = values.postcode(written)
    if code is None and address.get("country", "").strip().upper() in _HERE:
        code = values.district(written)
    return rules.forces.of_postcode(code or " ")


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


# -- media files -----------------------------------------------------------------------------------------------------


def payload(package: Package, report: Member | None) -> list[Member]:
    """Members that are content: neither transport nor the report itself."""
    return [member for member in package.payload if member is not report]


def _media(report: Report, context: Context) -> list[Row]:
    """One row a file that the report names, then one a file that it does not name."""
    members = payload(context.package, report.member)
    finder = _Finder(members, context.answers)
    rows: list[Row] = []
    ids = _FileIds(context.referral_id)
    used: set[str] = set()
    for described in report.draft.files:
        alias, sent, path = described.pop("alias", None), described.pop("sent"), described.pop("path")
        member = finder.find([described["name"], alias], described)
        if member is not None:
            used.add(member.name)
        rows.append(_file_row(described, member, sent=sent, path=path, draft=report.draft, context=context, ids=ids))
    for member in members:
        if member.name not in used:
            row = {
                "name": member.name,
                "viewed_by_provider": values.UNKNOWN,
                "publicly_available": values.UNKNOWN,
                "annotations": ["not_named_in_report"],
            }
            rows.append(
                _file_row(row, member, sent=values.YES, path=None, draft=report.draft, context=context, ids=ids)
            )
    return rows


class _FileIds:
    """`stable_id(referral_id, "file", name, content, n)`, where n counts the files of one name and content."""

    def __init__(self, referral_id: str) -> None:
        self._start = hashlib.sha256(f"{referral_id}\x1ffile\x1f".encode())
        self._seen: dict[tuple[str, str], int] = {}

    def make(self, name: str, content: str) -> str:
        number = self._seen[name, content] = self._seen.get((name, content), -1) + 1
        one = self._start.copy()
        one.update(f"{name}\x1f{content}\x1f{number}".encode("utf-8", "surrogatepass"))
        return one.hexdigest()[:32]


class _Finder:
    """Finds the member that a report means: by path, by base name when only one has it, by claimed digest."""

    def __init__(self, members: list[Member], answers: Answers) -> None:
        self._members, self._answers = members, answers
        self._by_name: dict[str, Member | None] = {}
        for member in members:
            bare = member.name.rpartition("/")[2]
            self._by_name[bare] = None if bare in self._by_name else member
        for member in members:
            self._by_name[member.name] = member

    @cached_property
    def _by_digest(self) -> dict[bytes, Member]:
        """Made only when a file is not found by its name."""
        result: dict[bytes, Member] = {}
        for member in self._members:
            found = self._answers.digests.get(member.key)
            if found is not None:
                for digest in (found.md5, found.sha1, found.sha256):
                    result.setdefault(digest, member)
        return result

    def find(self, names: list[str | None], row: Row) -> Member | None:
        for name in names:
            if name:
                found = self._by_name.get(name)
                if found is None:
                    bare = name.replace("\\", "/").removeprefix("./").lstrip("/")
                    found = self._by_name.get(bare) or self._by_name.get(bare.rpartition("/")[2])
                if found is not None:
                    return found
        for claimed in ("claimed_sha256", "claimed_sha1", "claimed_md5"):
            if row.get(claimed) and row[claimed] in self._by_digest:
                return self._by_digest[row[claimed]]
        return None


def _claimed(row: Row) -> bool:
    return any(row.get(f"claimed_{name}") for name in values.DIGESTS)


def _file_row(
    row: Row,
    member: Member | None,
    *,
    sent: str,
    path: str | None,
    draft: Draft,
    context: Context,
    ids: _FileIds,
) -> Row:
    md5, sha1, sha256 = row.get("claimed_md5"), row.get("claimed_sha1"), row.get("claimed_sha256")
    digests = failure = None
    if member is None:
        row["state"] = "hash_only" if sent == values.NO or (not row["name"] and _claimed(row)) else "missing"
    else:
        key = member.key
        digests, failure = context.answers.digests.get(key), context.answers.failures.get(key)
        row["locator"] = key
        row["state"] = "present" if digests else "unreadable"
        row["reason"] = failure.reason.value if failure else None
        row["size"] = digests.size if digests else member.size
        row["sha256"] = digests.sha256 if digests else None
    if digests:
        for name, claimed, actual in (
            ("md5", md5, digests.md5),
            ("sha1", sha1, digests.sha1),
            ("sha256", sha256, digests.sha256),
        ):
            if claimed and claimed != actual:
                draft.defect(path or "/", f"The file does not have the {name} that the report states.")
    name = row["name"] or (member.name if member else "")
    content = (row.get("sha256") or sha256 or sha1 or md5 or b"").hex()
    row.update(
        file_id=ids.make(name, content),
        referral_id=context.referral_id,
        package_id=context.package_id,
        name=draft.hide(name) or None,
        source_path=path,
    )
    return row
