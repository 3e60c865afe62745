"""What a new assessment does to a case. Pure: it changes the Case it is given and says what happened.

A raise takes effect at once. A lowering becomes a proposal. What a person decided stands until the assessment rises
above the level that it had when they decided. A closed or transferred case comes back when the policy says so.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipeline.cases import states, words
from pipeline.cases.publishing.intake import NewAssessment
from pipeline.cases.work import bands
from pipeline.store.rules import CaseRules
from pipeline.store.tables import Assessment, Case

NIGHT = "system"


@dataclass
class Effect:
    """What one assessment did: lines of history (kind, text, restricted) and what has to be written beside the case."""

    lines: list[tuple[str, str, bool]] = field(default_factory=list)
    propose: str | None = None
    withdraw: bool = False
    withdraw_all: bool = False
    reopened: bool = False
    second_look: str | None = None


def open_case(new: NewAssessment, compartment: str | None, as_of: datetime, run_id: str) -> Case:
    """A new case for its first assessment."""
    case = Case(
        case_id=new.row["case_id"],
        referral_id=new.row["referral_id"],
        compartment=compartment,
        person_band=None,
        person_model_band=None,
        opened_at=as_of,
        opened_run=run_id,
        lowering_pending=False,
        second_look=False,
        unacknowledged=False,
        change_id=0,
        version=0,
    )
    states.put(case, "new")
    bands.put(case, new.row["band"])
    case.due_at = new.row["due_at"]
    refresh(case, new, set())
    return case


def refresh(case: Case, new: NewAssessment, hidden: Collection[str]) -> None:
    """Take over what the queue shows. `hidden` are ids outside the case's compartment: what rests on them is left out."""
    row, summary = new.row, new.summary
    oldest = summary.get("oldest_at")
    secret = restricted_labels([*new.reasons, *new.flags], hidden)
    shown = {
        "source": str(summary.get("source") or "OTHER"),
        "provider": summary.get("provider"),
        "force_code": summary.get("force_code"),
        "model_band": row["band"],
        "score": row["score"],
        "score_order": -row["score"],
        "assessment_id": row["assessment_id"],
        "clock_start": row["clock_start"],
        "oldest_at": datetime.fromisoformat(oldest) if oldest else None,
        "text_only": bool(summary.get("text_only")),
        "unknown_files": int(summary.get("unknown_files") or 0),
        "matched_exact": int(summary.get("matched_exact") or 0),
        "matched_near": int(summary.get("matched_near") or 0),
        "flagged": any(flag["label"] not in secret for flag in new.flags),
        "top_reasons": [label for label in summary.get("top_reasons") or [] if label not in secret],
    }
    for name, value in shown.items():
        if (
            getattr(case, name) != value
        ):  # most stay as they are, and each that is set is looked at again when it is written
            setattr(case, name, value)


def apply(
    case: Case,
    previous: Assessment | None,
    new: NewAssessment,
    policy: CaseRules,
    *,
    hidden: Collection[str],
    releases: Collection[str],
) -> Effect:
    """Apply a newer assessment to an existing case. `releases`: those of match evidence that is new with it."""
    effect = Effect()
    was_model, was_score, was_band = case.model_band, case.score, case.band
    refresh(case, new, hidden)
    secret = restricted_labels([*new.reasons, *new.flags], hidden)
    if previous is not None:
        secret |= restricted_labels([*previous.reasons, *previous.flags], hidden)
    rose = new.row["score"] > (previous.score if previous else was_score)
    told = release_words(releases, newly_known(previous, new)) if releases else []
    if not case.is_open:
        _closed(case, new, policy, effect, told=told if rose else [], secret=secret)
    elif case.person_band is not None:
        _decided_by_person(case, new, policy, effect, rose)
    else:
        _decided_by_model(case, new, effect)
    if case.band != was_band:
        effect.lines.insert(0, ("raised", f"Band raised from {words.band(was_band)} to {words.band(case.band)}", False))
    if told:
        effect.lines.insert(0, ("release", ": ".join(told), False))
    now = new.row["band"]
    band = f"the band stays {words.band(now)}" if now == was_model else f"{words.band(was_model)} to {words.band(now)}"
    effect.lines += _labels(new, secret, fallback=f"Assessed again: {band}, reasons and flags are the same")
    if more := _held_back(new.summary) - _held_back(previous.summary if previous else {}):
        effect.lines.append(("reassessed", f"More of it came and is in quarantine: {'; '.join(sorted(more))}", False))
    return effect


def _held_back(summary: dict[str, Any]) -> set[str]:
    return set(summary.get("quarantined_packages") or ())


def _decided_by_model(case: Case, new: NewAssessment, effect: Effect) -> None:
    band = new.row["band"]
    if bands.higher(case.band, band):
        effect.propose = band
        return
    effect.withdraw = case.lowering_pending
    if bands.higher(band, case.band):
        effect.withdraw_all = True
        bands.put(case, band)
    case.due_at = new.row["due_at"]


def _decided_by_person(case: Case, new: NewAssessment, policy: CaseRules, effect: Effect, rose: bool) -> None:
    band, level = new.row["band"], case.person_model_band or case.band
    if bands.higher(band, case.band) and bands.higher(band, level):
        case.person_band = case.person_model_band = None
        bands.put(case, band)
        case.due_at = min(case.due_at, new.row["due_at"])
        effect.withdraw = effect.withdraw_all = True
    elif bands.higher(case.band, band) and bands.higher(level, band):
        effect.propose = band
    else:
        effect.withdraw = case.lowering_pending
        wanted = policy.data["supervision"]["second_look"]["person_below_model_on_new_evidence"]
        if wanted and rose and bands.higher(band, case.band):
            effect.second_look = (
                f"New evidence on a case that a person holds at {words.band(case.band)}; assessed {words.band(band)}"
            )


def _closed(
    case: Case, new: NewAssessment, policy: CaseRules, effect: Effect, *, told: list[str], secret: Collection[str]
) -> None:
    """Whether a case that is out of the queue comes back, and why. `told`: what a new release changed for it."""
    band, ended = new.row["band"], case.closed_band or case.band
    raised = bands.higher(band, ended)
    rules = policy.data["reopen"]
    if not ((raised and rules["on_band_raise"]) or (told and rules["on_new_match"])):
        return
    effect.reopened = effect.withdraw_all = True
    labels = [*(new.changes.get("reasons_new") or []), *(new.changes.get("reasons_raised") or [])]
    gained = [label for label in labels if label not in secret]
    why, *more = told or [f"raised from {words.band(ended)} to {words.band(band)}"]
    case.reopen_reason = f"{why}: {'; '.join([*more, *gained])}" if more or gained else why
    if raised:
        case.person_band = case.person_model_band = None
        bands.put(case, band)
    elif bands.higher(band, case.band):
        effect.second_look = (
            f"New evidence on a case that a person held at {words.band(case.band)}; assessed {words.band(band)}"
        )
    states.put(case, "new")
    case.due_at = new.row["due_at"]


def newly_known(previous: Assessment | None, new: NewAssessment) -> int:
    """Files of the case that match now and did not in the version before."""
    before = previous.summary if previous is not None else {}
    now = [int(s.get("matched_exact") or 0) + int(s.get("matched_near") or 0) for s in (before, new.summary)]
    return max(0, now[1] - now[0])


def release_words(releases: Collection[str], files: int) -> list[str]:
    """What a new release of known hashes changed: "new in release 14", "3 files of this case are now known"."""
    words = [f"new in release {', '.join(sorted(releases))}"]
    if files:
        words.append("1 file of this case is now known" if files == 1 else f"{files} files of this case are now known")
    return words


def restricted_labels(items: list[dict[str, Any]], hidden: Collection[str]) -> set[str]:
    """Labels of reasons and flags all of whose evidence is hidden."""
    if not hidden:
        return set()
    return {
        item["label"]
        for item in items
        if (rows := item.get("evidence")) and all(str(row.get("id")) in hidden for row in rows)
    }


def _labels(new: NewAssessment, secret: Collection[str], fallback: str) -> list[tuple[str, str, bool]]:
    lines: list[tuple[str, str, bool]] = []
    for key, said in (
        ("reasons_new", "New"),
        ("reasons_raised", "Stronger"),
        ("flags_new", "New flag"),
        ("reasons_lowered", "Weaker"),
        ("reasons_gone", "Gone"),
        ("flags_gone", "Flag gone"),
    ):
        for restricted in (False, True):
            labels = [label for label in new.changes.get(key) or [] if (label in secret) is restricted]
            if labels:
                lines.append(("reassessed", f"{said}: {'; '.join(labels)}", restricted))
    return lines or [("reassessed", fallback, False)]


def match_evidence(reasons: list[dict[str, Any]]) -> set[str]:
    """Ids of match rows among the evidence of reasons."""
    return {
        str(row["id"])
        for reason in reasons
        for row in reason.get("evidence") or []
        if row.get("table") == "matches" and "id" in row
    }
