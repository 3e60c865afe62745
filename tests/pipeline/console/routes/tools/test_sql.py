"""The SQL page: what the role may read beside the form, errors with candidates, answers in four forms, one's own history."""

from __future__ import annotations

import io
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa

from pipeline.console.routes.tools import sql
from pipeline.store.people_tables import AuditEntry, PastQuery
from tests.pipeline.console.html_rules import errors

COUNTS = "SELECT kind, count(*) AS n FROM matches GROUP BY kind ORDER BY kind"


def test_a_statement_is_answered_in_four_forms_logged_and_kept(app: Any, browser_of: Any) -> None:
    dan, ana = browser_of("dan"), browser_of("ana")
    assert ana.get("/sql").status_code == 403
    first = dan.get("/sql")
    assert "release.opinion" in first.text and "media_files" in first.text and "@weekly" in first.text
    assert "narratives" not in {t["name"] for t in dan.get("/sql?format=json").json()["schema"]}  # a DMI opens no texts
    told = {"sql": COUNTS, "reason": "a test"}
    page = dan.post("/sql", told)
    assert page.status_code == 200 and errors(page.text) == [] and "Answer" in page.text
    rows = dan.post("/sql?format=json", told).json()["rows"]
    assert rows and {"kind", "n"} == set(rows[0])
    lines = dan.post("/sql?format=csv", told).text.splitlines()
    assert lines[0] == "kind,n" and len(lines) == len(rows) + 1
    table = pq.read_table(io.BytesIO(dan.post("/sql", {**told, "as": "parquet"}).content))
    assert table.to_pylist() == rows
    named = dan.post("/sql?format=json", {"sql": "@open_cases"})
    assert named.status_code == 200 and named.json()["columns"]
    history = dan.get("/sql?format=json").json()["history"]
    assert [h["statement"] for h in history] == ["@open_cases", *[COUNTS] * 4]
    assert history[0]["rows"] == len(named.json()["rows"])
    assert COUNTS in dan.get(f"/sql?fill={history[1]['query_id']}").text.replace("&#39;", "'")
    with app.app.state.store.session() as session:
        logged = session.scalars(sa.select(AuditEntry.action).where(AuditEntry.user_id == "dan")).all()
        assert logged.count("query.run") == logged.count("query.answered") == 5
        assert logged.count("exported.web") == 2  # CSV and Parquet
        session.execute(sa.update(PastQuery).values(user_id="somebody else"))
    assert dan.get("/sql?format=json").json()["history"] == []


def test_an_error_names_candidates_and_keeps_what_was_typed(browser_of: Any) -> None:
    dan = browser_of("dan")
    for statement, hint in (
        ("SELECT kin FROM matches", "kind"),
        ("SELECT * FROM matchez", "matches"),
        ("@wekly", "weekly"),
        ("DELETE FROM matches", "Only SELECT is allowed"),
    ):
        page = dan.post("/sql", {"sql": statement, "reason": "a test"})
        assert page.status_code == 422 and statement in page.text and hint in page.text, statement
        assert errors(page.text) == []
    assert dan.post("/sql", {"sql": "SELECT 1"}).status_code == 422  # a reason is demanded
    refused = dan.post("/sql?format=json", {"sql": "SELECT kin FROM matches", "reason": "x"})
    assert refused.status_code == 400 and "kind" in refused.json()["message"]


def test_every_example_runs_and_no_more_run_at_once_than_there_is_room_for(browser_of: Any) -> None:
    dan = browser_of("dan")
    for _, statement in sql.EXAMPLES:
        assert dan.post("/sql?format=json", {"sql": statement, "reason": "a test"}).status_code == 200, statement
    for _ in range(sql.AT_ONCE):
        assert sql._room.acquire(blocking=False)
    try:
        busy = dan.post("/sql?format=json", {"sql": "SELECT 1", "reason": "a test"})
    finally:
        for _ in range(sql.AT_ONCE):
            sql._room.release()
    assert busy.status_code == 503 and busy.headers["retry-after"]
