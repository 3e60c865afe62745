"""Words of codes: every reason of the policy and every kind of decision has them."""

from __future__ import annotations

import pytest

from pipeline.cases import words
from pipeline.settings import Settings
from pipeline.store.rules import CaseRules

POLICY = CaseRules.load(Settings())


def test_a_decision_says_what_its_form_said() -> None:
    assert words.decided(POLICY, "lower_band", "suspect_elsewhere") == "Band lowered: Suspect has no access to a child"
    assert words.decided(POLICY, "take_back", "child_lives_there").endswith(": Child lives in that force")


@pytest.mark.parametrize("kind", words.DECIDED)
def test_every_kind_of_decision_has_words_and_reasons(kind: str) -> None:
    of = "transfer" if kind in {"accept_transfer", "take_back"} else kind
    for code, said in POLICY.reasons(of).items():
        assert words.decided(POLICY, kind, code) == f"{words.DECIDED[kind]}: {said}"
        assert "_" not in said


def test_a_reason_that_the_policy_no_longer_has_is_still_words() -> None:
    assert words.reason(POLICY, "close", "some_old_code") == "Some old code"
    assert words.reason(POLICY, "close", None) == ""


def test_bands_have_one_spelling() -> None:
    assert [words.band(b) for b in ("very_high", "high", "medium", "low")] == ["Very high", "High", "Medium", "Low"]
    assert set(POLICY.data["kirat"]["levels"].values()) == {"Very high", "High", "Medium", "Low"}


@pytest.mark.parametrize(
    ("kind", "stored", "read"),
    [
        ("claim", "Claimed by ana", "Claimed by Ana Analyst"),
        ("claim", "Allocated to ana", "Allocated to Ana Analyst"),
        ("released", "Claim of ana lapsed", "Claim of Ana Analyst lapsed"),
        ("released", "Taken over from ana, who may not see it", "Taken over from Ana Analyst, who may not see it"),
        ("claim", "Claimed by gone", "Claimed by gone"),
        ("released", "Allocated to team ana", "Allocated to team ana"),
        ("released", "Released with case C-7F3A9C21KD", "Released with case C-7F3A9C21KD"),
        ("note", "Claimed by ana", "Claimed by ana"),
    ],
)
def test_a_line_of_a_history_names_the_person(kind: str, stored: str, read: str) -> None:
    assert words.changed(kind, stored, lambda user_id: {"ana": "Ana Analyst"}.get(user_id, user_id)) == read
