"""One batch of packages: look into each, have its media digested, read its report, decide what it is, make its rows."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pipeline.collector import no_cycle_search
from pipeline.contract import Night
from pipeline.ingest import ahead, identity, media
from pipeline.ingest.identity import Arrival, Held
from pipeline.ingest.landing import completeness, discovery, seen
from pipeline.ingest.landing.discovery import LandingEntry
from pipeline.ingest.landing.package import Member, Package
from pipeline.ingest.reading.questions import AHEAD, PackageQuestion
from pipeline.ingest.reading.supervisor import PackageReading
from pipeline.ingest.reports import report
from pipeline.ingest.reports.report import FoundReport
from pipeline.ingest.returned import Returned
from pipeline.ingest.rules import IngestRules
from pipeline.ingest.writing import media_rows, rows
from pipeline.ingest.writing.context import Answers, Context
from pipeline.ingest.writing.tables import Tables
from pipeline.locator import Locator
from pipeline.row import Row
from pipeline.senders import SOURCES
from pipeline.settings import Settings


@dataclass
class Candidate:
    """A package on its way: what its lists promise, why it is not complete, its identity and its report."""

    entry: LandingEntry
    package: Package
    wanted: completeness.ListedDigests = field(default_factory=dict)
    waits: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    package_id: str = ""
    read: tuple[FoundReport | None, list[str]] = (None, [])
    """What `report.find` said."""
    report: FoundReport | None = None
    overdue: bool = False
    late: bool = False
    seen_at: datetime = datetime(9999, 1, 1, tzinfo=UTC)
    """When the run first saw it."""


@dataclass
class PackageBatch:
    """What came of a batch: tables to publish, packages that wait (with `waits`, the reasons), and what to remember of
    each container."""

    tables: dict[str, pa.Table]
    arrivals: list[str]
    counts: Counter[str]
    waiting: list[Candidate]
    seen: dict[str, tuple[str, str]]


def take(reading: PackageReading, night: Night, held: Held, entries: deque[LandingEntry]) -> PackageBatch:
    """Work through the next batch: `entries` from the left, as many as the policy puts into one. Nothing is written. `held`
    learns what was decided."""
    with no_cycle_search():
        return _take(reading.settings, night, reading.rules, held, looked_at(reading, night, entries))


_AMPLE = 8 << 20
"""Bytes that are read of several packages, nearly always."""


def looked_at(reading: PackageReading, night: Night, entries: deque[LandingEntry]) -> list[Candidate]:
    """Look into as many `entries` from the left as the policy puts into one batch."""
    rules = reading.rules
    found: list[Candidate] = []
    room = rules.data["batch_bytes"]
    waited = seen.waited(reading.settings)
    while entries and room > 0 and (more := rules.data["batch_packages"] - len(found)) > 0:
        # where the batch may be full any moment one at a time, since what does not fit would be read for nothing
        number = min(AHEAD, more) if room > _AMPLE else 1
        listed = [entries.popleft() for _ in range(min(number, len(entries)))]
        for candidate, size in look(reading, listed, night.as_of, waited):
            if room > 0:
                found.append(candidate)
                listed.remove(candidate.entry)
                room -= size
        entries.extendleft(reversed(listed))
    return found


def _take(settings: Settings, night: Night, rules: IngestRules, held: Held, found: list[Candidate]) -> PackageBatch:
    moments = seen.moments(settings, night, [candidate.entry.container for candidate in found])
    for candidate in found:
        candidate.seen_at = moments[candidate.entry.container]
    answers = _answers(settings, night, found)
    for candidate in found:
        _conclude(candidate, answers, night.as_of, rules)
    waiting = [c for c in found if c.waits]
    looked_at = {c.package.container: (_key(c), c.package_id) for c in found if not c.waits}
    held.look_up_packages(c.package_id for c in found if not c.waits)
    taken = [c for c in found if not c.waits and (c.package_id, c.package.container) not in held.containers]
    arrivals = sorted(f"{c.package_id}@{c.package.container}" for c in taken)
    tables = Tables()
    tables.counts["packages_waited_too_long"] = sum(1 for c in taken if c.late)
    tables.counts["desktop_files_left_out"] = sum(c.package.left_out for c in taken)
    for candidate in (c for c in taken if c.report is None):
        tables.add_package(_quarantined(candidate, night, held))
    readable = {c.package.container: (c, _arrival(c)) for c in taken if c.report is not None}
    del found, taken  # what was read of a package goes when its rows are made
    _readable(night, rules, held, readable, tables)
    return PackageBatch(tables.finish(), arrivals, tables.counts, waiting, looked_at)


def _answers(settings: Settings, night: Night, found: list[Candidate]) -> Answers:
    """What the media worker says, now or before in a shard of the stage `digest`."""
    held = ahead.held(settings, night, [(c.package.container, c.package.stat_key) for c in found])
    longer = with_sha512(found)
    listed = locators(found)
    if held:
        listed = {k: p for k, p in listed.items() if k not in held or (p in longer and not held[k].sha512)}
    wanted = list(listed.values())
    made = media.answers(settings, wanted, longer)
    return Answers({**held, **made.digests}, made.failures)


def _key(candidate: Candidate) -> str:
    """The key that a later run compares: equal means that nothing of the package was touched since."""
    key = candidate.package.stat_key
    return key if candidate.report else discovery.returned_key(candidate.entry, key)


def look(
    reading: PackageReading, entries: Sequence[LandingEntry], as_of: datetime, waited: seen.Waited
) -> list[tuple[Candidate, int]]:
    """List packages, have them read, see whether their names and sizes are complete. Also how many bytes were read of each.
    `waited`: since when those that were left waiting are as they are."""
    policy = reading.rules.data
    candidates, questions = [], []
    for entry in entries:
        package, texts = discovery.prepare(entry, policy)
        key, since = waited.get(entry.container, ("", 0))
        if key == package.stat_key:
            package.changed = min(package.changed, since)
        candidate = Candidate(entry, package)
        candidate.overdue = package.hours(as_of) > policy["waiting_hours"]
        candidates.append(candidate)
        questions.append(PackageQuestion(package, texts, candidate.overdue))
    answers = reading.read(questions)
    for candidate, found in zip(candidates, answers, strict=True):
        package = candidate.package
        candidate.wanted, candidate.read = found.wanted, (found.report, found.reasons)
        candidate.waits = [*package.waits, *found.missing]
        if package.faults and not package.waits:
            candidate.waits = []  # waiting longer will not mend a hostile name or a link
            candidate.reasons = list(package.faults)
    return [(candidate, found.size) for candidate, found in zip(candidates, answers, strict=True)]


def locators(found: list[Candidate]) -> dict[str, Locator]:
    """Everything whose digest is needed: content that was not read here, and containers that are listed as such or
    cannot be opened, by its text. Packages that wait are not digested before they are overdue."""
    wanted: dict[str, Locator] = {}
    for candidate in found:
        package = candidate.package
        if candidate.waits and not candidate.overdue:
            continue
        whole = package.kind == "archive" and (completeness.CONTAINER in candidate.wanted or not package.members)
        if whole or (package.kind == "other"):
            wanted[package.container] = Locator(package.container)
        for member in package.payload:
            if member.read is None:
                wanted[member.key] = member.locator
    return wanted


def with_sha512(found: list[Candidate]) -> set[Locator]:
    """Files of bags whose only usable checksums are SHA-512."""
    return {
        member.locator
        for candidate in found
        if candidate.package.is_bag and any(algorithm == "sha512" for algorithm, _ in candidate.wanted.values())
        for member in candidate.package.payload
        if member.read is None and candidate.wanted.get(member.name, ("",))[0] == "sha512"
    }


def _conclude(candidate: Candidate, answers: Answers, as_of: datetime, rules: IngestRules) -> None:
    """Checksums, changes while reading, overdue waiting, the content's identity, and the report."""
    package = candidate.package
    if not candidate.waits and not candidate.reasons:
        candidate.waits = completeness.mismatches(package, candidate.wanted, answers.digests)
    if discovery.is_touched(package):
        candidate.waits.append("it changed while it was read")
        candidate.overdue = False
    if candidate.waits and candidate.overdue:
        hours = rules.data["waiting_hours"]
        candidate.reasons = [f"it is still not complete after {hours} hours", *candidate.waits, *candidate.reasons]
        candidate.waits, candidate.late = [], True
    if candidate.waits:
        return
    answers.give(package.payload)
    candidate.package_id = _package_id(package, answers, candidate.late)
    found, reasons = candidate.read
    candidate.reasons = list(dict.fromkeys([*candidate.reasons, *reasons]))
    if not candidate.reasons and found:
        candidate.report = found
        for member in media_rows.payload(package, found.member):
            if member.read is not None:  # a chat log or another text beside the report
                member.digests = member.read
        if package.left_out:
            left = f"{package.left_out} files that a desktop left behind are left out: name and content say so."
            found.draft.defect("/", left)
        for name in completeness.unlisted(package, candidate.wanted):
            found.draft.defect("/", "A file of the package is not in its checksum list.", name)


def _package_id(package: Package, answers: Answers, late: bool) -> str:
    """SHA-256 over the sorted names and contents; of the container where no member can be told.

    A package that is returned because it never became complete (`late`) has another id than the complete one.
    """
    top = "data/" if package.is_bag else ""
    lines = [f"{_content(m)}  {m.name.removeprefix(top)}\n" for m in package.payload]
    if not lines:
        whole = answers.digests.get(package.container)
        lines = [f"container {whole.sha256.hex() if whole else package.container}\n"]
    lines = ["incomplete\n"] * late + sorted(lines)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _content(member: Member) -> str:
    if member.read is not None:
        return member.sha256()
    return member.digests.sha256.hex() if member.digests else "unreadable"


def _readable(
    night: Night, rules: IngestRules, held: Held, arrivals: dict[str, tuple[Candidate, Arrival]], tables: Tables
) -> None:
    """Decide and make rows, reports before those that name them as earlier; empties `arrivals`. Counts also how many
    identifiers the reports give, how many of them could not be used (each is a defect), and how many a covert source's
    compartment holds."""
    counts = tables.counts
    counts.update(identifiers_given=0, identifiers_unusable=0, identifiers_withheld=0)
    held.look_up({container: arrival for container, (_, arrival) in arrivals.items()})
    for key in identity.in_order((key, arrival) for key, (_, arrival) in arrivals.items()):
        candidate, arrival = arrivals.pop(key)
        decision = identity.decide(arrival, held)
        found = candidate.report
        if found is None:
            continue
        content = media_rows.payload(candidate.package, found.member)
        corrects = held.corrected_by(key, found.sha256, found.draft.prior)
        if decision.state == "duplicate":
            row = _package_row(candidate, night, "duplicate", decision.referral_id, content, corrects=corrects)
            tables.add_package(row)
            continue
        if decision.supplements and SOURCES[found.reader.source].compartment is not None:
            held.personas.carry(found.draft, held.members[decision.supplements])
        held.personas.learn(decision.referral_id, found.draft.personas)
        context = Context(
            candidate.package,
            candidate.package_id,
            decision.referral_id,
            decision.supplements,
            rules,
            night.run_id,
            candidate.seen_at,
            corrects.clock_from if corrects else None,
        )
        made = rows.compose(found, context)
        counts["identifiers_given"] += found.draft.given_identifiers
        counts["identifiers_unusable"] += found.draft.unusable_identifiers
        counts["identifiers_withheld"] += found.draft.withheld_identifiers
        for name, listed in made.items():
            tables.add(name, listed)
        row = _package_row(candidate, night, decision.state, decision.referral_id, content, corrects=corrects)
        tables.add_package({**row, "defects": len(made["defects"])})


def _quarantined(candidate: Candidate, night: Night, held: Held) -> Row:
    """The row of a package that could not be read; `held` learns it, so that a correction keeps its clock."""
    container, content = candidate.package.container, media_rows.payload(candidate.package, None)
    corrects = held.corrected_by(container, _unread_sha256(candidate.package), ())
    row = _package_row(candidate, night, "quarantined", None, content, corrects=corrects)
    first = corrects or Returned(candidate.package_id, candidate.seen_at)
    held.put_back(candidate.package_id, container, row["report_sha256"], first)
    return row


def _arrival(candidate: Candidate) -> Arrival:
    found = candidate.report
    if found is None:
        raise ValueError("an arrival has a report")
    content = media_rows.payload(candidate.package, found.member)
    return Arrival(
        candidate.package_id,
        found.reader.source,
        found.draft.referral.get("source_reference"),
        found.sha256,
        tuple(found.draft.prior),
        frozenset(m.digests.sha256 for m in content if m.digests),
        identity.sender(found.reader.source, found.draft.referral.get("extension")),
    )


def _package_row(
    candidate: Candidate,
    night: Night,
    state: str,
    referral: str | None,
    content: list[Member],
    *,
    corrects: Returned | None,
) -> dict[str, Any]:
    found = candidate.report
    return {
        "package_id": candidate.package_id,
        "landing_folder": candidate.package.landing_folder,
        "container": candidate.package.container,
        "report_sha256": found.sha256 if found else _unread_sha256(candidate.package),
        "format": found.reader.name if found else None,
        "state": state,
        "referral_id": referral,
        "reasons": candidate.reasons,
        "first_seen": candidate.seen_at,
        "clock_from": corrects.clock_from if corrects else candidate.seen_at,
        "corrects": corrects.package_id if corrects else None,
        "files": len(content),
        "defects": 0,
        "run_id": night.run_id,
    }


def _unread_sha256(package: Package) -> str | None:
    """SHA-256 of the file that was most likely meant to be the report of a package in quarantine."""
    return next((m.sha256() for m in report.candidates(package) if m.read is not None), None)
