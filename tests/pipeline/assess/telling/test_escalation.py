"""Flags and notifications hold whatever the score."""

from __future__ import annotations

import pytest

from pipeline.assess.evidence.inputs import YES, Answer, EvidenceRow
from pipeline.assess.models.model import Model
from pipeline.assess.telling.escalation import Rule, fired
from pipeline.settings import Settings
from tests.pipeline.assess.builders import case, said

MODEL = Model.load(Settings())


@pytest.mark.parametrize(
    ("fact", "flag"),
    [
        ("profession_police", "police"),
        ("profession_teacher", "teacher"),
        ("profession_social_worker", "social_worker"),
        ("institution", "institution"),
        ("non_recent", "non_recent"),
        ("child_died", "death"),
        ("child_died", "serious_case"),
        ("child_seriously_harmed", "serious_case"),
        ("profession_carer", "carer"),
        ("profession_health", "health"),
        ("public_figure", "public_figure"),
        ("organised_abuse", "organised"),
        ("multiple_offenders", "organised"),
        ("media_interest", "media"),
        ("contact_offer", "live_contact"),
        ("live_streaming", "live_contact"),
        ("suspect_streamed", "suspect_welfare"),
        ("suspect_named", "suspect_welfare"),
        ("suspect_welfare_risk", "suspect_welfare"),
        ("death", "death"),
        ("under_investigation", "deconfliction"),
        ("covert_conflict", "deconfliction"),
    ],
)
def test_each_ground_for_immediate_escalation_raises_its_flag_with_evidence(fact: str, flag: str) -> None:
    assert MODEL.assess(case()).flags == []
    flags = {f["rule"]: f for f in MODEL.assess(case(facts=said(fact))).flags}
    assert flags[flag]["evidence"] == [{"table": "facts", "id": f"f-{fact}", "note": ""}]


@pytest.mark.parametrize(
    ("fact", "kind"),
    [
        ("position_of_trust", "lado"),
        ("profession_teacher", "lado"),
        ("profession_social_worker", "lado"),
        ("child_died", "serious_incident"),
        ("child_seriously_harmed", "serious_incident"),
        ("lives_with_children", "childrens_services"),
        ("child_protection_address", "childrens_services"),
        ("registered_sex_offender", "offender_management"),
        ("covert_conflict", "ucol_deconfliction"),
    ],
)
def test_notifications_due_are_listed(fact: str, kind: str) -> None:
    assert kind in {n["kind"] for n in MODEL.assess(case(facts=said(fact))).notifications}


def test_a_flag_does_not_need_a_score() -> None:
    assessed = MODEL.assess(case(facts=said("public_figure")))
    assert assessed.band == "low" and [f["rule"] for f in assessed.flags] == ["public_figure"]


def test_a_rule_with_all_needs_every_one_and_one_of_any() -> None:
    rule = Rule("r", "Label", "Reason of the rule.", ("a", "b"), ("c",))
    answers = {n: Answer(YES, 1.0, (EvidenceRow("facts", n),), 1) for n in "abc"}
    assert fired([rule], {"a": answers["a"]}) == []
    assert fired([rule], {"c": answers["c"]}) == []
    [(found, rows)] = fired([rule], {"b": answers["b"], "c": answers["c"]})
    assert found is rule and [r.id for r in rows] == ["b", "c"]
