"""Facts that words of a report state by the policy's tables: incident types, relationships, kinds of offers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.ingest import rules
from pipeline.ingest.landing.package import Member
from pipeline.ingest.reports import report
from pipeline.ingest.reports.draft import Draft
from pipeline.locator import Locator
from pipeline.settings import Settings

RULES = rules.load(Settings())


def draft(tree: dict[str, Any]) -> Draft:
    content = json.dumps(tree).encode()
    found = report.read(Member("report.json", len(content), Locator("x"), content), content, RULES.report)
    assert found is not None
    return found.draft


def facts(made: Draft) -> set[str]:
    return {f["name"] for f in made.facts if f["value"] == "yes"}


@pytest.mark.parametrize(
    ("kind", "stated"),
    [
        ("Child Sexual Molestation", {"contact_abuse"}),
        ("child sex  trafficking", {"child_trafficking"}),
        ("Child Sex Tourism", {"abuse_abroad"}),
        ("Online Enticement of Children for Sexual Acts", {"grooming"}),
        ("Unsolicited Obscene Material Sent to a Child", {"sexual_communication"}),
        ("Child Pornography (possession, manufacture, and distribution)", set()),
        ("Misleading Domain Name", set()),
        ("Some new type", set()),
    ],
)
def test_every_incident_type_states_what_its_words_say(kind: str, stated: set[str]) -> None:
    made = draft({"reportId": 1, "reportedInformation": {"incidentSummary": {"incidentType": kind}}})
    assert facts(made) == stated and made.referral["report_type"] == kind


@pytest.mark.parametrize(
    ("relation", "stated"),
    [
        ("Father", {"access_to_child_victim"}),
        ("step-father of the child", {"access_to_child_victim"}),
        ("Teacher", {"access_to_child_victim", "profession_teacher"}),
        ("Football coach", {"access_to_child_victim", "position_of_trust"}),
        ("neighbour", {"access_to_children"}),
        ("met online", set()),
        (None, set()),
    ],
)
def test_the_relationship_of_the_suspect_to_the_child_states_access(relation: str | None, stated: set[str]) -> None:
    person = {"firstName": "Sample", "relationshipToChildVictim": relation}
    tree = {"reportId": 1, "reportedInformation": {"reportedPeople": {"reportedPersons": [person]}}}
    made = draft(tree)
    assert facts(made) == stated
    assert all(f["subject"] == 0 for f in made.facts)


@pytest.mark.parametrize(
    ("kind", "stated"),
    [
        ("meeting", "contact_offer"),
        ("Call", "offer_call"),
        ("pictures", "offer_pictures"),
        ("money", "offer_money"),
        ("something else", "contact_offer"),
        (None, "contact_offer"),
    ],
)
def test_only_an_offer_to_meet_is_an_offer_to_meet(kind: str | None, stated: str) -> None:
    """A kind that the policy does not know is taken for the graver one."""
    made = draft({"form": "ucol-referral/1", "ucol": {"offers_of_contact": [{"kind": kind}]}})
    assert facts(made) == {stated}
    assert made.referral["extension"]["ucol"]["offers_of_contact"] == ([{"kind": kind}] if kind else [{}])
