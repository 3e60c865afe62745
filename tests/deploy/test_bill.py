"""The bill of materials and the licences: current, complete, and valid by the CycloneDX schema."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jsonschema import Draft7Validator
from rfc3339_validator import validate_rfc3339
from rfc3986_validator import validate_rfc3986

from deploy import bill


def is_iri_reference(instance: object) -> bool:
    """By RFC 3987, 3.1: what is a reference once every character beyond ASCII is encoded."""
    if not isinstance(instance, str):
        return True
    mapped = "".join(c if c.isascii() else quote(c) for c in instance)
    return validate_rfc3986(mapped, rule="URI_reference") is not None


@pytest.fixture
def formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """The formats that the schema of CycloneDX names, checked whichever libraries jsonschema found when it was imported."""
    for name, check in (
        ("iri-reference", is_iri_reference),
        ("date-time", lambda instance: not isinstance(instance, str) or validate_rfc3339(instance)),
    ):
        monkeypatch.setitem(Draft7Validator.FORMAT_CHECKER.checkers, name, (check, ()))


def test_both_are_current() -> None:
    assert bill.main(["--check"]) == 0, "run: make bill"


@pytest.mark.usefixtures("formats")
def test_the_bill_is_valid_and_has_every_line_of_the_lock() -> None:
    text = bill.BILL.read_text()
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    wrong = json.loads(text)
    wrong["externalReferences"] = [{"type": "website", "url": "no reference: a space"}]
    assert "iri-reference" in str(validator.validate_str(json.dumps(wrong)))
    wrong["externalReferences"][0]["url"] = "https://straße.example/ein?b=ü"
    assert validator.validate_str(json.dumps(wrong)) is None
    wrong["metadata"]["timestamp"] = "yesterday"
    assert "date-time" in str(validator.validate_str(json.dumps(wrong)))
    components = json.loads(text)["components"]
    lines = [line for line in bill.LOCK.read_text().splitlines() if "==" in line and not line.startswith(" ")]
    assert len(components) == len(lines) > 100
    assert all(component["hashes"] for component in components)


def test_licences_are_named() -> None:
    unnamed = [part.name for part in bill.parts() if part.licence == "not stated"]
    assert len(unnamed) <= 3, unnamed
    assert "AGPL" not in bill.LICENCES.read_text()
