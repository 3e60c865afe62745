"""A case in three lines: who, what, next."""

from __future__ import annotations

from typing import Any

from pipeline.console.casepage import summary


def data(**over: Any) -> dict[str, Any]:
    suspect = {"role": "suspect", "name": "Robin Sample", "date_of_birth": "1980-01-01", "identifiers": [{}, {}]}
    child = {"role": "victim", "name": None, "approximate_age": 11}
    given = {
        "subjects": [suspect, child],
        "assessment": {"reasons": [{"label": "Abuse happening now"}, {"label": "Registered sex offender"}]},
        "files": [{"files": [{}, {}], "matches": [{}]}, {"files": [{}], "matches": []}],
        "file_count": 3,
        "case": {"is_open": True, "state": "allocated", "holder": "ana"},
        "notifications": [{"label": "LADO", "made_at": None}],
        "escalations": [],
        "lowering": None,
        "requests": [],
    }
    return given | over


def test_the_three_lines() -> None:
    assert dict(summary.lines(data())) == {
        "Who": "Suspect: Robin Sample, born 1980-01-01, 2 identifiers. Child: 1 child, age 11.",
        "What": "Abuse happening now; Registered sex offender. 3 files, 2 with a match in the known-hash store.",
        "Next": "Notify: LADO; Start an enquiry, ask, or close.",
    }


def test_what_is_not_known_is_said() -> None:
    bare = data(subjects=[], file_count=0, files=[], assessment={"reasons": []}, notifications=[])
    bare["case"] = {"is_open": True, "state": "new", "holder": None}
    assert [text for _, text in summary.lines(bare)] == [
        "Suspect: nobody is named. Child: no child is named.",
        "No reason adds risk. No files.",
        "Somebody claims it.",
    ]


def test_a_case_that_left_needs_nothing() -> None:
    gone = data(case={"is_open": False, "state": "transferred", "holder": None})
    assert dict(summary.lines(gone))["Next"] == "Another force has taken the case."


def test_whom_to_tell_now_comes_first() -> None:
    told = {"label": "Death", "role": "Detective Superintendent", "waiting": False}
    waits = {"label": "Live contact with a child", "role": "Duty supervisor", "waiting": True}
    text = dict(summary.lines(data(escalations=[told, waits])))["Next"]
    assert (
        text
        == "Bring to the Duty supervisor: Live contact with a child; Notify: LADO; Start an enquiry, ask, or close."
    )
