"""Groups, and what has to be told to whom, as pages: by the people who work with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.cases.publishing import restricting
from pipeline.store.duty_tables import Flag
from pipeline.store.people_tables import AuditEntry
from pipeline.store.tables import Case, Notification
from tests.pipeline.console.client import Client
from tests.pipeline.console.html_rules import errors

Browsers = Callable[[str], Client]


@pytest.fixture
def joined(app: Any, browser_of: Browsers) -> tuple[str, list[str]]:
    """A case of a group that everybody sees, and all the cases of that group."""
    ana = browser_of("ana")
    for row in ana.get("/queue?format=json").json()["cases"]:
        data = ana.get(f"/cases/{row['case_id']}/group?format=json").json()
        if data["group"]:
            return row["case_id"], [c["case_id"] for c in data["cases"]]
    raise AssertionError("the sample night has one account in several reports")


def test_a_group_is_claimed_decided_and_taken_apart_on_its_page(
    app: Any, browser_of: Browsers, joined: tuple[str, list[str]]
) -> None:
    number, numbers = joined
    ana = browser_of("ana")
    page = ana.get(f"/cases/{number}/group").text
    assert errors(page) == [] and f"One investigation of {len(numbers)} cases" in page
    assert f'href="/cases/{number}/group"' in ana.get(f"/cases/{number}").text
    assert ana.post(f"/cases/{number}/group/claim").headers["location"] == f"/cases/{number}/group?done=claimed-all"
    data = ana.get(f"/cases/{number}/group?format=json").json()
    assert {c["holder"] for c in data["cases"]} == {"ana"} and data["free"] == []

    told = {"then": "group", "form": "start_enquiry", "decision": "start_enquiry", "note": "[synthetic note 3]"}
    stale = {**told, "reason": "enquiry_opened", "seen": [f"{n}=0" for n in numbers]}
    refused = ana.post(f"/cases/{number}/group/decide", stale, headers={"accept": "text/html"})
    assert refused.status_code in {400, 409} and "[synthetic note 3]" in refused.text and errors(refused.text) == []
    seen = [f"{c['case_id']}={c['version']}" for c in data["cases"]]
    done = ana.post(f"/cases/{number}/group/decide", {**told, "reason": "enquiry_opened", "seen": seen})
    assert done.headers["location"].endswith("done=decided-all"), done.text
    data = ana.get(f"/cases/{number}/group?format=json").json()
    assert {c["state"] for c in data["cases"]} == {"in_enquiry"}

    apart = {"then": "group", "form": "apart", "reason": "other_person", "version": str(data["version"])}
    assert ana.post(f"/cases/{number}/group/apart", apart).status_code == 303
    alone = ana.get(f"/cases/{number}/group")
    assert "is in no group" in alone.text and "Put it back" in alone.text and errors(alone.text) == []
    assert "Put it back" in ana.get(f"/cases/{number}").text
    version = alone_version(ana, number)
    assert ana.post(f"/cases/{number}/group/back", {"version": version}).status_code == 303
    assert len(ana.get(f"/cases/{number}/group?format=json").json()["cases"]) == len(numbers)


def alone_version(client: Client, number: str) -> str:
    return str(client.get(f"/cases/{number}/group?format=json").json()["version"])


def test_a_member_that_becomes_restricted_is_gone_and_its_holder_told_only_that(
    app: Any, browser_of: Browsers, joined: tuple[str, list[str]]
) -> None:
    number, numbers = joined
    ana, sue = browser_of("ana"), browser_of("sue")
    ana.post(f"/cases/{number}/group/claim")
    hidden = next(n for n in numbers if n != number)
    with app.app.state.store.session() as session:
        case = session.get_one(Case, hidden)
        case.compartment = "ucol"
        restricting.withdraw(session, case)
        from pipeline.cases import groups

        groups.regroup(session, numbers)
    group = ana.get(f"/cases/{number}/group")
    assert hidden not in group.text
    assert hidden not in ana.get(f"/cases/{number}").text.replace(f"Case {hidden} was taken over", "")
    listed = ana.get("/queue?holder=me&format=json").json()
    assert hidden not in [c["case_id"] for c in listed["cases"]]
    assert ana.get(f"/cases/{hidden}").status_code == ana.get(f"/cases/{hidden}/group").status_code == 404
    assert hidden in sue.get(f"/cases/{number}/group").text
    queue = ana.get("/queue").text
    assert f"Case {hidden} was taken over." in queue and errors(queue) == []
    assert "taken over" not in browser_of("ben").get("/queue").text
    (path,) = {part.split('"')[0] for part in queue.split('action="')[1:] if part.startswith("/notices/")}
    assert ana.post(path).status_code == 303
    assert "was taken over" not in ana.get("/queue").text
    assert browser_of("ben").post(path).status_code == 400


def test_a_flag_is_acknowledged_on_the_case_with_the_time_of_telling(app: Any, browser_of: Browsers) -> None:
    sue = browser_of("sue")
    with app.app.state.store.reader() as session:
        flag = session.scalars(sa.select(Flag).where(Flag.waiting.is_(True)).order_by(Flag.flag_id)).first()
    assert flag is not None, "the sample night has flags"
    page = sue.get(f"/cases/{flag.case_id}").text
    assert "Nobody has been told" in page and errors(page) == []
    form = {"flag_id": str(flag.flag_id), "told_to": "Det Supt Sample", "form": f"f{flag.flag_id}"}
    wrong = sue.post(f"/cases/{flag.case_id}/told", {**form, "told_at": "yesterday"}, headers={"accept": "text/html"})
    assert wrong.status_code == 400 and "Det Supt Sample" in wrong.text
    assert sue.post(f"/cases/{flag.case_id}/told", {**form, "told_at": "2026-07-21T09:30"}).status_code == 303
    shown = sue.get(f"/cases/{flag.case_id}").text
    assert "told to Det Supt Sample by Sue Supervisor, 21 Jul 2026, 09:30" in shown
    assert "was told by Sue Supervisor on 21 Jul 2026, 09:30" in shown


def test_the_referral_to_children_s_services_is_a_form_that_prints(app: Any, browser_of: Browsers) -> None:
    ana = browser_of("ana")
    number = ana.get("/queue?format=json").json()["cases"][0]["case_id"]
    with app.app.state.store.session() as session:
        row = Notification(case_id=number, kind="childrens_services", label="x", reason="y", authority="Sampleshire",
                           listed_at=app.app.state.store.clock())  # fmt: skip
        session.add(row)
    path = f"/cases/{number}/childrens-services"
    page = ana.get(path).text
    assert 'value="Sampleshire"' in page and errors(page) == []
    told = {"then": "childrens", "form": "childrens", "authority": "Sampleshire", "concern": "[synthetic concern 1]"}
    refused = ana.post(
        path, {**told, "threshold": "s47", "strategy_held": "2026-11-20"}, headers={"accept": "text/html"}
    )
    assert refused.status_code == 400 and "[synthetic concern 1]" in refused.text and errors(refused.text) == []
    made = ana.post(path, {**told, "threshold": "s47", "strategy_asked": "2026-11-20"})
    assert made.status_code == 200 and errors(made.text) == []
    assert "REFERRAL TO CHILDREN" in made.text and "Section 47" in made.text and "Asked for: 2026-11-20" in made.text
    with app.app.state.store.reader() as session:
        entry = session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "childrens.referred")).one()
        assert (entry.case_id, entry.user_id, entry.recipient) == (number, "ana", "Children's services: Sampleshire")
    assert browser_of("dan").get(path).status_code == 403
