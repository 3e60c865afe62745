"""The bill of materials and the licences: current, complete, and valid by the CycloneDX schema."""

from __future__ import annotations

import json

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy import bill


def test_both_are_current() -> None:
    assert bill.main(["--check"]) == 0, "run: make bill"


def test_the_bill_is_valid_and_has_every_line_of_the_lock() -> None:
    text = bill.BILL.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = json.loads(text)["components"]
    lines = [line for line in bill.LOCK.read_text().splitlines() if "==" in line and not line.startswith(" ")]
    assert len(components) == len(lines) > 100
    assert all(component["hashes"] for component in components)


def test_licences_are_named() -> None:
    unnamed = [part.name for part in bill.parts() if part.licence == "not stated"]
    assert len(unnamed) <= 3, unnamed
    assert "AGPL" not in bill.LICENCES.read_text()
