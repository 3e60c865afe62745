"""Every reader is in the registry, has samples, keeps the contract."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.ingest import sources
from pipeline.sample.forms import FORMS
from pipeline.settings import ROOT
from tests.pipeline.ingest.sources.contract import FormContract, ReaderContract


class TestNcmecJson(ReaderContract):
    name = "ncmec-json"


class TestNcmecXml(ReaderContract):
    name = "ncmec-xml"


class TestNcaDirect(FormContract):
    name = "nca-direct"


class TestUcol(FormContract):
    name = "ucol"


class TestOcag(FormContract):
    name = "ocag"


class TestGenericJson(FormContract):
    name = "generic-json"


class TestGenericCsv(ReaderContract):
    name = "generic-csv"


def test_every_reader_keeps_the_contract_and_has_samples() -> None:
    tested = {
        cls.name for cls in [*ReaderContract.__subclasses__(), *FormContract.__subclasses__()] if hasattr(cls, "name")
    }
    names = [reader.name for reader in sources.READERS]
    assert len(set(names)) == len(names)
    assert tested == set(names) == set(FORMS)


@pytest.mark.parametrize("path", sorted((ROOT / "schemas" / "referrals").glob("*.json")), ids=lambda p: p.stem)
def test_every_field_of_every_schema_has_title_and_description(path: Any) -> None:
    def check(schema: dict[str, Any], where: str) -> None:
        for name, spec in schema.get("properties", {}).items():
            if "$ref" not in spec:
                assert spec.get("title"), f"{where}/{name}"
            assert spec.get("description") or "$ref" in spec, f"{where}/{name}"
            check(spec, f"{where}/{name}")
            check(spec.get("items", {}), f"{where}/{name}/items")

    schema = json.loads(path.read_text())
    assert schema["title"]
    assert schema["description"]
    check(schema, path.stem)
    for name, spec in schema.get("$defs", {}).items():
        assert spec["title"], name
        assert spec["description"], name
        check(spec, f"{path.stem}/$defs/{name}")


def test_schemas_are_those_of_the_readers() -> None:
    named = {reader.schema for reader in sources.READERS if reader.schema}
    assert named == {path.stem for path in (ROOT / "schemas" / "referrals").glob("*.json")}
