"""The page of one's own work, through HTTP: what is held, what was allocated by somebody else, what comes back."""

from __future__ import annotations

from typing import Any

from tests.pipeline.console.client import version_of


def test_mine_shows_what_is_next_what_is_waited_for_and_what_changed(browser_of: Any) -> None:
    ana, sue = browser_of("ana"), browser_of("sue")
    assert "You hold no case" in ana.get("/mine").text
    path = ana.post("/queue/next").headers["location"].split("?")[0]
    number = path.rpartition("/")[2]
    ana.get(path)
    data = ana.get("/mine?format=json").json()
    assert number in [duty["case_id"] for duty in data["duties"]]
    form = {"asked_of": "Example Chat", "reason": "missing_times", "text": "Please send the times."}
    assert ana.post(f"{path}/request", {"version": version_of(ana.get(path)), **form}).status_code == 303
    assert sue.post(f"{path}/note", {"version": version_of(sue.get(path)), "note": "[synthetic]"}).status_code == 303
    page = ana.get("/mine").text
    assert "An answer from Example Chat" in page and "Note added" in page
    assert [row["case_id"] for row in ana.get("/mine?format=json").json()["changed"]].count(number) == 1
    ana.get(path)
    assert number not in [row["case_id"] for row in ana.get("/mine?format=json").json()["changed"]]


def test_mine_is_for_who_works_on_cases(readers: Any) -> None:
    assert readers["dan"].get("/mine").status_code == 403
    assert 'href="/mine"' not in readers["dan"].get("/queue").text
    assert 'href="/mine"' in readers["ana"].get("/queue").text
