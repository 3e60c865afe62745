"""The media files of a referral as rows: those that the report names, found among the package's members, and the others."""

from __future__ import annotations

import hashlib
import unicodedata
from functools import cached_property

from pipeline.algorithms import DIGESTS, STATED
from pipeline.fingerprint.outcome import Digests
from pipeline.ingest.landing.package import Member, Package
from pipeline.ingest.reports import values
from pipeline.ingest.reports.draft import Draft
from pipeline.ingest.reports.report import FoundReport
from pipeline.ingest.writing.context import Context
from pipeline.row import Row

_CLAIMED = {name: f"claimed_{name}" for name in DIGESTS}
"""Digests, strongest first, and the columns with what a report says that they are."""
_CLAIMED_WEAKEST_FIRST = tuple(reversed(_CLAIMED.items()))


def payload(package: Package, report: Member | None) -> list[Member]:
    """Members that are content: neither transport nor the report itself."""
    return [member for member in package.payload if member is not report]


def compose(report: FoundReport, context: Context) -> list[Row]:
    """One row per file that the report names, then one per file that it does not name."""
    members = payload(context.package, report.member)
    finder = _Finder(members)
    rows: list[Row] = []
    ids = _FileIds(context.referral_id)
    used: set[str] = set()
    for described in report.draft.files:
        alias, sent, path = described.pop("alias", None), described.pop("sent"), described.pop("path")
        member = finder.find(described["name"], alias, described)
        if member is not None:
            used.add(member.name)
        rows.append(_file_row(described, member, sent, path, report.draft, context, ids))
    for member in members:
        if member.name not in used:
            row = {
                "name": member.name,
                "viewed_by_provider": values.UNKNOWN,
                "publicly_available": values.UNKNOWN,
                "annotations": ["not_named_in_report"],
            }
            rows.append(_file_row(row, member, values.YES, None, report.draft, context, ids))
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

    def __init__(self, members: list[Member]) -> None:
        self._members = members
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
            found = member.digests
            if found is not None:
                for name in DIGESTS:
                    result.setdefault(getattr(found, name), member)
        return result

    @cached_property
    def _by_form(self) -> dict[str, Member | None]:
        """By names as a file system without case or with another Unicode form has them. No two members of a package have the
        same path in this form, but two folders may have such base names."""
        result: dict[str, Member | None] = {}
        for member in self._members:
            bare = _form(member.name.rpartition("/")[2])
            result[bare] = None if bare in result else member
        result.update((_form(member.name), member) for member in self._members)
        return result

    def _find_by_form(self, name: str) -> Member | None:
        form = _form(name.replace("\\", "/").removeprefix("./").lstrip("/"))
        return self._by_form.get(form) or self._by_form.get(form.rpartition("/")[2])

    def find(self, name: str | None, alias: str | None, row: Row) -> Member | None:
        for given in (name, alias):
            if given:
                found = self._by_name.get(given)
                if found is None:
                    bare = given.replace("\\", "/").removeprefix("./").lstrip("/")
                    found = self._by_name.get(bare) or self._by_name.get(bare.rpartition("/")[2])
                if found is not None:
                    return found
        for claimed in _CLAIMED.values():
            if row.get(claimed) and row[claimed] in self._by_digest:
                return self._by_digest[row[claimed]]
        return next((found for given in (name, alias) if given and (found := self._find_by_form(given))), None)


def _form(name: str) -> str:
    """macOS writes names decomposed, Windows ignores case, and a report's fields come without outer white space."""
    return unicodedata.normalize("NFC", name).casefold().strip()


def _claimed(row: Row) -> bool:
    return any(row.get(f"claimed_{name}") for name in STATED)


def _file_row(  # noqa: PLR0917 - one call per file, and there are a hundred thousand
    row: Row,
    member: Member | None,
    sent: str,
    path: str | None,
    draft: Draft,
    context: Context,
    ids: _FileIds,
) -> Row:
    name = row["name"] or ""
    if member is None or member.digests is None:
        content: bytes = next(filter(None, map(row.get, _CLAIMED.values())), b"")
    if member is None:
        row["state"] = "hash_only" if sent == values.NO or (not name and _claimed(row)) else "missing"
    else:
        key, name = member.key, name or member.name
        digests, failure = member.digests, member.failure
        row["locator"] = key
        if failure:
            row["reason"] = failure.reason.value
        if digests:
            row["state"], row["size"], row["sha256"] = "present", digests.size, digests.sha256
            content = digests.sha256
            _note_other_digests(row, digests, path or "/", draft)
        else:
            row["state"], row["size"], row["sha256"] = "unreadable", member.size, None
    row["file_id"] = ids.make(name, content.hex())
    row["referral_id"] = context.referral_id
    row["package_id"] = context.package_id
    row["name"] = draft.hide(name) or None
    row["source_path"] = path
    return row


def _note_other_digests(row: Row, digests: Digests, path: str, draft: Draft) -> None:
    for name, column in _CLAIMED_WEAKEST_FIRST:
        claimed = row.get(column)
        if claimed and claimed != getattr(digests, name):
            draft.defect(path, f"The file does not have the {name} that the report states.")
