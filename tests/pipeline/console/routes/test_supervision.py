"""The supervisor's page: many cases to one person at once, decisions that lead back to their list, no approval of one's own."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.console.routes import supervision
from pipeline.store.tables import Case
from tests.pipeline.console.client import Client, version_of


def free(sue: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sue.get("/supervision?format=json").json()["free"]
    return found


def test_ten_cases_go_to_one_person_in_one_form(app: Any, browser_of: Any) -> None:
    sue = browser_of("sue")
    page = sue.get("/supervision?tick=10").text
    chosen = re.findall(r'name="case" value="([^"]+)" checked', page)
    assert len(chosen) == 10
    assert "Ana Analyst: 0 cases" in page
    form = {"case": chosen, "person": "ana", "reason": "workload"}
    answer = sue.post("/supervision/allocate", form)
    assert answer.status_code == 303 and answer.headers["location"].startswith("/supervision?done=allocated-all")
    numbers = {entry.split(":")[0] for entry in chosen}
    with app.app.state.store.reader() as session:
        held = set(session.scalars(sa.select(Case.case_id).where(Case.holder == "ana")))
    assert numbers <= held
    assert not numbers & {row["case_id"] for row in free(sue)}
    loads = {load["user_id"]: load["cases"] for load in sue.get("/supervision?format=json").json()["loads"]}
    assert loads["ana"] == len(held)


def test_a_case_that_somebody_took_meanwhile_stops_none_of_the_others(app: Any, browser_of: Any) -> None:
    sue, ben = browser_of("sue"), browser_of("ben")
    rows = [row for row in free(sue) if row["case_id"]][:3]
    with app.app.state.store.reader() as session:
        plain = set(session.scalars(sa.select(Case.case_id).where(Case.compartment.is_(None))))
    taken = next(row for row in rows if row["case_id"] in plain)
    assert ben.post(f"/cases/{taken['case_id']}/claim").status_code == 303
    form = {"case": [f"{row['case_id']}:{row['version']}" for row in rows], "person": "sue", "reason": "workload"}
    answer = sue.post("/supervision/allocate", form)
    assert answer.status_code == 409
    assert f"{taken['case_id']}: Case {taken['case_id']} was changed by Ben Analyst" in answer.text
    with app.app.state.store.reader() as session:
        holders = {case.case_id: case.holder for case in session.scalars(sa.select(Case))}
    assert holders[taken["case_id"]] == "ben"
    assert sum(holders[row["case_id"]] == "sue" for row in rows) >= 1


def test_what_is_missing_is_said_and_what_was_chosen_stays(browser_of: Any) -> None:
    sue = browser_of("sue")
    row = free(sue)[0]
    answer = sue.post("/supervision/allocate", {"case": [f"{row['case_id']}:{row['version']}"], "reason": "skills"})
    assert answer.status_code == 409 and "Choose the person." in answer.text
    assert f'value="{row["case_id"]}:{row["version"]}" checked' in answer.text
    assert '<option value="skills" selected>' in answer.text
    assert "Choose at least one case." in sue.post("/supervision/allocate", {"person": "ana"}).text


def propose(browser_of: Any, name: str) -> tuple[Client, str]:
    """A lowering proposed by this person; the client and the case's address."""
    client: Client = browser_of(name)
    path = client.post("/queue/next").headers["location"].split("?")[0]
    form = {"decision": "lower_band", "band": "low", "reason": "suspect_elsewhere", "note": "[synthetic note]"}
    assert client.post(f"{path}/decide", {"version": version_of(client.get(path)), **form}).status_code == 303
    return client, path


def test_an_approval_leads_back_to_its_list_and_a_refused_form_stays_there(browser_of: Any) -> None:
    _, path = propose(browser_of, "ana")
    sue = browser_of("sue")
    row = sue.get("/supervision?format=json").json()["lowerings"][0]
    page = sue.get("/supervision").text
    assert "Suspect has no access to a child" in page and "Suspect elsewhere" not in page
    form = {
        "version": str(row["version"]),
        "form": f"la{row['lowering_id']}",
        "then": "supervision",
        "verdict": "approve",
    }
    refused = sue.post(f"{path}/lowering", {**form, "note": "[synthetic typed]"}, headers={"accept": "text/html"})
    assert refused.status_code == 400
    assert "<title>Supervision" in refused.text and "[synthetic typed]" in refused.text
    given = {**form, "reason": "suspect_elsewhere", "note": "[synthetic note]"}
    answer = sue.post(f"{path}/lowering", given)
    assert answer.headers["location"] == "/supervision?done=decided#lowerings"
    assert sue.get("/supervision?format=json").json()["lowerings"] == []


def test_ones_own_proposal_offers_no_approval(browser_of: Any) -> None:
    sue, _ = propose(browser_of, "sue")
    page = sue.get("/supervision").text
    assert "You proposed it: a colleague decides." in page
    assert 'name="verdict"' not in page


def test_the_counts_on_top_are_those_of_the_lists_and_of_the_dashboard(browser_of: Any) -> None:
    sue = browser_of("sue")
    data = sue.get("/supervision?format=json").json()
    lists = {"past_target": "overdue"}
    for name, count in data["counts"].items():
        assert len(data[lists.get(name, name)]) == count, name


def test_a_page_has_the_first_of_long_lists_and_says_how_long_they_are(
    browser_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sue = browser_of("sue")
    data = sue.get("/supervision?format=json").json()
    assert len(data["flags"]) > 2 and len(data["overdue"]) > 2
    monkeypatch.setattr(supervision, "SHOWN", 2)
    page = sue.get("/supervision").text
    for name, number in (("flags", len(data["flags"])), ("overdue", len(data["overdue"]))):
        section = page.split(f'id="{name}"')[1].split("</section>")[0]
        assert re.findall(r'href="/cases/([^"/]+)"', section) == [row["case_id"] for row in data[name][:2]]
        assert f"({number})" in section and f"The first 2 of {number}." in section
    assert [len(sue.get("/supervision?format=json").json()[name]) for name in ("flags", "overdue")] == [
        len(data["flags"]),
        len(data["overdue"]),
    ]
