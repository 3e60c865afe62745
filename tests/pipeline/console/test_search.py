"""The one search: every kind of value that somebody can have in hand, the compartment's rule, and the audit entry."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from pipeline.console.search import folded
from pipeline.lake import Lake
from pipeline.settings import Settings
from pipeline.store.people_tables import AuditEntry
from pipeline.store.tables import Case
from tests.pipeline.console.client import Client


def hits(client: Client, text: str) -> list[dict[str, Any]]:
    answer = client.post("/search?format=json", {"text": text})
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text)["hits"]


def cases_of(client: Client, text: str) -> set[str]:
    return {hit["case_id"] for hit in hits(client, text)}


def lake_rows(settings: Settings, table: str) -> list[dict[str, Any]]:
    return Lake(settings.lake_dir).read(table).to_pylist()


def test_a_username_in_two_cases_gives_both(night: Settings, readers: dict[str, Client]) -> None:
    by_value: dict[str, set[str]] = {}
    for row in lake_rows(night, "identifiers"):
        if row["kind"] == "username":
            by_value.setdefault(row["value"], set()).add(row["referral_id"])
    shared = [value for value, referrals in by_value.items() if len(referrals) > 1]
    assert shared
    assert max(len(cases_of(readers["sue"], value)) for value in shared) > 1


@pytest.mark.parametrize("kind", ["username", "email", "phone", "ip"])
def test_each_kind_of_identifier_is_found_as_it_was_given(
    night: Settings, readers: dict[str, Client], kind: str
) -> None:
    row = next(r for r in lake_rows(night, "identifiers") if r["kind"] == kind and r["original"])
    found = hits(readers["sue"], row["original"].upper() if kind == "email" else row["original"])
    assert any(f["kind"] == kind for hit in found for f in hit["found"])


def test_names_and_references_are_found(night: Settings, readers: dict[str, Client]) -> None:
    name = next(r["name"] for r in lake_rows(night, "subjects") if r["name"] and " " in r["name"])
    assert cases_of(readers["sue"], name) == cases_of(readers["sue"], " ".join(reversed(name.split())))
    assert cases_of(readers["sue"], name)
    reference = next(r["source_reference"] for r in lake_rows(night, "referrals") if r["source_reference"])
    assert any(f["kind"] == "reference" for hit in hits(readers["sue"], reference) for f in hit["found"])


def test_hashes_are_found_exactly_and_nearly(night: Settings, readers: dict[str, Client]) -> None:
    print_ = next(r for r in lake_rows(night, "fingerprints") if r["pdq"] is not None)
    whole = cases_of(readers["sue"], print_["sha256"].hex())
    assert whole and whole == cases_of(readers["sue"], print_["md5"].hex())
    changed = bytes([print_["pdq"][0] ^ 0b111, *print_["pdq"][1:]])
    assert whole <= cases_of(readers["sue"], f"pdq:{changed.hex()}")
    kinds = {f["kind"] for hit in hits(readers["sue"], changed.hex()) for f in hit["found"]}
    assert "file 3 bits away by PDQ" in kinds
    whole_words = {f["kind"] for hit in hits(readers["sue"], print_["md5"].hex()) for f in hit["found"]}
    assert "file with this MD5" in whole_words


def test_a_part_of_a_case_number_is_enough(readers: dict[str, Client]) -> None:
    number = json.loads(readers["sue"].get("/queue?format=json").text)["cases"][0]["case_id"]
    assert number in cases_of(readers["sue"], number[4:9].lower())


def test_what_is_restricted_is_not_found_without_the_compartment(
    night: Settings, browser_of: Callable[[str], Client], app: Any
) -> None:
    row = next(r for r in lake_rows(night, "identifiers") if r["kind"] == "username" and r["original"])
    ana, sue = browser_of("ana"), browser_of("sue")
    seen = cases_of(ana, row["original"])
    assert seen and seen == cases_of(sue, row["original"])
    with app.app.state.store.session() as session:
        session.execute(update(Case).where(Case.case_id.in_(seen)).values(compartment="ucol"))
    assert cases_of(ana, row["original"]) == set()
    assert cases_of(ana, next(iter(seen))) == set()
    assert cases_of(sue, row["original"]) == seen


def test_a_search_is_logged_without_its_text(night: Settings, browser_of: Any, app: Any) -> None:
    client = browser_of("sue")
    hits(client, "nothing like this anywhere")
    with app.app.state.store.reader() as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "search")).one()
        assert entry.object.startswith("search:") and "nothing like" not in str(vars(entry))


def test_a_short_search_stays_on_the_form(readers: dict[str, Client]) -> None:
    answer = readers["sue"].post("/search", {"text": "ab"}, headers={"Accept": "text/html"})
    assert answer.status_code == 400 and 'value="ab"' in answer.text and "3 to 400 characters" in answer.text


def test_values_are_folded() -> None:
    assert folded("  Ａna\u200b  Sample ") == "ana sample"
