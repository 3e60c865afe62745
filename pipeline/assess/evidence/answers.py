"""What people found out about a case, laid over what its referrals state.

An answer says yes, no or unknown to one fact; the newest answer to a fact holds, and `unknown` takes an earlier one back.
A yes counts like a stated yes. A no settles what nobody has stated; it never silences a yes of a referral or of a list
of the force: that the sender is wrong is a decision about the band, which takes two people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.assess.evidence.inputs import NO, UNKNOWN, YES, Answer, CaseFile, EvidenceRow
from pipeline.errors import IntegrityError
from pipeline.lake import Lake

TABLE = "answers"
VALUES = (YES, NO, UNKNOWN)


def held(rows: Iterable[Mapping[str, Any]]) -> dict[str, Answer]:
    """The answers that hold, by fact. `rows` have answer_id, fact, value, source and found_on, in any order."""
    newest: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        before = newest.get(row["fact"])
        if before is None or row["answer_id"] > before["answer_id"]:
            newest[row["fact"]] = row
    return {fact: _answer(row) for fact, row in sorted(newest.items()) if row["value"] != UNKNOWN}


def _answer(row: Mapping[str, Any]) -> Answer:
    evidence = (
        EvidenceRow(TABLE, str(row["answer_id"]), f"answered {row['value']}: {row['source']}, {row['found_on']}"),
    )
    return Answer(YES, 1.0, evidence, 1) if row["value"] == YES else Answer(NO, 0.0, evidence, 0)


def lay_over(case: CaseFile, answers: Mapping[str, Answer]) -> None:
    """Put `answers` in the place of those that the case has now; no answers restore what was stated."""
    for name in case.answers:
        if name in case.overlaid:
            case.facts[name] = case.overlaid[name]
        else:
            case.facts.pop(name, None)
    case.answers = dict(answers)
    case.overlaid = {name: case.facts[name] for name in answers if name in case.facts}
    for name, answer in answers.items():
        case.facts[name] = _both(case.overlaid.get(name), answer)


def _both(stated: Answer | None, answer: Answer) -> Answer:
    if stated is None or stated.value == NO:
        return answer
    if answer.value == NO:
        return stated
    return Answer(YES, 1.0, (*answer.rows, *stated.rows), 1 + (stated.total or len(stated.rows)))


def of_cases(lake: Lake) -> dict[str, list[dict[str, Any]]]:
    """Every answer that the lake holds, by the case for which it was given."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in lake.read(TABLE).to_pylist():
        found.setdefault(row["case_id"], []).append(row)
    return found


def restored(inputs: str | None, case_id: str) -> CaseFile | None:
    """The case file that an assessment was made from (`inputs` of schemas/records/assessments.json); None for a row of an
    older version, which has none. Raises IntegrityError when it cannot be read."""
    if inputs is None:
        return None
    try:
        return CaseFile.from_content(inputs)
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(
            f"What case {case_id} was assessed from cannot be read.", "Run the assess stage again."
        ) from error
