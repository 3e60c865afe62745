"""Facts that the persons of a report say by their ages, occupations and addresses, without anybody stating them.

A suspect or a victim under an age, a victim at the suspect's address, a profession in the occupation's words: each is a
yes to a fact of policy/facts.yaml with the person's row as its evidence. None of them ever says no.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import duckdb
import pyarrow as pa

from pipeline.assess import database
from pipeline.assess.evidence.inputs import YES, Answer, CaseFile, EvidenceRow

NOTES = {
    "suspect_is_child": "the suspect's age or date of birth",
    "young_victim": "the child victim's age or date of birth",
    "victim_at_address": "the child victim's address is the suspect's",
}
OCCUPATION = "the suspect's stated occupation"


def occupations(words: Mapping[str, Sequence[str]]) -> pa.Table:
    """Columns fact and word (a regular expression that matches the word itself) from the policy."""
    pairs = [(fact, re.escape(word)) for fact, listed in words.items() for word in listed]
    return pa.table({"fact": pa.array([f for f, _ in pairs]), "word": pa.array([w for _, w in pairs])})


def found(con: duckdb.DuckDBPyConnection, young: int, sample: int) -> dict[str, list[tuple[str, list[str], int]]]:
    """Case to what its persons say: fact, some subject rows, how many in all. Reads the tables persons, members, received,
    homes_stated and occupations of the connection."""
    con.execute(database.macros())
    rows = database.query(con, database.sql("case_people", young=young, sample=sample))
    result: dict[str, list[tuple[str, list[str], int]]] = {}
    columns = (rows[c].to_pylist() for c in ("case_id", "name", "rows", "total"))
    for case, name, subjects, total in zip(*columns, strict=True):
        result.setdefault(case, []).append((name, subjects, total))
    return result


def add(case: CaseFile, said: Iterable[tuple[str, list[str], int]]) -> None:
    """Put what the persons say beside what is stated: a yes of either is a yes, with the rows of both."""
    for name, subjects, total in said:
        rows = tuple(EvidenceRow("subjects", s, NOTES.get(name, OCCUPATION)) for s in subjects)
        before = case.facts.get(name)
        if before is not None and before.value == YES:
            case.facts[name] = Answer(YES, 1.0, (*before.rows, *rows), (before.total or len(before.rows)) + total)
        else:
            case.facts[name] = Answer(YES, 1.0, rows, total)
