"""`model check` keeps its word: every promise can be broken by an edit and is then named."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pipeline.assess.models.check import check
from pipeline.assess.models.model import Model
from pipeline.settings import Settings
from tests.pipeline.assess.models.test_model import MODEL, edited


def test_the_shipped_model_keeps_every_promise() -> None:
    promises = check(Settings(), MODEL)
    assert len(promises) > 20
    assert [p.promise for p in promises if not p.kept] == []


def weight(data: dict[str, Any], name: str, value: float, unknown: float = 0) -> None:
    data["features"][name] = {"weight": value, "unknown": unknown}


def limit(data: dict[str, Any], family: str, value: float) -> None:
    data["families"][family]["limit"] = value


EDITS = {
    "higher score": lambda d: d["bands"][0].update(least=30),
    "every fact": lambda d: d["reading"].update(not_weighed=[]),
    "one file that nobody has seen": lambda d: limit(d, "known_material", 20),
    "access to a child": lambda d: limit(d, "severity", 40),
    "protection address": lambda d: weight(d, "child_protection_address", 10),
    "police officer": lambda d: weight(d, "profession_police", 10),
    "registered sex offender": lambda d: weight(d, "profession_teacher", 10),
    "five reports": lambda d: weight(d, "linked_cases", 0),
    "abuse happening now": lambda d: limit(d, "now", 200),
    "every other mark": lambda d: d["floors"].remove({"feature": "priority_imminent", "band": "high"}),
    "any other record": lambda d: d["floors"].remove({"feature": "previous_contact_allegation", "band": "high"}),
    "offer of a call": lambda d: weight(d, "offer_call", 60),
    "stay below medium": lambda d: limit(d, "severity", 20),
    "no step lowers": lambda d: d["reading"]["grade_shares"].update(DISPUTED=0.25),
    "no unknown counts": lambda d: weight(d, "unsent_files", 4, 0.4),
    "no feature weighs": lambda d: weight(d, "known_files", 90),
    "who is told": lambda d: (
        d["escalation"].pop([r["id"] for r in d["escalation"]].index("police")) and d["notifications"].pop(0)
    ),
}


@pytest.mark.parametrize("promise", EDITS)
def test_an_edit_that_breaks_a_promise_is_named(settings: Settings, promise: str) -> None:
    data = copy.deepcopy(MODEL.data)
    EDITS[promise](data)
    changed = edited(settings, **data)
    broken = [p.promise.lower() for p in check(changed, Model.load(changed)) if not p.kept]
    assert any(promise in b for b in broken)
