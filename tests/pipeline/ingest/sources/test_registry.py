"""Every reader is in the registry, has samples, keeps the contract."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from pipeline import policy
from pipeline.assess.features import FEATURES
from pipeline.ingest import sources
from pipeline.reference import forms
from pipeline.sample.forms import FORMS
from pipeline.settings import Settings
from tests.pipeline.ingest.sources.contract import FormContract, ReaderContract, filled


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


@pytest.mark.parametrize("form", forms.names())
def test_every_field_of_every_schema_has_title_and_description(form: str) -> None:
    def check(schema: dict[str, Any], where: str) -> None:
        for name, spec in schema.get("properties", {}).items():
            if "$ref" not in spec:
                assert spec.get("title"), f"{where}/{name}"
            assert spec.get("description") or "$ref" in spec, f"{where}/{name}"
            check(spec, f"{where}/{name}")
            check(spec.get("items", {}), f"{where}/{name}/items")

    schema = forms.whole(form)
    assert schema["title"]
    assert schema["description"]
    check(schema, form)
    for block, spec in schema.get("$defs", {}).items():
        assert spec["title"], block
        assert spec["description"], block
        check(spec, f"{form}/$defs/{block}")


def test_schemas_are_those_of_the_readers() -> None:
    named = {reader.schema for reader in sources.READERS if reader.schema}
    assert named == set(forms.names())


def test_what_forms_share_stands_once() -> None:
    """Every form of ours refers to all shared blocks and repeats none; a validator resolves the references by file."""
    common = json.loads((forms.FOLDER / forms.SHARED).read_text())
    registry = Registry().with_resource(forms.SHARED, Resource.from_contents(common))
    ours = [name for name in forms.names() if "form" in forms.stated(name)["properties"]]
    assert len(ours) == 4
    for name in ours:
        schema = forms.stated(name)
        assert len(forms.shared(schema)) >= 19 and not set(schema.get("$defs", {})) & set(common["$defs"])
        tree = filled(forms.whole(name), forms.whole(name))
        assert list(jsonschema.Draft202012Validator(schema, registry=registry).iter_errors(tree)) == []


def test_facts_are_those_of_the_policy_of_the_forms_and_of_the_features() -> None:
    known = set(policy.load(Settings(), "facts").data["facts"])
    assert set(forms.blocks()["facts"]["properties"]) == known
    read = {fact for feature in FEATURES.values() for fact in feature.facts}
    assert read <= known, "a feature reads what nobody can state"
