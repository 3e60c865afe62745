"""Tables of cases and of the work on them. People, sessions and the audit log are in `people_tables.py`.

Every change of these tables needs a migration in `migrations/versions/`; a test compares both.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Float, Integer, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.store import indexes
from pipeline.store.types import Base, JsonText


class Case(Base):
    """One case: one referral and everything that is known and decided about it.

    `band` is the band in force; `model_band` what the newest assessment says. They differ while a lowering waits
    for a person, and where a person decided otherwise (`person_band`, against `person_model_band`).
    """

    __tablename__ = "cases"

    case_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    referral_id: Mapped[str] = mapped_column(unique=True)
    source: Mapped[str]
    provider: Mapped[str | None]
    force_code: Mapped[str | None]
    compartment: Mapped[str | None]
    state: Mapped[str]
    is_open: Mapped[bool]
    outcome: Mapped[str | None]
    band: Mapped[str]
    band_order: Mapped[int]
    model_band: Mapped[str]
    score: Mapped[float]
    score_order: Mapped[float]
    person_band: Mapped[str | None]
    person_model_band: Mapped[str | None]
    assessment_id: Mapped[str]
    clock_start: Mapped[datetime]
    due_at: Mapped[datetime]
    oldest_at: Mapped[datetime | None]
    flagged: Mapped[bool]
    unacknowledged: Mapped[bool] = mapped_column(server_default=false(), default=False)
    """Whether a flag waits for somebody to record who was told (`duty_tables.Flag`)."""
    text_only: Mapped[bool]
    unknown_files: Mapped[int]
    matched_exact: Mapped[int]
    matched_near: Mapped[int]
    top_reasons: Mapped[list[str]] = mapped_column(JsonText)
    change_id: Mapped[int]
    opened_at: Mapped[datetime]
    opened_run: Mapped[str]
    changed_at: Mapped[datetime]
    changed_by: Mapped[str]
    holder: Mapped[str | None]
    claimed_at: Mapped[datetime | None]
    claim_expires_at: Mapped[datetime | None]
    team_id: Mapped[str | None]
    first_action_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    closed_band: Mapped[str | None]
    reopened_at: Mapped[datetime | None]
    reopen_reason: Mapped[str | None] = mapped_column(Text)
    kirat_level: Mapped[str | None]
    lowering_pending: Mapped[bool]
    second_look: Mapped[bool]
    retention_review_at: Mapped[datetime | None]
    version: Mapped[int]

    __table_args__ = tuple(indexes.of_cases())


class CaseReferral(Base):
    """Which case a referral belongs to: the one it opened, or the one it supplements."""

    __tablename__ = "case_referrals"

    referral_id: Mapped[str] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(index=True)


class Assessment(Base):
    """One version of a case's assessment, as the assess stage wrote it. All versions are kept."""

    __tablename__ = "assessments"

    assessment_id: Mapped[str] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(index=True)
    sequence: Mapped[int] = mapped_column(Integer)
    run_id: Mapped[str]
    assessed_at: Mapped[datetime]
    model: Mapped[str]
    band: Mapped[str]
    score: Mapped[float] = mapped_column(Float)
    band_if_known: Mapped[str]
    clock_start: Mapped[datetime]
    due_at: Mapped[datetime]
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(JsonText)
    unknowns: Mapped[list[dict[str, Any]]] = mapped_column(JsonText)
    flags: Mapped[list[dict[str, Any]]] = mapped_column(JsonText)
    notifications: Mapped[list[dict[str, Any]]] = mapped_column(JsonText)
    summary: Mapped[dict[str, Any]] = mapped_column(JsonText)
    inputs_sha256: Mapped[str]
    inputs: Mapped[str | None] = mapped_column(Text, deferred=True)  # several kB, read only to assess anew


class Link(Base):
    """Evidence that a case and another referral (or an entry of a list) concern the same person, device or file."""

    __tablename__ = "links"

    link_id: Mapped[str] = mapped_column(primary_key=True)
    left_referral: Mapped[str] = mapped_column(index=True)
    right_referral: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    strength: Mapped[str]
    compartment: Mapped[str | None]
    withdrawn: Mapped[bool]
    evidence: Mapped[Any] = mapped_column(JsonText)
    explanation: Mapped[str] = mapped_column(Text)
    run_id: Mapped[str]
    found_at: Mapped[datetime]

    __table_args__ = (indexes.restricted("ix_links_compartment"),)


class Change(Base):
    """What happened to a case, for "what changed since you last looked". Kinds: opened, raised, lowering_proposed,
    reassessed, new_link, joined, reopened, decision, note, claim, released."""

    __tablename__ = "changes"

    change_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    run_id: Mapped[str | None]
    by: Mapped[str]
    kind: Mapped[str]
    text: Mapped[str] = mapped_column(Text)
    compartment: Mapped[str | None]


class Seen(Base):
    """Up to which change a person has seen a case."""

    __tablename__ = "seen"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(primary_key=True)
    change_id: Mapped[int]
    at: Mapped[datetime]


class Note(Base):
    """A person's note."""

    __tablename__ = "notes"

    note_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    by: Mapped[str]
    text: Mapped[str] = mapped_column(Text)


class Decision(Base):
    """A person's decision with its reason code, and what it was based on."""

    __tablename__ = "decisions"

    decision_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    by: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    reason_code: Mapped[str]
    outcome: Mapped[str | None]
    note: Mapped[str | None] = mapped_column(Text)
    state_before: Mapped[str]
    state_after: Mapped[str]
    band_before: Mapped[str]
    band_after: Mapped[str]
    assessment_id: Mapped[str]


class Lowering(Base):
    """A proposal to lower a band: by the model (nightly) or by a person. Status: pending, approved, refused, withdrawn."""

    __tablename__ = "lowerings"

    lowering_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    assessment_id: Mapped[str]
    from_band: Mapped[str]
    to_band: Mapped[str]
    proposed_at: Mapped[datetime]
    proposed_by: Mapped[str]
    reason_code: Mapped[str]
    note: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(index=True)
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]


class InformationRequest(Base):
    """Information asked of the sender or a partner; the target's clock runs on."""

    __tablename__ = "information_requests"

    request_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    asked_at: Mapped[datetime]
    asked_by: Mapped[str]
    asked_of: Mapped[str]
    reason_code: Mapped[str]
    text: Mapped[str] = mapped_column(Text)
    state_before: Mapped[str]
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None]
    answer: Mapped[str | None] = mapped_column(Text)


class Transfer(Base):
    """A case offered to another force. It stays ours until `settled_at`: `accepted` says whether they took it."""

    __tablename__ = "transfers"

    transfer_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    by: Mapped[str]
    to_force: Mapped[str]
    recipient: Mapped[str]
    reason_code: Mapped[str]
    note: Mapped[str | None] = mapped_column(Text)
    settled_at: Mapped[datetime | None]
    settled_by: Mapped[str | None]
    accepted: Mapped[bool | None]
    accepted_by: Mapped[str | None]


class Kirat(Base):
    """A KIRAT result entered by a person: never computed here."""

    __tablename__ = "kirat"

    kirat_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    level: Mapped[str]
    tool_version: Mapped[str]
    assessor: Mapped[str]
    assessed_on: Mapped[date]
    entered_at: Mapped[datetime]
    entered_by: Mapped[str]


class RecordedAnswer(Base):
    """What a person found out about one fact of a case: yes, no, or unknown (which takes an earlier answer back).
    `source` is a code of answers/sources in policy/cases.yaml; `request_id` the request whose answer brought it."""

    __tablename__ = "answers"

    answer_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    fact: Mapped[str]
    value: Mapped[str]
    source: Mapped[str]
    found_on: Mapped[date]
    note: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[int | None]
    at: Mapped[datetime]
    by: Mapped[str]


class Review(Base):
    """A supervisor's review: due, and once done by whom and with which result."""

    __tablename__ = "reviews"

    review_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    rank: Mapped[str]
    due_at: Mapped[datetime] = mapped_column(index=True)
    done_at: Mapped[datetime | None]
    done_by: Mapped[str | None]
    reason_code: Mapped[str | None]
    note: Mapped[str | None] = mapped_column(Text)


class SecondLook(Base):
    """A case that somebody else should look at, and why. Kinds: kirat, person_below_model."""

    __tablename__ = "second_looks"

    second_look_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    text: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime]
    opened_by: Mapped[str]
    done_at: Mapped[datetime | None] = mapped_column(index=True)
    done_by: Mapped[str | None]
    reason_code: Mapped[str | None]
    note: Mapped[str | None] = mapped_column(Text)


class Notification(Base):
    """A notification due. `place` (work, child_home, suspect_home) is what the `authority`, or the other force of
    `force_code`, follows from. Once made: the `recipient`, a person, in which `post`, and who recorded it (`made_by`)."""

    __tablename__ = "notifications"

    notification_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    label: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    place: Mapped[str | None]
    authority: Mapped[str | None]
    force_code: Mapped[str | None]
    listed_at: Mapped[datetime]
    made_at: Mapped[datetime | None]
    made_by: Mapped[str | None]
    recipient: Mapped[str | None]
    post: Mapped[str | None]
    told_by: Mapped[str | None]
    told_at: Mapped[datetime | None]
    reason_code: Mapped[str | None]
    note: Mapped[str | None] = mapped_column(Text)


class Retention(Base):
    """A decision to keep a case longer, with the next review."""

    __tablename__ = "retention"

    retention_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    by: Mapped[str]
    reason_code: Mapped[str]
    note: Mapped[str | None] = mapped_column(Text)
    next_review_at: Mapped[datetime]


class Tombstone(Base):
    """What is left of an erased case: that it was there, who erased it, when and why. It is never published again."""

    __tablename__ = "tombstones"

    case_id: Mapped[str] = mapped_column(primary_key=True)
    referrals: Mapped[list[str]] = mapped_column(JsonText)
    compartment: Mapped[str | None]
    erased_at: Mapped[datetime]
    erased_by: Mapped[str]
    reason_code: Mapped[str]


class Publish(Base):
    """One nightly publish: its key (run and assessments), and what it counted."""

    __tablename__ = "publishes"

    key: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    counts: Mapped[dict[str, int]] = mapped_column(JsonText)
