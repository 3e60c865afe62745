"""What every referral format promises. A test class a reader inherits this; one without fails test_registry."""

from __future__ import annotations

import hashlib
import json
import random
from datetime import UTC, datetime
from typing import Any

import jsonschema
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline import records
from pipeline.errors import InputError
from pipeline.ingest import rules, sources
from pipeline.ingest.landing.package import Member, Package
from pipeline.ingest.reports import report
from pipeline.ingest.writing import rows
from pipeline.ingest.writing.context import Context
from pipeline.locator import Locator
from pipeline.reference import forms
from pipeline.sample.cases import SampleCase, case
from pipeline.sample.forms import FORMS
from pipeline.sample.media import Gallery
from pipeline.settings import Settings
from tests import factory

RULES = rules.load(Settings())
SUFFIX = {"json": "json", "xml": "xml", "csv": "csv"}

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def cases(seed: int, count: int = 12) -> list[SampleCase]:
    """Invented cases, well filled and poorly filled."""
    rng, people = random.Random(seed), []  # type: ignore[var-annotated]
    gallery = Gallery(seed, 1, tiny=True)
    return [
        case(rng, gallery, n, datetime(2026, 11, 21, tzinfo=UTC), people=people, files=n % 4) for n in range(1, count)
    ]


class ReaderContract:
    """Set `name` to the reader's."""

    name: str

    @property
    def reader(self) -> sources.Reader:
        return sources.by_name(self.name)

    def read(self, content: bytes) -> report.FoundReport | None:
        name = f"report.{SUFFIX[self.reader.kind]}"
        return report.read(Member(name, len(content), Locator(f"x/{name}"), content), content, RULES.report)

    def rows(self, content: bytes) -> dict[str, list[dict[str, Any]]]:
        """All rows that the report makes, checked against every record schema."""
        found = self.read(content)
        assert found is not None
        package = Package(self.reader.folder, f"{self.reader.folder}/p", "folder", [found.member])
        context = Context(package, "0" * 64, "r" * 32, None, RULES, "night-test", factory.AS_OF)
        made = rows.compose(found, context)
        for table, listed in made.items():
            records.build(table, listed)
        return made

    def test_it_reads_every_sample_without_a_defect(self) -> None:
        for made in cases(5):
            tables = self.rows(FORMS[self.name][2](random.Random(made.number), made))
            assert tables["defects"] == []
            assert tables["referrals"][0]["source_reference"] == made.reference
            assert tables["referrals"][0]["source"] == self.reader.source
            assert len(tables["media_files"]) == len(made.files)

    def test_it_recognises_its_own_samples_and_no_other_reader_does(self) -> None:
        for made in cases(6, 6):
            content = FORMS[self.name][2](random.Random(1), made)
            found = self.read(content)
            assert found is not None
            assert found.reader is self.reader
            assert found.sha256 == hashlib.sha256(content).hexdigest()

    def test_facts_are_those_of_the_policy_and_point_to_their_place(self) -> None:
        for made in cases(7):
            for fact in self.rows(FORMS[self.name][2](random.Random(2), made))["facts"]:
                assert fact["name"] in RULES.report.facts
                assert fact["value"] in {"yes", "no", "unknown"}
                assert fact["source_path"].startswith("/")

    def test_the_same_bytes_give_the_same_rows(self) -> None:
        content = FORMS[self.name][2](random.Random(3), cases(8)[-1])
        assert self.rows(content) == self.rows(content)

    @hypothesis_settings(
        max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors]
    )
    @given(data=st.data())
    def test_any_value_in_any_place_is_read_or_becomes_a_defect(self, data: st.DataObject) -> None:
        """Replace values of a good report by anything: no exception, rows stay valid, nothing is lost."""
        content = FORMS[self.name][2](random.Random(4), cases(9)[-1])
        if self.reader.kind != "json":
            raw = bytearray(content)
            for _ in range(data.draw(st.integers(1, 5))):
                raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(32, 126))
            try:
                if self.read(bytes(raw)) is not None:
                    self.rows(bytes(raw))
            except InputError as error:
                assert error.message
            return
        tree = json.loads(content.decode("utf-8-sig"))
        for _ in range(data.draw(st.integers(1, 6))):
            spoil(tree, data)
        changed = json.dumps(tree, ensure_ascii=True).encode()
        try:
            found = self.read(changed)
        except InputError as error:
            assert error.message
            return
        if found is not None:
            self.rows(changed)


def spoil(tree: Any, data: st.DataObject) -> None:
    """Put anything in the place of some value of the tree."""
    node, key = tree, None
    while isinstance(node, dict | list) and node:
        parent = node
        key = (
            data.draw(st.sampled_from(sorted(node)))
            if isinstance(node, dict)
            else data.draw(st.integers(0, len(node) - 1))
        )
        node = parent[key]
        if data.draw(st.integers(0, 3)) == 0:
            break
    if key is not None:
        parent[key] = data.draw(ANY)


class FormContract(ReaderContract):
    """Our own JSON forms have a JSON Schema, and reader and schema agree."""

    @property
    def schema(self) -> dict[str, Any]:
        assert self.reader.schema is not None
        return forms.whole(self.reader.schema)

    def test_samples_follow_the_schema(self) -> None:
        validator = jsonschema.Draft202012Validator(self.schema, format_checker=jsonschema.FormatChecker())
        for made in cases(10):
            tree = json.loads(FORMS[self.name][2](random.Random(made.number), made).decode("utf-8-sig"))
            assert [e.message for e in validator.iter_errors(tree)] == []

    def test_the_reader_reads_every_field_of_the_schema(self) -> None:
        """A report with every field of the schema leaves nothing unread and has no defect."""
        tree = filled(self.schema, self.schema)
        assert [e.message for e in jsonschema.Draft202012Validator(self.schema).iter_errors(tree)] == []
        found = self.read(json.dumps(tree).encode())
        assert found is not None
        assert found.draft.referral["unknown_keys"] is None
        assert found.draft.defects == []


def filled(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """An instance with every property, made from the examples of the schema."""
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return filled(target, root)
    if "examples" in schema:
        return schema["examples"][0]
    if "properties" in schema:
        return {name: filled(spec, root) for name, spec in schema["properties"].items()}
    if "items" in schema:
        return [filled(schema["items"], root)]
    return filled(schema["anyOf"][0], root)
