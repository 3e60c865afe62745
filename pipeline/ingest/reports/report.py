"""Finds the report in a package and has it read: one report per package, recognised by its content."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pipeline.errors import InputError
from pipeline.fingerprint.decode.inside import written
from pipeline.ingest import sources
from pipeline.ingest.landing.package import REPORT_SUFFIXES, Member, Package, reading_order
from pipeline.ingest.reports import decode
from pipeline.ingest.reports.draft import Draft
from pipeline.ingest.reports.fields import Fields, residue
from pipeline.ingest.reports.reportrules import ReportRules
from pipeline.ingest.sources import covert
from pipeline.ingest.sources.reader import Reader
from pipeline.ingest.writing import masking

UNKNOWN_FORM = "a possible report has none of the known forms (its `form` is missing or not one of ours, and it is no CyberTipline report)"


@dataclass
class FoundReport:
    """A report that was read: where it lay, by which reader, and the draft with everything in it."""

    member: Member
    reader: Reader
    draft: Draft
    sha256: str


def candidates(package: Package) -> list[Member]:
    """Members that may be the report, those that are called one first, then those nearest to the top."""
    found = [
        m
        for m in package.payload
        if m.name.lower().endswith(REPORT_SUFFIXES)
        and (m.read is not None or m.name.count("/") <= 1)
        and (m.name.startswith("data/") or not package.is_bag)
    ]
    return sorted(found, key=lambda m: reading_order(m.name))


def find(package: Package, rules: ReportRules) -> tuple[FoundReport | None, list[str]]:
    """The package's report, or every reason why there is none.

    When the same report is there in two formats (JSON and XML of one reference), the reader that comes first in the
    registry wins; two different reports in one package are refused.
    """
    reasons: list[str] = []
    reports: list[FoundReport] = []
    caps = rules.caps
    listed = candidates(package)
    if not listed:
        return None, ["it holds no JSON, XML or CSV report"]
    unread = 0
    for member in listed:
        if member.content is None:
            if member.size <= caps["report_bytes"]:
                unread += 1  # because the package is refused anyway, or there are so many
                continue
            reasons.append(f"a possible report is larger than {caps['report_bytes']} bytes")
            continue
        try:
            report = read(member, member.content, rules)
        except InputError as error:
            reasons.append(str(error))
            continue
        if report is None:
            reasons.append(UNKNOWN_FORM)
        else:
            reports.append(report)
    if not reports:
        if unread and len(listed) > caps["reports"]:
            reasons.append(f"{unread} of {len(listed)} JSON, XML and CSV files were not read; call the report `report`")
        return None, list(dict.fromkeys(reasons))
    references = {(r.reader.source, r.draft.referral.get("source_reference")) for r in reports}
    if len(references) > 1:
        return None, ["it holds several different reports; send each in a package of its own"]
    best = reports[0] if len(reports) == 1 else min(reports, key=lambda r: sources.READERS.index(r.reader))
    for reason in dict.fromkeys(reasons):
        best.draft.defect("/", f"Another file of the package could not be read as a report: {reason}")
    if best.reader.folder != package.landing_folder:
        best.draft.defect(
            "/", f"It arrived among {package.landing_folder} packages, but its form is {best.reader.title}."
        )
    return best, []


def read(member: Member, content: bytes, rules: ReportRules) -> FoundReport | None:
    """Read one file as a report; None when no reader recognises it. Raises InputError when it cannot be parsed."""
    caps = rules.caps
    notes: list[tuple[str, str]] = []
    kind = member.name.rpartition(".")[2].lower()
    root = ""
    decode.check_marks(content, kind, caps["marks"])
    if kind == "json":
        tree: Any = decode.json_tree(content, caps["tree_depth"], notes)
    elif kind == "xml":
        root, tree = decode.xml_tree(content, caps["tree_depth"])
    else:
        tree = decode.csv_tree(content, caps["csv_rows"], notes)
    if not isinstance(tree, dict):
        return None
    reader = next((r for r in sources.of_kind(kind) if r.recognises(root, tree)), None)
    if reader is None:
        return None
    draft = Draft(phone_region=rules.phone_region, original_characters=caps["original_characters"])
    fields = Fields(draft, tree, f"/{root}" if root else "")
    reader.read(fields, draft, rules)
    if covert.mentioned(content):
        covert.take(fields, draft, rules)
    for path, problem in notes:
        draft.defect(path if path.startswith("line") else f"//{path}", problem)
    _check_references(draft, caps["reference_characters"])
    draft.referral["unknown_keys"] = residue(tree)
    _note_pictures(draft)
    masking.mask(draft)
    rows = len(draft.subjects) + len(draft.identifiers) + len(draft.narratives) + len(draft.files)
    if rows > caps["rows"]:
        raise InputError(f"The report describes more than {caps['rows']} things.", "Send it in several reports.")
    return FoundReport(member, reader, draft, member.sha256())


_WRITTEN = re.compile(r"[A-Za-z0-9+/_-]{57}")
"""What no sentence has, and a picture written as text (base64) does."""


def _note_pictures(draft: Draft) -> None:
    """A report is no media file, so that nobody looks at a picture that is written into it as text: this is said of it."""
    waiting: list[Any] = [draft.referral["unknown_keys"], *(row["text"] for row in draft.narratives)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            if _WRITTEN.search(node) and written.holds_file(node.encode("utf-8", "replace")):
                draft.defect("/", "The report holds a file written as text; nobody looked at it.")
                return
        elif isinstance(node, dict | list):
            waiting += node.values() if isinstance(node, dict) else node


def _check_references(draft: Draft, most: int) -> None:
    """A reference names a referral for good and stands in letters and logs: one that is too long for that, or has control
    characters, is kept as a defect and not used."""
    given = draft.referral.get("source_reference")
    if given is not None and not _is_reference(given, most):
        draft.referral["source_reference"] = None
        draft.defect("/reference", f"This is no reference: it has control characters, or more than {most}.", given)
    for reference in [r for r in draft.prior if not _is_reference(r, most)]:
        draft.prior.remove(reference)
        draft.defect("/earlier", f"This is no reference: it has control characters, or more than {most}.", reference)


def _is_reference(text: str, most: int) -> bool:
    return len(text) <= most and text.isprintable()
