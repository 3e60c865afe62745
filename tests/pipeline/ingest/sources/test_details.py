"""What is particular to each format."""

from __future__ import annotations

import json
from typing import Any

from pipeline.ingest import rules
from pipeline.ingest.landing.package import Member
from pipeline.ingest.reports import report
from pipeline.ingest.reports.draft import Draft
from pipeline.locator import Locator
from pipeline.settings import Settings
from tests.factory import form, police_json

RULES = rules.load(Settings())


def draft(content: bytes, name: str = "report.json") -> Draft:
    found = report.read(Member(name, len(content), Locator("x"), content), content, RULES.report)
    assert found is not None
    return found.draft


def facts(made: Draft) -> dict[str, str]:
    return {f["name"]: f["value"] for f in made.facts}


FILE = {"filename": "a.jpg", "verificationHash": "AB" * 16, "viewedByEsp": None}


def test_ncmec_nested_and_flat_give_the_same_files() -> None:
    nested = draft(police_json(uploadedFiles={"uploadedFiles": [dict(FILE)]}))
    flat = draft(police_json(uploadedFiles=[{"fileName": "a.jpg", "md5": "ab" * 16}]))
    top = draft(json.dumps({"reportId": 1, "uploadedFiles": [dict(FILE)]}).encode())
    for made in (nested, flat, top):
        assert made.files[0]["claimed_md5"] == b"\xab" * 16
        assert made.files[0]["viewed_by_provider"] == "unknown"
        assert made.files[0]["name"] == "a.jpg"
        assert made.defects == []


def test_ncmec_persons_nested_flat_and_at_the_top_are_the_same() -> None:
    person = {"firstName": "Sample", "displayNames": {"displayNames": [{"value": "One"}, {"value": "Two"}]}}
    for people in (
        {"reportedPeople": {"reportedPersons": [person]}},
        {"reportedPeople": [person]},
        {"reportedPersons": [person]},
    ):
        made = draft(police_json(**json.loads(json.dumps(people))))
        assert [s["name"] for s in made.subjects] == ["Sample"]
        assert [(i["kind"], i["original"]) for i in made.identifiers] == [
            ("display_name", "One"),
            ("display_name", "Two"),
        ]
        assert made.defects == []
        assert not made.referral["unknown_keys"]


def test_ncmec_empty_objects_in_the_place_of_lists_are_no_file_and_no_person() -> None:
    empty: dict[str, Any] = {}
    for blocks in (
        {"uploadedFiles": empty, "reportedPeople": empty, "intendedRecipients": empty, "childVictims": empty},
        {"uploadedFiles": {"uploadedFiles": empty}, "reportedPeople": {"reportedPersons": empty}},
    ):
        made = draft(police_json(**json.loads(json.dumps(blocks))))
        assert (made.files, made.subjects, made.defects) == ([], [], [])


def test_ncmec_hash_of_any_length() -> None:
    made = draft(police_json(uploadedFiles=[{"fileName": "a", "fileHash": "cd" * 20, "md5": "ab" * 16}]))
    assert made.files[0]["claimed_sha1"] == b"\xcd" * 20
    assert made.files[0]["claimed_md5"] == b"\xab" * 16


def test_ncmec_with_bom_nulls_and_missing_keys() -> None:
    tree = {"reportId": 5, "reportedInformation": {"reportedPeople": None, "uploadedFiles": None}, "dateReceived": None}
    made = draft(b"\xef\xbb\xbf" + json.dumps(tree).encode())
    assert made.referral["source_reference"] == "5"
    assert made.defects == []


def test_ncmec_person() -> None:
    person: dict[str, Any] = {
        "firstName": "Sample",
        "lastName": "Person",
        "espService": "SampleChat",
        "screenName": {"value": "@User"},
        "emails": {"emails": [{"value": "A@Example.org", "verified": "true"}]},
        "phones": {"phones": [{"value": "nonsense"}]},
        "sourceInformation": {
            "sourceCaptures": [
                {"captureType": "IP Address", "value": "192.0.2.1", "dateTime": "2026-11-01T10:00:00Z", "port": 5},
                {"captureType": "Something new", "value": "x"},
            ]
        },
        "accessToChildren": "true",
        "accessToFirearms": None,
        "convictedSexOffender": "perhaps",
        "priorCTReports": [7, {"reportId": 8}],
    }
    made = draft(police_json(reportedPeople={"reportedPersons": [person]}))
    assert [(i["kind"], i["value"], i.get("service")) for i in made.identifiers] == [
        ("username", "user", "samplechat"),
        ("email", "a@example.org", None),
        ("ip", "192.0.2.1", None),
    ]
    assert made.identifiers[2]["port"] == 5
    assert made.prior == ["7", "8"]
    assert facts(made)["access_to_children"] == "yes"
    assert facts(made)["access_to_firearms"] == "unknown"
    assert {d["field"].rsplit("/", 1)[1] for d in made.defects} == {"value", "convictedSexOffender"}
    left = made.referral["unknown_keys"]["reportedInformation"]["reportedPeople"]["reportedPersons"][0]
    assert left["convictedSexOffender"] == "perhaps"
    assert "Something new" in json.dumps(left)


def test_ncmec_second_names_of_files_clients_and_priorities_are_kept() -> None:
    made = draft(
        police_json(
            incidentSummary={"platform": "Platform"},
            incidentDetails={"chatIncident": [{"chatClient": "Client", "content": "[synthetic]"}]},
            uploadedFiles=[{"filename": "a.jpg", "originalFilename": "b.jpg"}, {"originalFilename": "c.jpg"}],
        )
    )
    assert [(f["name"], f["alias"]) for f in made.files] == [("a.jpg", "b.jpg"), ("c.jpg", None)]
    assert made.referral["platform"] == "Platform"
    left = made.referral["unknown_keys"]["reportedInformation"]
    assert "Client" in json.dumps(left["incidentDetails"])
    assert "b.jpg" in json.dumps(left["uploadedFiles"])
    assert "c.jpg" not in json.dumps(left)
    priority = {"priority": {"priorityId": "E", "value": "text"}}
    other = draft(json.dumps({**json.loads(police_json()), "additionalNcmecInformation": priority}).encode())
    assert other.referral["priority"] == "text"
    assert other.referral["unknown_keys"] == {"additionalNcmecInformation": {"priority": {"priorityId": "E"}}}


def test_ncmec_incident() -> None:
    made = draft(
        police_json(
            incidentSummary={
                "incidentType": "Online Enticement of Children for Sexual Acts",
                "escalateToHighPriority": "[synthetic reason]",
            },
            incidentDetails={"chatIncident": [{"chatClient": "samplechat", "content": "[synthetic message]"}]},
        )
    )
    assert facts(made) == {"grooming": "yes", "provider_escalated": "yes"}
    assert made.referral["platform"] == "samplechat"
    assert made.narratives[0]["kind"] == "chat"


def test_ncmec_annotations_become_facts_of_the_file() -> None:
    tags = {"groups": [{"tags": [{"value": "viral"}]}]}
    made = draft(police_json(uploadedFiles=[{**FILE, "ncmecTags": tags, "fileAnnotations": {"infant": True, "x": 0}}]))
    assert made.files[0]["annotations"] == ["infant", "viral"]
    assert {(f["name"], f["value"], f["file"]) for f in made.facts} == {
        ("provider_viewed", "unknown", 0),
        ("infant", "yes", 0),
        ("viral", "yes", 0),
    }


def test_whether_the_provider_viewed_the_files_is_one_fact_an_answer() -> None:
    given = [True, False, True, None, False]
    made = draft(police_json(uploadedFiles=[{**FILE, "viewedByEsp": viewed} for viewed in given]))
    assert [f["viewed_by_provider"] for f in made.files] == ["yes", "no", "yes", "unknown", "no"]
    assert [(f["value"], f["file"]) for f in made.facts] == [("yes", 0), ("no", 1), ("unknown", 3)]


def test_industry_classification_is_kept_and_never_mapped() -> None:
    made = draft(
        police_json(uploadedFiles=[{**FILE, "industryClassification": "a1"}, {**FILE, "industryClassification": "A"}])
    )
    assert [f["industry_classification"] for f in made.files] == ["A1", None]
    assert made.defects[0]["field"].endswith("/1/industryClassification")


def test_provider_xml() -> None:
    made = draft(
        b"""<?xml version="1.0"?><report xmlns="urn:x" id="9">
        <incidentSummary><incidentType>Child Sex Trafficking</incidentType>
        <incidentDateTime>2026-11-01T10:00:00Z</incidentDateTime></incidentSummary>
        <internetDetails><chatImIncident><chatClient>c</chatClient><content>[synthetic]</content></chatImIncident></internetDetails>
        <personOrUserReported><screenName>u</screenName><espService>S</espService>
        <personOrUserReportedPerson><email verified="true">a@example.org</email></personOrUserReportedPerson>
        <ipCaptureEvent><ipAddress>192.0.2.1</ipAddress><port>7</port><dateTime>2026-11-01T10:00:00Z</dateTime></ipCaptureEvent>
        <priorCTReports>3</priorCTReports></personOrUserReported>
        <fileDetails><originalFileName>a.jpg</originalFileName><fileViewedByEsp>false</fileViewedByEsp>
        <originalFileHash hashType="MD5">%s</originalFileHash><fileAnnotations><infant/><viral>false</viral></fileAnnotations>
        <details><nameValuePair><name>n</name></nameValuePair></details></fileDetails></report>"""
        % (b"ab" * 16),
        "report.xml",
    )
    assert made.referral["source_reference"] == "9"
    assert made.files[0]["viewed_by_provider"] == "no"
    assert made.files[0]["claimed_md5"] == b"\xab" * 16
    assert made.files[0]["annotations"] == ["infant"]
    assert made.prior == ["3"]
    assert [i["kind"] for i in made.identifiers] == ["username", "email", "ip"]
    assert "nameValuePair" in json.dumps(made.referral["unknown_keys"])


def test_nca_direct_report() -> None:
    made = draft(
        form(
            "nca-direct-report",
            report={
                "subsequent_report_of": "R-0",
                "priority_assessment": {"level": "High", "reasons": ["[synthetic]"]},
                "connected_accounts": [{"service": "S", "username": "other", "relation": "follows"}],
                "exif": [{"file": "a.jpg", "serial": "SN-1", "taken_at": "2026-11-01T10:00:00Z"}],
            },
        )
    )
    assert made.prior == ["R-0"]
    assert facts(made)["provider_escalated"] == "yes"
    assert [(i["kind"], i["value"]) for i in made.identifiers] == [("username", "other"), ("device", "sn-1")]
    assert made.subjects == [{"role": "other"}]
    assert made.referral["extension"]["drb"]["connected_accounts"][0]["relation"] == "follows"


def test_ocag_events_have_times_and_a_time_alone_means_yes() -> None:
    made = draft(
        form(
            "ocag-referral",
            ocag={
                "group": {"name": "Sample Group"},
                "confronted": {"at": "2026-11-01T10:00:00Z", "where": "[synthetic]"},
                "streamed": {"value": "no"},
                "named": None,
                "suspect_welfare_risk": "yes",
                "decoy_profiles": [{"username": "d", "stated_age": 13}],
                "deconfliction": {"result": "open", "conflict": "unknown"},
            },
        )
    )
    assert facts(made) == {
        "suspect_confronted": "yes",
        "suspect_streamed": "no",
        "suspect_named": "unknown",
        "suspect_welfare_risk": "yes",
        "covert_conflict": "unknown",
    }
    block = made.referral["extension"]["ocag"]
    assert block["confronted"]["at"]["original"] == "2026-11-01T10:00:00Z"
    assert block["decoy_profiles"] == [{"username": "d", "stated_age": "13"}]


def test_ucol_statements_are_facts() -> None:
    made = draft(
        form(
            "ucol-referral",
            ucol={
                "access_to_child": True,
                "live_offending": "no",
                "offers_of_contact": [{"kind": "meeting", "when": "2026-12-01T10:00:00Z"}],
            },
        )
    )
    assert facts(made) == {"access_to_children": "yes", "live_offending": "no", "contact_offer": "yes"}
    assert made.referral["extension"]["ucol"]["offers_of_contact"][0]["kind"] == "meeting"


def test_the_zone_of_a_form_counts_in_every_block_of_it_but_exif() -> None:
    at = "2026-07-01T10:00:00"
    ocag = {
        "confronted": {"at": at},
        "evidence": [{"captured_at": at}],
        "deconfliction": {"result": "r", "checked_at": at},
    }
    made = draft(form("ocag-referral", timezone="Europe/London", ocag=ocag))
    assert not made.defects
    assert made.referral["extension"]["ocag"]["confronted"]["at"]["zone"] == "Europe/London"
    block = {"conversation_started": at, "conversation_ended": at, "offers_of_contact": [{"kind": "k", "when": at}]}
    made = draft(form("ucol-referral", timezone="Europe/London", ucol=block))
    assert not made.defects
    assert made.referral["extension"]["ucol"]["offers_of_contact"][0]["when"]["utc"] == "2026-07-01T09:00:00+00:00"
    report = {"connected_accounts": [{"username": "u", "seen_at": at}], "exif": [{"taken_at": at}]}
    made = draft(form("nca-direct-report", timezone="Europe/London", report=report))
    assert [d["field"] for d in made.defects] == ["/report/exif/0/taken_at"]
    assert made.identifiers[0]["seen_at"].isoformat() == "2026-07-01T09:00:00+00:00"


def test_another_version_of_a_form_is_read_and_noted() -> None:
    made = draft(form("referral").replace(b"referral/1", b"referral/9"))
    assert [(d["field"], d["original"]) for d in made.defects] == [("/form", "referral/9")]


def test_facts_block_reads_declared_names_only() -> None:
    made = draft(form(facts={"grooming": {"value": "yes", "detail": 3}, "no_such_fact": True, "death": "perhaps"}))
    assert facts(made)["grooming"] == "yes"
    assert made.facts[0]["detail"] in {"3", None}
    assert made.referral["unknown_keys"]["facts"] == {"no_such_fact": True, "death": "perhaps"}


def test_generic_csv_is_the_same_form() -> None:
    raw = "field,value\nform,referral/1\nreference,1\nsubjects.1.role,suspect\nsubjects.1.emails.1,a@example.org\ntaken.by,X\n"
    made = draft(raw.encode(), "referral.csv")
    assert made.identifiers[0]["value"] == "a@example.org"
    assert made.referral["extension"] == {"taken": {"by": "X"}}


def test_police_json_with_nested_earlier_reports_a_bare_provider_and_an_address() -> None:
    person = {
        "priorCTReports": {"priorCTReports": [{"value": "7"}]},
        "dateOfBirth": "03/02/1980",
        "addresses": {"addresses": [{"street1": "1 Sample Road", "postalCode": "zz1 1zz"}]},
    }
    made = draft(police_json(reportingEsp="Sample Service", reportedPeople={"reportedPersons": [person]}))
    assert made.prior == ["7"]
    assert made.referral["provider"] == "Sample Service"
    assert [(i["kind"], i["original"]) for i in made.identifiers] == [("address", "1 Sample Road, zz1 1zz")]
    assert [d["problem"] for d in made.defects] == ["No certain date of birth; write it as 1980-02-03."]
    assert made.referral["unknown_keys"] is None


def test_provider_xml_with_an_address() -> None:
    xml = b"""<report><incidentSummary/><personOrUserReported><personOrUserReportedPerson>
    <address><address>1 Sample Road</address><zipCode>ZZ1 1ZZ</zipCode></address>
    </personOrUserReportedPerson></personOrUserReported></report>"""
    made = draft(xml, "report.xml")
    assert [(i["kind"], i["original"]) for i in made.identifiers] == [("address", "1 Sample Road, ZZ1 1ZZ")]


def test_times_in_an_extension_have_their_value_beside_the_text() -> None:
    ocag = {"named": {"at": "2026-11-01T10:00:00", "value": True}, "confronted": {"at": "01/02/2026 10:00"}}
    made = draft(form("ocag-referral", timezone="Europe/London", ocag=ocag))
    block = made.referral["extension"]["ocag"]
    assert block["named"]["at"] == {
        "original": "2026-11-01T10:00:00",
        "zone": "Europe/London",
        "ambiguous": False,
        "utc": "2026-11-01T10:00:00+00:00",
    }
    assert block["confronted"]["at"]["utc"] is None and block["confronted"]["at"]["ambiguous"]


def test_coordinates_as_numbers() -> None:
    made = draft(form("nca-direct-report", report={"exif": [{"latitude": 54.25, "longitude": "-1.5"}]}))
    assert made.referral["extension"]["drb"]["exif"] == [{"latitude": "54.25", "longitude": "-1.5"}]
    assert made.defects == []


def test_a_file_that_only_supplements_the_report_is_marked() -> None:
    supplemental, reported = ({**FILE, "fileRelevance": word} for word in ("Supplemental Reported", "Reported"))
    made = draft(police_json(uploadedFiles=[supplemental, {**reported, "filename": "b.jpg"}]))
    assert [f["annotations"] for f in made.files] == [["supplemental"], []]
    xml = (
        b"<report><reportId>1</reportId><fileDetails><originalFileName>a.txt</originalFileName>"
        b"<fileRelevance>Supplemental Reported</fileRelevance></fileDetails></report>"
    )
    assert [f["annotations"] for f in draft(xml, "report.xml").files] == [["supplemental"]]
