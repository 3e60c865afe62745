"""A case as flat rows for the command line: part, what, detail, evidence. Moments are in British time.

These rows are sentences for people in every output format: people by their names, decisions and reasons in the policy's words. Columns
for programs are in `triage queue list`, the HTTP API and the reporting tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.assess.models.explain import if_known
from pipeline.britishtime import moment
from pipeline.cases import words
from pipeline.cases.views.case import CaseView
from pipeline.store.rules import CaseRules


def rows(seen: CaseView, policy: CaseRules, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Everything that a person may see of the case: first what counts, then what is open, then what was done.

    `names`: whom an account is of.
    """

    def person(account: str) -> str:
        return names.get(account, account)

    for what, detail in _head(seen, policy, person).items():
        if detail is not None:
            yield _row("case", what, str(detail))
    for flag in seen.flags:
        yield _row("flag", flag.get("label", ""), flag.get("reason", ""), flag)
    for reason in seen.reasons:
        text = f"{reason.get('contribution', 0):+g}: {reason.get('explanation', '')}"
        yield _row("reason", reason.get("label", ""), text, reason)
    for item in seen.unknowns:
        yield _row("unknown", item.get("question", ""), if_known(item))
    yield from _open(seen, policy, person)
    for link in seen.links:
        yield _row("link", f"{link.strength} {link.kind}", f"{link.other_case or link.other}: {link.explanation}")
    for d in seen.decisions:
        outcome = f", outcome: {words.outcome(policy, d.outcome)}" if d.outcome else ""
        said = f"{words.decided(policy, d.kind, d.reason_code)}{outcome}{f': {d.note}' if d.note else ''}"
        yield _row("decision", f"{moment(d.at)} {person(d.by)}", said)
    for note in seen.notes:
        yield _row("note", f"{moment(note.at)} {person(note.by)}", note.text)
    new = {change.change_id for change in seen.changes}
    for change in seen.history:
        part = "new" if change.change_id in new else "history"
        yield _row(part, f"{moment(change.at)} {person(change.by)}", words.changed(change.kind, change.text, person))


def _head(seen: CaseView, policy: CaseRules, person: Callable[[str], str]) -> dict[str, Any]:
    case, newest = seen.case, seen.assessment
    kirat = seen.kirat[-1] if seen.kirat else None
    return {
        "case": case.case_id,
        "version": case.version,
        "band": case.band,
        "band of the assessment": case.model_band if case.model_band != case.band else None,
        "band if every unknown turned out badly": newest.band_if_known,
        "score": case.score,
        "KIRAT (entered)": kirat
        and f"{words.band(kirat.level)}, version {kirat.tool_version}, by {kirat.assessor} on {kirat.assessed_on}",
        "state": words.band(case.state) + (f": {words.outcome(policy, case.outcome)}" if case.outcome else ""),
        "urgency": seen.urgency if case.is_open else None,
        "retention review": case.retention_review_at and f"{case.retention_review_at:%Y-%m-%d}",
        "due": f"{moment(case.due_at)}, counted from {moment(case.clock_start)}",
        "holder": case.holder and person(case.holder),
        "source": case.source,
        "back in the queue": case.reopen_reason,
        "model": f"{newest.model}; assessment {newest.sequence} of run {newest.run_id}",
        "inputs": newest.inputs_sha256,
    }


def _open(seen: CaseView, policy: CaseRules, person: Callable[[str], str]) -> Iterator[dict[str, Any]]:
    """What waits for somebody."""
    for package in seen.summary.get("quarantined_packages") or ():
        yield _row("waits", "package in quarantine", f"{package}: more of this case came and could not be read")
    for raised in seen.escalations:
        told = (
            f"{raised.told_to} was told by {person(raised.told_by or '')} on {moment(raised.told_at)}"
            if raised.told_at
            else ""
        )
        by = f"flag {raised.flag_id}: tell the {raised.role} ({raised.post}) by {moment(raised.due_at)}"
        yield _row(
            "waits" if raised.waiting else "told", raised.label, by if raised.waiting else told or raised.note or ""
        )
    for due in seen.notifications:
        said = (
            f"{words.any_reason(policy, due.reason_code)} {moment(due.made_at)}"
            if due.made_at
            else f"number {due.notification_id}: {due.reason}"
        )
        if due.told_at is not None:
            said = f"{due.recipient} ({due.post}) was told by {person(due.told_by or '')} on {moment(due.told_at)}"
        yield _row("notify", due.label, said)
    if seen.lowering is not None:
        asked_by, why = person(seen.lowering.proposed_by), words.reason(policy, "lower_band", seen.lowering.reason_code)
        yield _row("waits", "lowering", f"to {words.band(seen.lowering.to_band)}, proposed by {asked_by}: {why}")
    for look in seen.second_looks:
        if look.done_at is None:
            yield _row("waits", "second look", look.text)
    for asked in seen.requests:
        if asked.answered_at is None:
            yield _row("waits", f"information from {asked.asked_of}", asked.text)
    for review in seen.reviews:
        if review.done_at is None:
            yield _row("waits", f"review by {review.rank}", f"due {moment(review.due_at)}")


def _row(part: str, what: str, detail: str, with_evidence: dict[str, Any] | None = None) -> dict[str, Any]:
    evidence = (with_evidence or {}).get("evidence") or []
    listed = [f"{e.get('table', '')} {e.get('id', '')}".strip() for e in evidence]
    more = (with_evidence or {}).get("evidence_total", len(listed)) - len(listed)
    return {
        "part": part,
        "what": what,
        "detail": detail,
        "evidence": "; ".join(listed + ([f"and {more} more"] if more > 0 and listed else [])),
    }
