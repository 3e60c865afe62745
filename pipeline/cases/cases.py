"""Reading a case (always logged), and the steps that every change of a case shares."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, select
from sqlalchemy.orm import Session

from pipeline import britishtime
from pipeline.cases import groups, words
from pipeline.errors import ConflictError, UsageError
from pipeline.people import permissions, users
from pipeline.store import recording as audit
from pipeline.store import refusals
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.tables import Case, Change, Decision, Note

NOTE_LIMIT = 10_000
"""Characters of a note or of a text with a decision."""
_FOUND = select(Case).where(Case.case_id == bindparam("case")).execution_options(populate_existing=True)
_LOCKED = _FOUND.with_for_update()
"""Asked at every look and every deed, so built once."""


def find(session: Session, actor: Actor, case_id: str, action: str, *, lock: bool = False) -> Case:
    """The case, if the actor may do `action` with it. With `lock`, nobody else can change it until the commit.

    Raises UsageError where it does not exist (for this person), PermissionDeniedError by role.
    """
    case = session.scalar(_LOCKED if lock else _FOUND, {"case": case_id})
    if case is None:
        permissions.require(actor, action)
        raise refusals.no_such_case(case_id)
    permissions.require(actor, action, case)
    return case


def for_change(session: Session, actor: Actor, case_id: str, action: str, version: int) -> Case:
    """The case, locked, if nobody else has changed it since the actor saw it.

    Raises ConflictError saying who changed it and when, if its version is not `version` any more.
    """
    case = find(session, actor, case_id, action, lock=True)
    if not _only_by(session, actor, case, version):
        check_version(session, case, version)
    return case


def _only_by(session: Session, actor: Actor, case: Case, version: int) -> bool:
    """Whether all that changed since `version` is the actor's own work, as when somebody has a case open twice."""
    since = case.version - version
    if since <= 0:
        return False
    newest = select(Change.by).where(Change.case_id == case.case_id).order_by(Change.change_id.desc()).limit(since)
    by = session.scalars(newest).all()
    return len(by) == since and set(by) == {actor.user_id}


def check_version(session: Session, case: Case, version: int) -> None:
    """Raises ConflictError if the case has changed since version `version` was read."""
    if case.version != version:
        raise ConflictError(
            f"Case {case.case_id} was changed by {users.name_of(session, case.changed_by)} on {britishtime.moment(case.changed_at)}, "
            f"after you opened it (version {version}; it is now at version {case.version}).",
            "Nothing of yours was saved. Look at what changed, and decide again.",
        )


def require_holder(session: Session, actor: Actor, case: Case) -> None:
    """Work on a case is for the one who holds it; a supervisor may step in. Raises ConflictError otherwise."""
    if "supervisor" in actor.roles or holds(case, actor.user_id, now(session)):
        return
    if case.holder and not expired(case, now(session)):
        holder = users.name_of(session, case.holder)
        raise ConflictError(f"Case {case.case_id} is held by {holder}.", "Ask them, or a supervisor to allocate it.")
    raise ConflictError(f"Case {case.case_id} is not held by you.", "Claim it first.")


def holds(case: Case, user_id: str, moment: datetime) -> bool:
    """Whether the person's claim is in force."""
    return case.holder == user_id and not expired(case, moment)


def expired(case: Case | Row[Any], moment: datetime) -> bool:
    """Whether the claim has lapsed. Only cases nobody has begun to work on lapse."""
    return case.state == "allocated" and case.claim_expires_at is not None and case.claim_expires_at <= moment


def changed(
    session: Session,
    actor: Actor,
    case: Case,
    kind: str,
    text: str,
    *,
    work: bool = True,
    compartment: str | None = None,
) -> None:
    """Note that a case changed: a line of its history, its version, and with `work` the claim's new term."""
    moment = now(session)
    change = Change(
        case_id=case.case_id, at=moment, run_id=None, by=actor.user_id, kind=kind, text=text, compartment=compartment
    )
    session.add(change)
    session.flush()
    case.change_id = change.change_id
    case.changed_at, case.changed_by = moment, actor.user_id
    case.version += 1
    if work and case.holder == actor.user_id and case.is_open:
        case.claim_expires_at = moment + rules(session).claim_time
    groups.follow(session, case)


def decide(
    session: Session,
    actor: Actor,
    case: Case,
    kind: str,
    reason_code: str,
    *,
    before: tuple[str, str],
    note: str | None = None,
    outcome: str | None = None,
) -> Decision:
    """Write a decision, its line of history and its audit entry. `before` is (state, band) as they were.

    The note's text stays in the case, not in the audit log.
    """
    decision = Decision(
        case_id=case.case_id,
        at=now(session),
        by=actor.user_id,
        kind=kind,
        reason_code=reason_code,
        outcome=outcome,
        note=note_text(note),
        state_before=before[0],
        state_after=case.state,
        band_before=before[1],
        band_after=case.band,
        assessment_id=case.assessment_id,
    )
    session.add(decision)
    changed(session, actor, case, "decision", words.decided(rules(session), kind, reason_code))
    if case.first_action_at is None:
        case.first_action_at = decision.at
    detail: dict[str, Any] = {"state": [before[0], case.state], "band": [before[1], case.band]}
    if outcome:
        detail["outcome"] = outcome
    audit.record(
        session, actor, "alteration", f"decision.{kind}", case_id=case.case_id, reason=reason_code, detail=detail
    )
    return decision


def note_text(text: str | None) -> str | None:
    """A note without surrounding white space; None when empty. Raises UsageError when longer than NOTE_LIMIT."""
    stripped = (text or "").strip()
    if len(stripped) > NOTE_LIMIT:
        raise UsageError(f"The note has {len(stripped)} characters; {NOTE_LIMIT} are possible.")
    return stripped or None


def demanded_note(text: str | None) -> str:
    """A note that may not be empty. Raises UsageError."""
    stripped = note_text(text)
    if stripped is None:
        raise UsageError("A note is needed for this.", "Say in a sentence why.")
    return stripped


def add_note(session: Session, actor: Actor, case_id: str, text: str, *, version: int) -> Note:
    """Add a note to a case."""
    case = for_change(session, actor, case_id, "case.note", version)
    note = Note(case_id=case_id, at=now(session), by=actor.user_id, text=demanded_note(text))
    session.add(note)
    changed(session, actor, case, "note", "Note added")
    session.flush()
    audit.record(session, actor, "alteration", "note.added", case_id=case_id, object_=f"note:{note.note_id}")
    return note
