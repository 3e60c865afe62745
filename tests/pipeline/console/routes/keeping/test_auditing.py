"""The auditor's questions and the administrator's work, as they are done in a browser."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from pipeline.audit import anchors, log
from pipeline.console.routes.keeping import auditing
from pipeline.store.people_tables import AuditEntry, WebSession
from tests.pipeline.console.client import Client, version_of
from tests.pipeline.console.html_rules import errors


def opened(client: Any, number: str) -> None:
    texts = client.get(f"/cases/{number}/texts?format=json").json()["groups"]
    assert (
        client.get(f"/cases/{number}/texts", params={"open": texts[0]["id"], "reason": "allocated"}).status_code == 200
    )


def test_an_auditor_filters_verifies_and_takes_the_log_along(
    app: Any, browser_of: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(auditing, "PAGE", 20)
    ana, ben, aud, admin = (browser_of(name) for name in ("ana", "ben", "aud", "admin"))
    cases = ana.get("/queue?format=json").json()["cases"]
    number = next(c["case_id"] for c in cases if ana.get(f"/cases/{c['case_id']}/texts?format=json").json()["groups"])
    ana.post(f"/cases/{number}/claim")
    opened(ana, number)
    opened(ben, number)
    saw = aud.get(f"/audit?asked=seen&case={number.lower()}&format=json").json()["entries"]
    assert {"ana", "ben"} <= {e["user_id"] for e in saw} and {e["case_id"] for e in saw} == {number}
    did = aud.get("/audit?asked=seen&person=ben&format=json").json()["entries"]
    assert did[0]["action"] == "text.opened" and {e["user_id"] for e in did} == {"ben"}
    unclaimed = aud.get("/audit?asked=unclaimed&format=json").json()["entries"]
    assert [(e["user_id"], e["case_id"]) for e in unclaimed] == [("ben", number)]
    assert aud.get("/audit?until=2020-01-01&format=json").json()["entries"] == []
    assert aud.get("/audit?since=yesterday&format=json").status_code == 400
    first = aud.get("/audit?format=json").json()
    assert len(first["entries"]) == 20 and first["next"]
    assert aud.get(f"{first['next']}&format=json").json()["entries"][0]["seq"] == first["entries"][-1]["seq"] - 1

    page = aud.post("/audit/verify")
    assert "The log is intact" in page.text and errors(page.text) == []
    anchors.write(app.app.state.store)
    page = aud.post("/audit/verify").text
    assert "anchors agree" in page and "Anchored outside the store up to entry" in page
    taken = aud.post("/audit/export", {"recipient": "Inspectorate", "reason": "yearly"})
    (tmp_path / "log.jsonl").write_bytes(taken.content)
    assert log.verify_file(tmp_path / "log.jsonl").entries == len(taken.content.splitlines())
    assert json.loads(taken.content.splitlines()[-1])["action"] == "audit.exported"
    assert aud.post("/audit/export", {"recipient": ""}).status_code == 400

    shown = admin.get("/audit").text  # verifies, and does not read
    assert "Verify the log" in shown and "ben" not in shown and ana.get("/audit").status_code == 403
    with app.app.state.store.session() as session:
        session.execute(sa.text("DROP TRIGGER audit_no_update"))
        session.execute(sa.update(AuditEntry).where(AuditEntry.seq == 3).values(reason="altered"))
    page = aud.post("/audit/verify").text
    assert "Entry 3 was edited" in page and "Altered" in page


def test_an_administrator_looks_after_accounts(app: Any, browser_of: Any) -> None:
    admin, ana, sue = browser_of("admin"), browser_of("ana"), browser_of("sue")
    ana.post("/account/tokens", {"name": "for a script", "days": "5", "scope": "read"})
    rows = {r["user_id"]: r for r in admin.get("/accounts?format=json").json()["accounts"]}
    assert (rows["ana"]["sessions"], rows["ana"]["tokens"], rows["ben"]["sessions"]) == (1, 1, 0)
    assert rows["ana"]["last_sign_in_at"] and rows["ben"]["last_sign_in_at"] is None
    assert sue.get("/accounts").status_code == 200 and ana.get("/accounts").status_code == 403
    added = admin.post(
        "/accounts", {"user_id": "eve", "name": "Eve", "password": "a long enough one", "roles": ["dmi"]}
    )
    assert added.headers["location"] == "/accounts/eve?done=entered"
    again = admin.post("/accounts", {"user_id": "eve", "name": "Typed name"})
    assert again.status_code == 422 and "Typed name" in again.text and errors(again.text) == []
    page = admin.get("/accounts/ana")
    assert "for a script" in page.text and errors(page.text) == []
    changed = {"version": version_of(page), "name": "Ana A", "roles": ["analyst", "dmi"], "compartments": ["ucol"]}
    assert admin.post("/accounts/ana", changed).status_code == 303
    row = admin.get("/accounts/ana?format=json").json()
    assert (row["account"]["roles"], row["account"]["compartments"], row["tokens"]) == (
        ["analyst", "dmi"],
        ["ucol"],
        [],
    )
    assert ana.get("/queue", headers={"accept": "application/json"}).status_code == 401  # her session ended
    stale = admin.post("/accounts/ana", changed)
    assert stale.status_code == 422 and "was changed after you opened it" in stale.text
    assert admin.post("/accounts/sue/end").status_code == 303
    with app.app.state.store.reader() as session:
        assert session.scalar(sa.select(sa.func.count()).where(WebSession.user_id == "sue")) == 0
    assert admin.get("/accounts/nobody").status_code == 404


def test_a_person_is_chosen_by_name(readers: dict[str, Client]) -> None:
    page = readers["aud"].get("/audit?person=ben").text
    assert '<option value="ben" selected>Ben Analyst (ben)</option>' in page and ">Ana Analyst (ana)</option>" in page
    assert '<option value="gone" selected>gone</option>' in readers["aud"].get("/audit?person=gone").text
