"""Look-ups lead on: from a hit to the known item, the matches here and their cases; matches by level and grade; exports of a case."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.matching import levels
from pipeline.store.people_tables import AuditEntry
from tests.pipeline.console.client import Client
from tests.pipeline.console.html_rules import errors


def test_matches_come_by_level_and_grade_with_the_number_of_cases(readers: dict[str, Client]) -> None:
    found = readers["sue"].get("/matches?format=json").json()["matches"]
    places = [levels.place(m) for m in found]
    assert places == sorted(places) and len(set(places)) > 1
    assert all(m["cases"] >= 1 for m in found)
    page = readers["sue"].get("/matches").text
    assert page.index(found[0]["match_id"][:14]) < page.index(found[-1]["match_id"][:14])


def test_a_hit_leads_to_the_known_item_its_matches_and_their_cases(readers: dict[str, Client]) -> None:
    sue = readers["sue"]
    match = next(m for m in sue.get("/matches?format=json").json()["matches"] if m["known_hash"])
    asked = {
        "hashes": f"{match['algorithm']}:{match['known_hash']}\nd41d8cd98f00b204e9800998ecf8427e",
        "reason": "a test",
    }
    page = sue.post("/look-up", asked)
    assert errors(page.text) == []
    assert f'href="/known/{match["media_key"]}"' in page.text and f'href="/matches/{match["match_id"]}"' in page.text
    assert "the hash of an empty file" in page.text
    row = next(
        r for r in sue.post("/look-up?format=json", asked).json()["rows"] if r["media_key"] == match["media_key"]
    )
    assert match["match_id"] in row["matches"] and row["cases"]
    known = sue.get(f"/known/{match['media_key']}?format=json").json()
    assert known["history"] and {c for m in known["matches"] for c in m["cases"]} == set(row["cases"])
    assert sue.get("/known/999999999").status_code == 404
    assert sue.get(f"/known/{2**64}").status_code == 422
    assert sue.get(f"/matches?after={2**64}.x").status_code == 200
    assert readers["aud"].get(f"/known/{match['media_key']}").status_code == 403


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xd8\xff\xe0 not shown", "is a picture (JPEG), not a list of hashes"),
        (b"PK\x03\x04xl/", "spreadsheet"),
        (b"a\0b", "is not text"),
        ("Datei;Prüfsumme\r\na.jpg;".encode() + b"9" * 32 + b"\r\n", "was read from &#39;Prüfsumme&#39;"),
    ],
)
def test_an_upload_that_is_no_plain_list_is_recognised(readers: dict[str, Client], data: bytes, said: str) -> None:
    sue = readers["sue"]
    answer = sue.post("/look-up", {"reason": "a test"}, files={"file": ("list.csv", data)})
    assert said in answer.text and answer.text.count("neither hex nor base64") == 0
    assert errors(answer.text) == []


def test_a_case_is_exported_from_its_page_as_a_logged_disclosure(app: Any, browser_of: Any) -> None:
    dan, ana = browser_of("dan"), browser_of("ana")
    number = dan.get("/queue?format=json").json()["cases"][0]["case_id"]
    assert "Export this case" in dan.get(f"/cases/{number}").text
    assert "Export this case" not in ana.get(f"/cases/{number}").text
    told = {"form": "export", "recipient": "Force 04", "reason": "a test"}
    vics = dan.post(f"/cases/{number}/export", {**told, "kind": "vics"})
    assert vics.headers["content-disposition"] == f'attachment; filename="{number}.json"'
    assert json.loads(vics.content)["value"][0]["Media"]
    bundle = dan.post(f"/cases/{number}/export", {**told, "kind": "case-uco"})
    assert json.loads(bundle.content)["@context"]
    assert ana.post(f"/cases/{number}/export", {**told, "kind": "vics"}).status_code == 403
    nobody = dan.post(
        f"/cases/{number}/export", {**told, "recipient": "", "kind": "vics"}, headers={"accept": "text/html"}
    )
    assert nobody.status_code == 400 and "Say who receives the export" in nobody.text and errors(nobody.text) == []
    with app.app.state.store.reader() as session:
        query = sa.select(AuditEntry.action, AuditEntry.recipient).where(AuditEntry.category == "disclosure")
        assert list(session.execute(query)) == [("exported.vics", "Force 04"), ("exported.case-uco", "Force 04")]
