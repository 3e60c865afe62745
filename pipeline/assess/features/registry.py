"""The table of declared features: one pure function each, whose docstring is the explanation that the analyst reads."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.assess.evidence.counters import BEFORE
from pipeline.assess.evidence.inputs import NO, NOT_KNOWN, NOT_SO, YES, Answer, CaseFile, EvidenceRow, Reading
from pipeline.errors import TriageError

Function = Callable[[CaseFile, Reading], Answer]


@dataclass(frozen=True)
class Feature:
    """One declared feature. `facts` are the names of policy/facts.yaml that it reads; `graded` means that a yes can
    count for less than the whole weight; `personal` that the answer is about the suspect as a person; `plain` that it
    is exactly the fact of its own name, which the model looks up without calling the function."""

    name: str
    family: str
    label: str
    question: str
    explanation: str
    facts: tuple[str, ...]
    graded: bool
    personal: bool
    plain: bool
    function: Function


FEATURES: dict[str, Feature] = {}
"""All features by name, in the order in which they are declared."""


def feature(
    family: str,
    label: str,
    question: str,
    *,
    facts: Iterable[str] = (),
    graded: bool = False,
    personal: bool = False,
    plain: bool = False,
) -> Callable[[Function], Function]:
    """Declare the decorated function as a feature. Raises TriageError when it has no docstring or its name is taken."""

    def declare(function: Function) -> Function:
        name = function.__name__
        explanation = " ".join((inspect.getdoc(function) or "").split())
        if not explanation or name in FEATURES:
            raise TriageError(f"Feature {name} has no explanation or is declared twice.")
        FEATURES[name] = Feature(
            name, family, label, question, explanation, tuple(facts), graded, personal, plain, function
        )
        return function

    return declare


def stated(family: str, name: str, label: str, question: str, explanation: str, *, personal: bool = False) -> None:
    """Declare a feature that is exactly one stated fact; most are."""

    def read(case: CaseFile, _: Reading) -> Answer:
        return case.facts.get(name, NOT_KNOWN)

    read.__name__ = name
    read.__doc__ = explanation
    feature(family, label, question, facts=[name], personal=personal, plain=True)(read)


def any_of(case: CaseFile, names: Iterable[str]) -> Answer:
    """Yes when one of the facts is yes; no when all are no; else unknown."""
    answers = [case.fact(name) for name in names]
    found = [a for a in answers if a.value == YES]
    if found:
        return Answer(YES, 1.0, tuple(r for a in found for r in a.rows), sum(a.total or len(a.rows) for a in found))
    return NOT_SO if all(a.value == NO for a in answers) else NOT_KNOWN


def counted(case: CaseFile, counter: str, table: str, note: str, reading: Reading) -> Answer:
    """Yes when the counter is not zero. The first file counts `first`, growing with the logarithm of the number
    and complete at `saturation`, so that ten thousand files weigh no more than fifty."""
    number = _number(case, counter)
    if not number:
        return NOT_SO
    share = min(1.0, reading.first + (1 - reading.first) * math.log(number) / math.log(reading.saturation))
    return Answer(YES, round(share, 4), sampled(case, counter, table, note), number)


def present(case: CaseFile, counter: str, table: str, note: str) -> Answer:
    """Yes, in full, when the counter is not zero."""
    number = _number(case, counter)
    return Answer(YES, 1.0, sampled(case, counter, table, note), number) if number else NOT_SO


def sampled(case: CaseFile, counter: str, table: str, note: str) -> tuple[EvidenceRow, ...]:
    """The sample of rows kept for a counter, as evidence; those that it held only when the case came in are behind."""
    rows = [EvidenceRow(table, row, note) for row in case.samples.get(counter, ())]
    then = case.samples.get(counter + BEFORE, ())
    return tuple(rows + [EvidenceRow(table, row, f"{note} when it came in; found since") for row in then])


def _number(case: CaseFile, counter: str) -> int:
    """Files that have the counter, and those that had it when the case came in: a match that is found later adds to the
    case and takes nothing from it."""
    return case.counts.get(counter, 0) + case.counts.get(counter + BEFORE, 0)


def either(first: Answer, second: Answer) -> Answer:
    """Two sources of one answer: a yes from either, with the rows of both; unknown unless one of them settles it.

    A no of the files does not settle what a fact leaves unknown: `second` decides only by a yes.
    """
    if first.value == YES and second.value == YES:
        rows = first.rows + second.rows
        total = (first.total or len(first.rows)) + (second.total or len(second.rows))
        return Answer(YES, max(first.share, second.share), rows, total)
    return second if second.value == YES else first
