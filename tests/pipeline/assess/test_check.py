"""`model check` keeps its word: every promise can be broken by an edit and is then named."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pipeline.assess.check import check
from pipeline.assess.model import Model
from pipeline.settings import Settings
from tests.pipeline.assess.test_model import MODEL, edited


def test_the_shipped_model_keeps_every_promise() -> None:
    promises = check(Settings(), MODEL)
    assert len(promises) == 9
    assert [p.promise for p in promises if not p.kept] == []


def weight(data: dict[str, Any], name: str, value: float, unknown: float = 0) -> None:
    data["features"][name] = {"weight": value, "unknown": unknown}


def limit(data: dict[str, Any], family: str, value: float) -> None:
    data["families"][family]["limit"] = value


EDITS = {
    "higher score": lambda d: d["bands"][0].update(least=30),
    "every fact": lambda d: d["reading"].update(not_weighed=[]),
    "no volume": lambda d: limit(d, "known_material", 40),
    "known images": lambda d: limit(d, "severity", 20),
    "one possibly new": lambda d: weight(d, "unknown_files", 2),
    "no unknown counts": lambda d: weight(d, "unsent_files", 4, 0.4),
    "nothing is known": lambda d: weight(d, "live_offending", 75, 0.4),
    "child at risk now": lambda d: d["floors"].pop(0),
    "no feature weighs": lambda d: weight(d, "known_files", 90),
}


@pytest.mark.parametrize("promise", EDITS)
def test_an_edit_that_breaks_a_promise_is_named(settings: Settings, promise: str) -> None:
    data = copy.deepcopy(MODEL.data)
    EDITS[promise](data)
    changed = edited(settings, **data)
    broken = [p.promise.lower() for p in check(changed, Model.load(changed)) if not p.kept]
    assert any(promise in b for b in broken)
