"""Answers to the open questions of a case: what a person found out, where and when. The case is assessed anew at once.

An answer is never changed: a later one to the same fact takes its place, and `unknown` takes it back. All of them stay
in the case's history and in the audit log. A yes counts like a stated yes; a no settles what nobody stated, and does not
silence a sender's yes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline import policy
from pipeline.assess.evidence.answers import VALUES
from pipeline.assess.features import FEATURES
from pipeline.cases import cases
from pipeline.cases.publishing import reassess
from pipeline.errors import UsageError
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules, store
from pipeline.store.tables import Assessment, Case, RecordedAnswer


@dataclass(frozen=True)
class Given:
    """One answer as a person gives it. `fact` is a name of policy/facts.yaml, or of a feature that reads one fact only;
    `value` yes, no or unknown; `source` a code of answers/sources in policy/cases.yaml."""

    fact: str
    value: str
    source: str
    found_on: date
    note: str | None = None


@dataclass(frozen=True)
class Question:
    """One open question of a case's newest assessment: the facts that settle it (empty where only files do), and where a
    no and a yes would lead."""

    feature: str
    question: str
    facts: tuple[str, ...]
    band_if_no: str | None
    band_if_yes: str | None
    flags_if_yes: tuple[str, ...]


def questions(session: Session, actor: Actor, case_id: str) -> list[Question]:
    """What is not known of the case, the most telling first. Not a look at the case: nothing of it is shown but that.

    Raises UsageError where the case does not exist (for this person).
    """
    case = cases.find(session, actor, case_id, "case.read")
    newest = session.get_one(Assessment, case.assessment_id)
    return [open_question(row) for row in newest.unknowns]


def open_question(row: dict[str, Any]) -> Question:
    """A question from a row of an assessment's `unknowns`. A feature that exists no more has no facts."""
    feature = FEATURES.get(row["feature"])
    return Question(
        row["feature"],
        row["question"],
        feature.facts if feature else (),
        row.get("band_if_no"),
        row.get("band_if_yes"),
        tuple(row.get("flags_if_yes") or ()),
    )


def record(session: Session, actor: Actor, case_id: str, given: Given, *, version: int) -> RecordedAnswer:
    """Record one answer and assess the case anew.

    Raises UsageError for a fact, value, source or day that cannot be, ConflictError as every change.
    """
    case = cases.for_change(session, actor, case_id, "case.answer", version)
    return record_all(session, actor, case, [given])[0]


def record_all(
    session: Session, actor: Actor, case: Case, given: Sequence[Given], *, request_id: int | None = None
) -> list[RecordedAnswer]:
    """Record answers to a case that is locked for change, and assess it anew once. `request_id`: the request for
    information that brought them."""
    rows = [_row(session, actor, case, one, request_id) for one in given]
    session.add_all(rows)
    session.flush()
    words = known_facts(session)
    for row in rows:
        where = rules(session).data["answers"]["sources"][row.source]
        text = f"Answered {row.value}: {words[row.fact]} ({where}, {row.found_on})"
        cases.changed(session, actor, case, "answer", text)
        audit.record(
            session,
            actor,
            "collection",
            "answer.recorded",
            case_id=case.case_id,
            object_=f"answer:{row.answer_id}",
            detail={"fact": row.fact, "value": row.value, "source": row.source, "found_on": row.found_on.isoformat()},
        )
    reassess.case(session, actor, case)
    return rows


def history(session: Session, actor: Actor, case_id: str) -> Sequence[RecordedAnswer]:
    """Every answer given for a case, oldest first."""
    cases.find(session, actor, case_id, "case.read")
    return session.scalars(
        select(RecordedAnswer).where(RecordedAnswer.case_id == case_id).order_by(RecordedAnswer.answer_id)
    ).all()


def known_facts(session: Session) -> dict[str, str]:
    """Names of policy/facts.yaml with the sentence of each."""
    facts: dict[str, str] = policy.load(store(session).settings, "facts").data["facts"]
    return facts


def _row(session: Session, actor: Actor, case: Case, given: Given, request_id: int | None) -> RecordedAnswer:
    sources = rules(session).data["answers"]["sources"]
    if given.source not in sources:
        raise UsageError(f"{given.source!r} is not a source of answers.", f"Sources: {', '.join(sorted(sources))}.")
    if given.value not in VALUES:
        raise UsageError(f"{given.value!r} is not an answer.", f"Answers: {', '.join(VALUES)}.")
    if given.found_on > now(session).date():
        raise UsageError("The day on which it was found out lies in the future.")
    return RecordedAnswer(
        case_id=case.case_id,
        fact=fact_named(session, given.fact),
        value=given.value,
        source=given.source,
        found_on=given.found_on,
        note=cases.note_text(given.note),
        request_id=request_id,
        at=now(session),
        by=actor.user_id,
    )


def fact_named(session: Session, name: str) -> str:
    """The fact of that name, or the one fact that the feature of that name reads. Raises UsageError naming what fits."""
    known = known_facts(session)
    if name in known:
        return name
    facts = FEATURES[name].facts if name in FEATURES else ()
    if len(facts) == 1:
        return facts[0]
    if facts:
        raise UsageError(f"{name!r} is settled by several facts.", f"Answer one of: {', '.join(facts)}.")
    if name in FEATURES:
        raise UsageError(f"{name!r} follows from the files and cannot be answered.", "Add a note instead.")
    raise UsageError(f"There is no fact {name!r}.", f"Facts: {', '.join(sorted(known))}.")
