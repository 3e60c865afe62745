"""Writes an invented case in every format that ingest reads. Optional fields are left out at random, as in real life."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

from pipeline.sample.cases import SampleCase, SampleFile

Tree = dict[str, Any]


def _address(case: SampleCase) -> str:
    return "999.0.0.1" if case.flawed else case.suspect.ip


def _when(case: SampleCase) -> str:
    """When the address was seen; in a flawed report without zone, and with day and month that could be exchanged."""
    return "03/04/2026 10:00" if case.flawed else _z(case.occurred)


def _phone(case: SampleCase) -> str:
    return "555 0100" if case.flawed else case.suspect.phone


def _z(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(tree: Tree, *, bom: bool = False) -> bytes:
    return (b"\xef\xbb\xbf" if bom else b"") + json.dumps(tree, indent=1, ensure_ascii=False).encode()


def _some(rng: random.Random, case: SampleCase, tree: Tree, keep: tuple[str, ...] = ()) -> Tree:
    """Drop optional keys at random, or set them to null, as often as the case is poorly filled."""
    result: Tree = {}
    for key, value in tree.items():
        if key in keep or rng.random() < case.filled:
            result[key] = value
        elif rng.random() < 0.5:
            result[key] = None
    return result


# -- our own forms ---------------------------------------------------------------------------------------------------


def _common(rng: random.Random, case: SampleCase, form: str) -> Tree:
    person = case.suspect
    suspect = _some(
        rng,
        case,
        {
            "role": "suspect",
            "name": person.name,
            "date_of_birth": f"19{60 + person.number % 40}-0{1 + person.number % 9}-15",
            "gender": "unknown",
            "addresses": [{"text": f"{person.number} Sample Street, Sampletown", "postcode": case.postcode}],
            "emails": [{"value": person.email, "verified": True}],
            "phones": [_phone(case)],
            "accounts": [{"service": person.service, "username": person.username, "user_id": person.user_id}],
            "devices": [person.device],
        },
        ("role", "accounts"),
    )
    tree = {
        "form": form,
        "reference": case.reference,
        "report_type": "synthetic sample",
        "platform": person.service,
        "timezone": "UTC",
        "times": {
            "incident": _z(case.steps[0]),
            "nca_received": _z(case.steps[2]),
            "nca_disseminated": _z(case.steps[3]),
            "force_received": _z(case.steps[4]),
        },
        "urgency": case.urgent,
        "subjects": [suspect],
        "connections": [
            {
                "subject": 1,
                "ip": _address(case),
                "port": person.port,
                "at": _when(case),
                "event": "login",
                "possible_proxy": "unknown",
            }
        ],
        "facts": dict(case.facts),
        "files": [_form_file(f) for f in case.files],
        "narrative": [f"[synthetic narrative {case.number}]"],
    }
    if case.prior:
        tree["supplements"] = case.prior
    return _some(rng, case, tree, ("form", "reference", "files", "supplements", "subjects"))


def _form_file(file: SampleFile) -> Tree:
    return {
        "name": file.name,
        "size": len(file.picture.content),
        "md5": file.picture.md5,
        "sha256": file.picture.sha256,
        "viewed_by_provider": file.viewed,
        "annotations": file.annotations,
        "sent": file.sent,
    }


def _chat(case: SampleCase) -> list[Tree]:
    return [{"sent_at": _z(when), "participant": who, "text": text} for when, who, text in case.chat]


def nca_direct(rng: random.Random, case: SampleCase) -> bytes:
    """NCA direct report."""
    tree = _common(rng, case, "nca-direct-report/1")
    tree["provider"] = "Sample Provider Ltd"
    tree["declared_complete"] = rng.choice((True, False, None))
    tree["report"] = {
        "submission": rng.choice(("api", "portal")),
        "authorised_person": "Sample Authorised Person",
        "detection": "hash match",
        "priority_assessment": {"level": "high" if case.urgent else "standard", "reasons": ["[synthetic reason]"]},
        "connected_accounts": [
            {"service": case.suspect.service, "username": f"contact_{case.number}", "relation": "follows"}
        ],
        "exif": [{"file": f.name, "make": "Sample", "model": "Camera 1", "taken_at": None} for f in case.files[:1]],
    }
    if case.prior:
        tree["report"]["subsequent_report_of"] = tree.pop("supplements")
    return _json(tree)


def ucol(rng: random.Random, case: SampleCase) -> bytes:
    """UCOL referral, chat-led, with covert source details in half of them."""
    tree = _common(rng, case, "ucol-referral/1")
    tree["chat"] = _chat(case)
    tree["ucol"] = {
        "network": "sample network",
        "conversation_started": _z(case.occurred),
        "participants": [case.suspect.username, "other participant"],
        "access_to_child": case.facts.get("access_to_children"),
        "live_offending": case.facts.get("live_offending"),
        "offers_of_contact": [{"kind": "meeting", "place": "[synthetic place]"}] * rng.randrange(2),
    }
    if rng.random() < 0.5:
        tree["covert_source"] = {
            "operation": f"[synthetic operation {case.number}]",
            "handler": "[synthetic handler]",
            "personas": ["other participant"],
        }
    if rng.random() < 0.15:
        tree["restricted"] = True
    return _json(tree)


def ocag(rng: random.Random, case: SampleCase) -> bytes:
    """OCAG referral."""
    tree = _common(rng, case, "ocag-referral/1")
    tree["chat"] = _chat(case)
    confronted = rng.choice((True, False))
    tree["ocag"] = {
        "group": {"name": "Sample Group", "contact": "group@example.org"},
        "decoy_profiles": [{"service": case.suspect.service, "username": "sample_decoy", "stated_age": "13"}],
        "evidence": [{"kind": "screenshots", "captured_by": "[synthetic member]", "complete": "unknown"}],
        "confronted": {"value": confronted, "at": _z(case.steps[1])} if confronted else False,
        "streamed": rng.choice((True, False, None)),
        "named": False,
        "suspect_welfare_risk": rng.choice((True, False, None)),
        "deconfliction": {"result": "no conflict", "conflict": False},
    }
    return _json(tree)


def generic_json(rng: random.Random, case: SampleCase) -> bytes:
    """Generic form as JSON."""
    tree = _common(rng, case, "referral/1")
    tree["taken"] = {"by": "Sample Officer", "organisation": "Sample Force", "how": "telephone"}
    return _json(tree)


def generic_csv(rng: random.Random, case: SampleCase) -> bytes:
    """Generic form as `field,value` rows."""
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(("field", "value"))
    writer.writerows(_flat(_common(rng, case, "referral/1")))
    return sink.getvalue().encode("utf-8-sig")


def _flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [row for key, below in value.items() for row in _flat(below, f"{path}.{key}" if path else key)]
    if isinstance(value, list):
        return [row for n, below in enumerate(value, 1) for row in _flat(below, f"{path}.{n}")]
    if value is None:
        return []
    return [(path, str(value).lower() if isinstance(value, bool) else str(value))]


# -- NCMEC -----------------------------------------------------------------------------------------------------------


def ncmec_json(rng: random.Random, case: SampleCase) -> bytes:
    """The police JSON: nested or flat, keys missing or null at random, sometimes with a BOM."""
    person = case.suspect
    reported = _some(
        rng,
        case,
        {
            "id": 1,
            "firstName": "Sample",
            "lastName": f"Person {person.number:05d}",
            "espService": person.service,
            "espUserId": person.user_id,
            "screenName": {"value": person.username},
            "emails": {"emails": [{"value": person.email, "verified": "true"}]},
            "phones": {"phones": [{"value": _phone(case), "verified": None}]},
            "addresses": {
                "addresses": [
                    {"street1": f"{person.number} Sample Street", "postalCode": case.postcode, "country": "GB"}
                ]
            },
            "sourceInformation": {"sourceCaptures": [_capture(case)]},
            "accessToChildren": case.facts.get("access_to_children"),
            "convictedSexOffender": case.facts.get("previous_contact_conviction"),
        },
        ("screenName",),
    )
    if case.prior:
        reported["priorCTReports"] = [case.prior]
    files = [_ncmec_file(rng, case, f) for f in case.files]
    flat = rng.random() < 0.3
    information = {
        "reportingEsp": {"espName": "Sample Provider Inc"},
        "incidentSummary": {
            "incidentType": "Child Pornography (possession, manufacture, and distribution)",
            "incidentDateTime": _z(case.occurred),
            "platform": person.service,
            "escalateToHighPriority": case.urgent,
        },
        "reportedPeople": {"reportedPersons": [reported]},
        "uploadedFiles": files if flat else {"uploadedFiles": files},
        "additionalInformations": [{"value": f"[synthetic narrative {case.number}]"}],
        "sampleKeyOfTheFuture": {"kept": "verbatim"},
    }
    tree = {
        "reportId": int(case.reference),
        "dateReceived": _z(case.steps[1]),
        "reportedInformation": information,
        "additionalNcmecInformation": {"priority": {"priorityId": "E", "value": "sample priority"}},
        "lawEnforcementContactInformation": {
            "lawEnforcementContacts": [{"agency": "NCA", "dateTimeMadeAvailable": _z(case.steps[2])}]
        },
    }
    return _json(tree, bom=rng.random() < 0.2)


def _capture(case: SampleCase) -> Tree:
    return {
        "captureType": "IP Address",
        "value": _address(case),
        "eventName": "Login",
        "dateTime": _when(case),
        "port": case.suspect.port,
        "possibleProxy": False,
    }


def _ncmec_file(rng: random.Random, case: SampleCase, file: SampleFile) -> Tree:
    return _some(
        rng,
        case,
        {
            "filename": file.name,
            "originalFilename": f"IMG_{file.name}",
            "verificationHash": file.picture.md5,
            "viewedByEsp": file.viewed,
            "industryClassification": rng.choice(("A1", "B2", None)),
            "ncmecTags": {"groups": [{"tags": [{"value": mark} for mark in file.annotations]}]},
            "espMetadata": {"metadatas": [{"name": "uploaded", "value": _z(case.occurred)}]},
        },
        ("filename",),
    )


def ncmec_xml(rng: random.Random, case: SampleCase) -> bytes:
    """The provider's XML."""
    person = case.suspect
    root = ElementTree.Element("report", {"id": case.reference})
    _tree(
        root,
        {
            "incidentSummary": {
                "incidentType": "Online Enticement of Children for Sexual Acts",
                "escalateToHighPriority": case.urgent,
                "incidentDateTime": _z(case.occurred),
            },
            "reporter": {"reportingPerson": {"companyName": "Sample Provider Inc"}},
            "personOrUserReported": {
                "personOrUserReportedPerson": {"email": person.email, "phone": _phone(case)},
                "espIdentifier": person.user_id,
                "espService": person.service,
                "screenName": person.username,
                "ipCaptureEvent": {
                    "ipAddress": _address(case),
                    "eventName": "Login",
                    "dateTime": _when(case),
                    "port": str(person.port),
                },
                "priorCTReports": case.prior,
            },
        },
    )
    for file in case.files:
        details = ElementTree.SubElement(root, "fileDetails")
        viewed = None if file.viewed is None else str(file.viewed).lower()
        _tree(details, {"originalFileName": file.name, "fileViewedByEsp": viewed, "publiclyAvailable": "false"})
        mark = ElementTree.SubElement(details, "originalFileHash", {"hashType": "MD5"})
        mark.text = file.picture.md5
        _tree(details, {"fileAnnotations": dict.fromkeys(file.annotations, "")} if file.annotations else {})
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _tree(parent: ElementTree.Element, content: Tree) -> None:
    for name, value in content.items():
        if value is not None:
            element = ElementTree.SubElement(parent, name)
            if isinstance(value, dict):
                _tree(element, value)
            else:
                element.text = str(value)


FORMS: dict[str, tuple[str, str, Callable[[random.Random, SampleCase], bytes]]] = {
    "ncmec-json": ("nca", "report.json", ncmec_json),
    "ncmec-xml": ("nca", "report.xml", ncmec_xml),
    "nca-direct": ("nca", "report.json", nca_direct),
    "ucol": ("ucol", "referral.json", ucol),
    "ocag": ("ocag", "referral.json", ocag),
    "generic-json": ("other", "referral.json", generic_json),
    "generic-csv": ("other", "referral.csv", generic_csv),
}
"""Format -> landing folder, name of the report's file, writer."""
