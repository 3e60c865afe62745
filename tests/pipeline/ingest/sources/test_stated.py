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
    return read("report.json", json.dumps(tree).encode())


def read(name: str, content: bytes) -> Draft:
    found = report.read(Member(name, len(content), Locator("x"), content), content, RULES.report)
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
        ("mum's boyfriend", {"access_to_child_victim"}),
        ("his niece", {"access_to_child_victim"}),
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
        ("Meet-up", "contact_offer"),
        ("to meet in person", "contact_offer"),
        ("Call", "offer_call"),
        ("phone call", "offer_call"),
        ("Video-Call", "offer_call"),
        ("pictures", "offer_pictures"),
        ("exchange", "offer_pictures"),
        ("money", "offer_money"),
        ("gift", "offer_money"),
    ],
)
def test_only_an_offer_to_meet_is_an_offer_to_meet(kind: str, stated: str) -> None:
    made = draft({"form": "ucol-referral/1", "ucol": {"offers_of_contact": [{"kind": kind}]}})
    assert facts(made) == {stated} and {f["name"] for f in made.facts} == {stated}
    assert made.referral["extension"]["ucol"]["offers_of_contact"] == [{"kind": kind}]


@pytest.mark.parametrize("kind", ["something else", "other", None])
def test_an_offer_that_does_not_say_what_is_offered_is_a_meeting_where_it_names_a_place(kind: str | None) -> None:
    """Without a place it stays an open question, and is no less than contact."""
    [asked, stated] = draft({"form": "ucol-referral/1", "ucol": {"offers_of_contact": [{"kind": kind}]}}).facts
    assert (asked["name"], asked["value"]) == ("contact_offer", "unknown")
    assert (stated["name"], stated["value"], stated["detail"]) == ("offer_call", "yes", kind)
    placed = {"kind": kind, "place": "[synthetic place]"}
    assert facts(draft({"form": "ucol-referral/1", "ucol": {"offers_of_contact": [placed]}})) == {"contact_offer"}


def test_an_offer_of_two_things_states_both() -> None:
    made = draft({"form": "ucol-referral/1", "ucol": {"offers_of_contact": [{"kind": "money for a meeting"}]}})
    assert facts(made) == {"contact_offer", "offer_money"}


PERSON = """<relationshipToChildVictim>Father</relationshipToChildVictim><occupation>teacher</occupation>
<accessToChildren>true</accessToChildren><convictedSexOffender>true</convictedSexOffender><age>41</age>"""


@pytest.mark.parametrize(
    "suspect",
    [
        f"<personOrUserReportedPerson>{PERSON}</personOrUserReportedPerson>",
        PERSON.replace("<age>", "<approximateAge>").replace("</age>", "</approximateAge>"),
    ],
)
def test_the_provider_s_xml_states_what_the_police_json_states(suspect: str) -> None:
    """Relationship, occupation, access, the child's age and address, whether the file was viewed, words of urgency,
    NCMEC's priority: each is read in both, wherever the XML has it."""
    address = "<address><address>1 Sample Road</address><zipCode>ZZ99 1AA</zipCode></address>"
    xml = f"""<report><reportId>1</reportId>
    <incidentSummary><incidentType>Child Sexual Molestation</incidentType>
    <escalateToHighPriority>[synthetic] imminent</escalateToHighPriority></incidentSummary>
    <additionalNcmecInformation><priority><value>1</value></priority></additionalNcmecInformation>
    <personOrUserReported>{suspect}</personOrUserReported>
    <victim><victimPerson><age>9</age>{address}</victimPerson></victim>
    <fileDetails><originalFileName>a.jpg</originalFileName><viewedByEsp>true</viewedByEsp></fileDetails></report>"""
    child = {"approximateAge": 9, "addresses": [{"street1": "1 Sample Road", "postalCode": "ZZ99 1AA"}]}
    person = {
        "relationshipToChildVictim": "Father",
        "occupation": "teacher",
        "accessToChildren": "true",
        "convictedSexOffender": True,
        "approximateAge": 41,
    }
    summary = {"incidentType": "Child Sexual Molestation", "escalateToHighPriority": "[synthetic] imminent"}
    information = {
        "incidentSummary": summary,
        "reportedPeople": {"reportedPersons": [person]},
        "childVictims": {"childVictims": [child]},
        "uploadedFiles": [{"filename": "a.jpg", "viewedByEsp": True}],
    }
    priority = {"priority": {"value": "1"}}
    tree = {"reportId": 1, "reportedInformation": information, "additionalNcmecInformation": priority}
    ours, theirs = read("report.xml", xml.encode()), draft(tree)
    assert facts(ours) == facts(theirs)
    assert facts(ours) >= {"access_to_child_victim", "access_to_children", "contact_abuse", "provider_escalated"}
    for column in ("escalation_text", "priority", "report_type"):
        assert ours.referral[column] == theirs.referral[column] is not None
    kept = ("role", "occupation", "approximate_age", "addresses")
    assert [[s.get(k) for k in kept] for s in ours.subjects] == [[s.get(k) for k in kept] for s in theirs.subjects]
    assert ours.files[0]["viewed_by_provider"] == "yes" and not ours.referral["unknown_keys"]
