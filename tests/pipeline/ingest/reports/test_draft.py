"""A draft: what cannot be used becomes a defect with its original text; what is restricted is not repeated."""

from __future__ import annotations

import pytest

from pipeline.ingest.reports.draft import Draft
from pipeline.ingest.reports.fields import Fields


def test_defects_in_a_restricted_block_do_not_repeat_the_value() -> None:
    draft = Draft(restricted="/covert_source")
    draft.defect("/covert_source/x", "Not usable.", "secret")
    draft.defect("/other", "Not usable.", "shown")
    assert [d["original"] for d in draft.defects] == [None, "shown"]


def test_original_is_shortened() -> None:
    draft = Draft(original_characters=10)
    draft.defect("/x", "Too long.", "y" * 100)
    assert len(draft.defects[0]["original"]) == 10


def test_an_identifier_that_cannot_be_normalised_is_a_defect() -> None:
    draft = Draft()
    draft.identifier("ip", "999.1.1.1", "/ip")
    draft.identifier("ip", "192.0.2.1:80", "/ip")
    assert [(i["value"], i["port"]) for i in draft.identifiers] == [("192.0.2.1", 80)]
    assert draft.defects[0]["original"] == "999.1.1.1"


def test_port_and_time_of_an_address_that_is_missing_or_wrong_stay() -> None:
    draft = Draft()
    tree = {"port": 5000, "at": "2026-11-01T10:00:00", "bare": "2026-11-01T10:00:00Z"}
    fields = Fields(draft, tree)
    port, seen = fields.port("port"), fields.moment("at", "Europe/London")
    draft.identifier("ip", None, "/ip", seen=seen, port=port)
    draft.identifier("ip", "999.1.1.1", "/ip", seen=fields.moment("bare"), port=port)
    draft.identifier("ip", "192.0.2.1:99999", "/ip")
    draft.identifier("ip", None, "/ip")
    assert [d["original"] for d in draft.defects] == [
        "port 5000 at 2026-11-01T10:00:00 (Europe/London)",
        "999.1.1.1 port 5000 at 2026-11-01T10:00:00Z",
        "192.0.2.1:99999",
    ]
    assert [(i["value"], i["port"], i["original"]) for i in draft.identifiers] == [
        ("192.0.2.1", None, "192.0.2.1:99999")
    ]
    assert (draft.given_identifiers, draft.unusable_identifiers) == (2, 1)


@pytest.mark.parametrize("kind", ["email", "username", "user_id", "url"])
def test_an_identifier_with_characters_that_nobody_sees_is_used_without_them_and_noted(kind: str) -> None:
    draft = Draft()
    plain = "sample@example.invalid" if kind == "email" else "sample_user"
    draft.identifier(kind, f"\u202a{plain}\u202c\u200b", "/x")
    (row,), (defect,) = draft.identifiers, draft.defects
    assert (row["value"], row["original"]) == (plain, f"\u202a{plain}\u202c\u200b")
    assert defect["field"] == "/x" and "nobody sees" in defect["problem"]
    assert defect["original"] == f"\\u202a{plain}\\u202c\\u200b"
