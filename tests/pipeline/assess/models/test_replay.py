"""Replay: recall of acted-on cases by band and by budget, against a slow count."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.assess.models.model import BANDS
from pipeline.assess.models.replay import SHARES, read_decisions, replay
from pipeline.errors import InputError
from tests.pipeline.assess.builders import case, said
from tests.pipeline.assess.models.test_model import MODEL

NAMES = ("live_offending", "grooming", "access_to_children", "distribution", "domestic_abuse")


@given(st.lists(st.tuples(st.sets(st.sampled_from(NAMES)), st.booleans()), min_size=1, max_size=30), st.integers(1, 40))
def test_recall_agrees_with_counting(listed: list[tuple[set[str], bool]], budget: int) -> None:
    cases = [dataclasses.replace(case(facts=said(*facts)), case_id=f"C{i:02d}") for i, (facts, _) in enumerate(listed)]
    decided = {f"C{i:02d}": acted for i, (_, acted) in enumerate(listed)} | {"C-gone": True}
    report = replay(MODEL, cases, decided, [budget])
    assert (report["decided"], report["cases"], report["not_found"]) == (len(listed) + 1, len(listed), 1)
    ranked = sorted(cases, key=lambda c: (*[-x for x in MODEL.score(c)], c.case_id))
    acted = sum(a for _, a in listed)
    assert report["acted"] == acted
    for row in report["bands"]:
        least = BANDS.index(row["band"])
        above = [c for c in cases if BANDS.index(MODEL.assess(c).band) >= least]
        found = sum(decided[c.case_id] for c in above)
        assert (row["cases_to_here"], row["acted_to_here"]) == (len(above), found)
        assert row["recall"] == (round(found / acted, 4) if acted else None)
    assert [r["band"] for r in report["bands"]] == list(reversed(BANDS))
    assert sum(r["cases"] for r in report["bands"]) == len(cases)
    for row in report["budgets"]:
        assert row["acted"] == sum(decided[c.case_id] for c in ranked[: row["budget"]])
    assert min(budget, len(cases)) in {r["budget"] for r in report["budgets"]}


def test_recall_has_the_interval_of_wilson() -> None:
    cases = [dataclasses.replace(case(facts=said("live_offending")), case_id=f"C{i}") for i in range(10)]
    cases += [dataclasses.replace(case(), case_id=f"D{i}") for i in range(10)]
    decided = {c.case_id: c.case_id.startswith("C") or c.case_id == "D0" for c in cases}
    top = replay(MODEL, cases, decided)["bands"][0]
    # 10 of 11; interval as given by statsmodels' proportion_confint(10, 11, method="wilson")
    assert (top["recall"], top["recall_low"], top["recall_high"]) == (0.9091, 0.6226, 0.9838)


def test_nothing_acted_on_has_no_recall() -> None:
    report = replay(MODEL, [case()], {case().case_id: False})
    assert {r["recall"] for r in report["bands"] + report["budgets"]} == {None}
    assert len(report["budgets"]) == len({1 for _ in SHARES})


def test_decisions_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "decisions.csv"
    path.write_bytes(b"\xef\xbb\xbfcase_id,acted\r\nC1,yes\r\nC2,No\r\nC1,YES\r\n")
    assert read_decisions(path) == {"C1": True, "C2": False}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("case_id,acted\nC1,maybe\n", "Line 2"),
        ("case_id,acted\n,yes\n", "Line 2"),
        ("case_id,acted\nC1,yes\nC1,no\n", "Line 3"),
    ],
)
def test_a_file_that_cannot_be_read_names_the_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "decisions.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_decisions(path)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "decisions.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"decisions\.csv"):
        read_decisions(path)
