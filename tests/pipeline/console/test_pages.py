"""What the pages and their JSON and CSV forms say, over a real night's data."""

from __future__ import annotations

import csv
import io
import json
import os
import pwd
import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from pipeline import contract as nights
from pipeline.cli import triage
from pipeline.console.casepage import explain
from pipeline.console.casepage.evidence import Evidence
from pipeline.console.dashboard import figures
from pipeline.console.standing import Nights
from pipeline.errors import IntegrityError
from pipeline.export import reporting
from pipeline.night import failures
from pipeline.people import users
from pipeline.store.duty_tables import Flag
from pipeline.store.opening import open_store
from pipeline.store.people_tables import AuditEntry
from pipeline.store.tables import Case, CaseReferral, Notification
from tests.pipeline.console import world
from tests.pipeline.console.client import Client, version_of

BANDS = ("very_high", "high", "medium", "low")


def audit_actions(app: Any, **where: Any) -> list[str]:
    with app.app.state.store.reader() as session:
        query = sa.select(AuditEntry.action).filter_by(**where).order_by(AuditEntry.seq)
        return list(session.scalars(query))


def test_the_queue_is_by_risk_and_by_target_on_demand_in_every_form(readers: dict[str, Client]) -> None:
    data = readers["sue"].get("/queue?format=json").json()
    cases = data["cases"]
    order = [(BANDS.index(c["place"]), not c["unacknowledged"], c["due_at"] >= data["as_of"]) for c in cases]
    assert order == sorted(order)
    assert len(cases) > 10 and data["order"] == "risk"
    targets = [c["due_at"] for c in readers["sue"].get("/queue?order=target&format=json").json()["cases"]]
    assert targets == sorted(targets)
    rows = csv.DictReader(io.StringIO(readers["sue"].get("/queue?order=target&format=csv").text))
    assert [r["case_id"] for r in rows] == [
        c["case_id"] for c in readers["sue"].get("/queue?order=target&format=json").json()["cases"]
    ]


def test_the_page_says_which_order_is_on_why_a_row_is_where_it_is_and_what_is_to_be_told(
    readers: dict[str, Client],
) -> None:
    client = readers["sue"]
    data, page = client.get("/queue?format=json").json(), client.get("/queue").text
    assert "<strong>by risk</strong>" in page and 'order=target">by target</a>' in page
    assert f"Here because: {data['cases'][0]['standing']}" in page
    assert data["to_be_told"] and all(line["text"] in page for line in data["to_be_told"])
    assert "<strong>by target</strong>" in client.get("/queue?order=target").text
    assert client.get("/queue?order=nonsense").status_code == 400


def test_the_same_address_gives_page_json_and_csv_with_the_same_cases(readers: dict[str, Client]) -> None:
    client = readers["sue"]
    path = "/queue?band=high&band=low"
    below_the_strip = client.get(path).text.partition('class="app-columns"')[2]
    page = re.findall(r'href="/cases/(C-[0-9A-Z]+)"', below_the_strip)
    listed = [c["case_id"] for c in client.get(path, headers={"accept": "application/json"}).json()["cases"]]
    rows = [r["case_id"] for r in csv.DictReader(io.StringIO(client.get(f"{path}&format=csv").text))]
    assert page == listed == rows
    assert page


def test_queue_pages_follow_each_other_without_gap_or_repeat(readers: dict[str, Client], monkeypatch: Any) -> None:
    monkeypatch.setattr("pipeline.console.routes.queue.PAGE", 5)
    client, path, seen = readers["sue"], "/queue?format=json", []
    while path:
        data = client.get(path, headers={"accept": "application/json"}).json()
        seen += [c["case_id"] for c in data["cases"]]
        path = data["next"]
    assert len(seen) == len(set(seen)) == data["total"]


@pytest.mark.parametrize("query", ["band=nonsense", "after=garbage", "urgency=x", "state=x", "format=xml"])
def test_a_filter_that_cannot_be_is_a_clear_refusal(readers: dict[str, Client], query: str) -> None:
    answer = readers["ana"].get(f"/queue?{query}", headers={"accept": "text/html"})
    assert answer.status_code == 400
    assert "Known:" in answer.text or "Start at the first page" in answer.text


def test_every_reason_leads_to_its_evidence_on_the_page(readers: dict[str, Client]) -> None:
    client = readers["sue"]
    checked = 0
    for row in client.get("/queue?format=json").json()["cases"]:
        page = client.get(f"/cases/{row['case_id']}?files=all").text
        why = page[page.index('id="why"') : page.index('id="unknown"')]
        for target in re.findall(r'href="(#[^"]+)"', why):
            assert f'id="{target[1:]}"' in page, (row["case_id"], target)
            checked += 1
        for target in re.findall(r'href="(/cases/[^"]+/matches/[^"]+)"', why):
            assert client.get(target).status_code == 200, target
            checked += 1
    assert checked > 20


def test_every_open_question_says_where_a_yes_and_a_no_would_lead(readers: dict[str, Client]) -> None:
    client = readers["sue"]
    number = client.get("/queue?format=json").json()["cases"][0]["case_id"]
    asked = client.get(f"/cases/{number}?format=json").json()["unknowns"]
    page = client.get(f"/cases/{number}").text
    section = page[page.index('id="unknown"') : page.index('id="times"')]
    assert asked and all(u["band_if_yes"] and u["band_if_no"] for u in asked)
    band = client.get(f"/cases/{number}?format=json").json()["case"]["band"]
    telling = [u for u in asked if {u["band_if_yes"], u["band_if_no"]} - {band} or u.get("flags_if_yes")]
    assert section.count("If yes: ") == len(telling)
    assert section.count("If no: ") == sum(u["band_if_no"] != band for u in telling), (
        "a no that changes nothing is not said"
    )
    assert section.count("an escalation, and the band stays") == sum(
        u["band_if_yes"] == band and bool(u.get("flags_if_yes")) for u in telling
    )
    settled = len(asked) - len(telling)
    assert (f"{settled} of these" in section) == (0 < settled < len(asked))


def test_no_id_stands_twice_on_a_page(readers: dict[str, Client]) -> None:
    client = readers["sue"]
    for path in [
        "/queue",
        "/supervision",
        *(f"/cases/{c['case_id']}" for c in client.get("/queue?format=json").json()["cases"]),
    ]:
        ids = re.findall(r'\sid="([^"]+)"', client.get(path).text)
        assert len(ids) == len(set(ids)), (path, {i for i in ids if ids.count(i) > 1})


def test_a_case_shows_copies_that_came_again_and_times_as_the_sender_wrote_them(readers: dict[str, Client]) -> None:
    client = readers["sue"]
    cases = [c["case_id"] for c in client.get("/queue?format=json").json()["cases"]]
    seen = [client.get(f"/cases/{c}?format=json").json() for c in cases]
    assert any(t["original"] for data in seen for t in data["times"])
    again = [any(p["state"] == "duplicate" for p in data["packages"]) for data in seen]
    assert any(again)
    pages = ["Received again, unchanged" in client.get(f"/cases/{c}").text for c in cases]
    assert pages == again


def test_reading_a_case_and_opening_a_text_are_logged(app: Any, browser_of: Any) -> None:
    sue = browser_of("sue")
    for row in sue.get("/queue?format=json").json()["cases"]:
        number = row["case_id"]
        groups = sue.get(f"/cases/{number}/texts?format=json").json()["groups"]
        if groups:
            break
    assert not any(g["lines"] for g in groups)
    assert "text.opened" not in audit_actions(app, case_id=number)
    refused = sue.get(f"/cases/{number}/texts?open={groups[0]['id']}&format=json")
    assert refused.status_code == 400
    opened = sue.get(f"/cases/{number}/texts?open={groups[0]['id']}&reason=allocated&format=json").json()
    assert opened["groups"][0]["lines"]
    actions = audit_actions(app, case_id=number, user_id="sue")
    assert actions.count("text.opened") == 1
    assert "case.read" in actions
    assert opened["groups"][0]["lines"][0]["text"] not in sue.get(f"/cases/{number}").text


def test_the_audit_of_a_case_is_shown_to_those_who_may_see_it_and_logged(app: Any, browser_of: Any) -> None:
    ana, dan = browser_of("ana"), browser_of("dan")
    path = ana.post("/queue/next").headers["location"].split("?")[0]
    shown = ana.get(f"{path}?audit=yes&format=json").json()["audit"]
    assert "case.claimed" in [e["action"] for e in shown]
    assert "Who opened or changed this case" in ana.get(path).text
    assert "Ana Analyst" in ana.get(f"{path}?audit=yes").text
    assert dan.get(f"{path}?audit=yes&format=json").status_code == 403
    assert "Who opened or changed this case" not in dan.get(path).text
    assert "case.timeline" in audit_actions(app, user_id="ana")


def test_a_change_on_an_old_version_is_refused_with_who_and_when(app: Any, browser_of: Any) -> None:
    ana, sue = browser_of("ana"), browser_of("sue")
    number = ana.post("/queue/next").headers["location"].split("?")[0]
    old = version_of(ana.get(number))
    assert sue.post(f"{number}/note", {"version": old, "note": "first"}).status_code == 303
    answer = ana.post(f"{number}/note", {"version": old, "note": "[synthetic later]"}, headers={"accept": "text/html"})
    assert answer.status_code == 409
    assert "was changed by Sue Supervisor" in answer.text
    assert "[synthetic later]" not in ana.get(number).text


def test_a_request_for_information_keeps_its_text_and_the_clock(app: Any, browser_of: Any) -> None:
    ana = browser_of("ana")
    number = ana.post("/queue/next").headers["location"].split("?")[0]
    before = ana.get(f"{number}?format=json").json()["case"]
    page = ana.get(number)
    assert "Our reference: " + before["case_id"] in page.text
    form = {"version": version_of(page), "asked_of": "NCA", "reason": "missing_times", "text": "Please send the times."}
    assert ana.post(f"{number}/request", form).status_code == 303
    after = ana.get(f"{number}?format=json").json()
    assert after["case"]["state"] == "awaiting_information"
    assert after["case"]["due_at"] == before["due_at"]
    request = after["requests"][0]
    form = {
        "version": str(after["case"]["version"]),
        "request_id": str(request["request_id"]),
        "answer": "Here they are.",
    }
    assert ana.post(f"{number}/answer", form).status_code == 303
    assert ana.get(f"{number}?format=json").json()["case"]["state"] == "allocated"


def test_raise_transfer_kirat_and_supervision(app: Any, browser_of: Any) -> None:
    ana, sue = browser_of("ana"), browser_of("sue")
    store = app.app.state.store
    with store.reader() as session:
        number = session.scalar(
            sa.select(Case.case_id).where(Case.band == "medium", Case.compartment.is_(None)).order_by(Case.case_id)
        )
    path = f"/cases/{number}"
    assert ana.post(f"{path}/claim").status_code == 303

    def act(client: Client, action: str, **form: str) -> Any:
        return client.post(f"{path}/{action}", {"version": version_of(client.get(path)), **form})

    assert (
        act(ana, "kirat", level="low", tool_version="2", assessor="A N Other", assessed_on="2026-11-01").status_code
        == 303
    )
    looks = sue.get("/supervision?format=json").json()["second_looks"]
    assert [x["case_id"] for x in looks] == [number]
    assert act(sue, "second-look", second_look_id=str(looks[0]["second_look_id"]), reason="agreed").status_code == 303
    assert (
        act(ana, "decide", decision="raise_band", band="high", reason="judgement", note="[synthetic]").status_code
        == 303
    )
    assert (
        act(ana, "decide", decision="lower_band", band="low", reason="wrong_person", note="[synthetic]").status_code
        == 303
    )
    assert [x["case_id"] for x in sue.get("/supervision?format=json").json()["lowerings"]] == [number]
    assert act(sue, "lowering", verdict="perhaps").status_code == 400
    assert act(sue, "lowering", verdict="approve", reason="wrong_person", note="[synthetic]").status_code == 303
    assert sue.get(f"{path}?format=json").json()["case"]["band"] == "low"
    world.settle_duties(store, number)
    asked = {"force": "04", "recipient": "POLIT desk", "reason": "suspect_lives_there"}
    check = act(ana, "transfer", **asked)
    assert check.status_code == 200 and "Check before you offer" in check.text and "POLIT desk" in check.text
    assert act(ana, "transfer", checked="yes", **asked).status_code == 303
    assert sue.get(f"{path}?format=json").json()["case"]["state"] == "awaiting_acceptance"
    assert act(ana, "transfer/settle", taken="yes", accepted_by="DS Sample").status_code == 303
    assert sue.get(f"{path}?format=json").json()["case"]["state"] == "transferred"
    assert act(sue, "decide", decision="reopen", reason="new_information").status_code == 303
    assert act(sue, "allocate", person="ben", reason="workload").status_code == 303
    assert sue.get(f"{path}?format=json").json()["case"]["holder"] == "ben"
    assert act(sue, "decide", decision="nonsense").status_code == 400


def test_an_open_duty_leads_from_the_check_of_a_transfer_to_its_form(app: Any, browser_of: Any) -> None:
    ana = browser_of("ana")
    with app.app.state.store.reader() as session:
        flags = sa.select(Flag.case_id).where(Flag.waiting.is_(True))
        notices = sa.select(Notification.case_id).where(Notification.made_at.is_(None), Notification.kind != "transfer")
        both = sa.select(Case.case_id).where(
            Case.compartment.is_(None), Case.case_id.in_(flags), Case.case_id.in_(notices)
        )
        number = session.scalar(both.order_by(Case.case_id))
        waiting = session.scalars(
            sa.select(Flag.flag_id).where(Flag.case_id == number, Flag.waiting.is_(True), Flag.compartment.is_(None))
        ).all()
    path = f"/cases/{number}"
    assert ana.post(f"{path}/claim").status_code == 303
    asked = {"force": "04", "recipient": "POLIT desk", "reason": "suspect_lives_there"}
    check = ana.post(f"{path}/transfer", {"version": version_of(ana.get(path)), **asked}).text
    unmade = [
        n
        for n in ana.get(f"{path}?format=json").json()["notifications"]
        if not n["made_at"] and n["kind"] != "transfer"
    ]
    forms = [f"n{n['notification_id']}" for n in unmade] + [f"f{flag}" for flag in waiting]
    links = dict(re.findall(r'<li><a class="govuk-link" href="([^"]+)">([^<]+)</a></li>', check))
    assert set(links) >= {f"{path}?unfold={form}#{form}-form" for form in forms} and len(forms) > 1
    for form in forms:
        page = ana.get(f"{path}?unfold={form}").text
        before, shown, _ = page.partition(f'id="{form}-form"')
        assert shown and before[before.rindex("<details") :].startswith('<details class="govuk-details" open>')
        assert f'id="{form}-form"' in ana.get(path).text


def test_a_closed_case_is_retained_and_then_erased(app: Any, browser_of: Any) -> None:
    ana, sue = browser_of("ana"), browser_of("sue")
    number = ana.post("/queue/next").headers["location"].split("?")[0].rsplit("/")[-1]
    path = f"/cases/{number}"

    def act(client: Client, action: str, **form: str) -> int:
        return client.post(f"{path}/{action}", {"version": version_of(ana.get(path)), **form}).status_code

    def listed() -> list[str]:
        return [x["case_id"] for x in sue.get("/supervision?format=json").json()["retention"]]

    world.settle_duties(app.app.state.store, number)
    assert act(ana, "decide", decision="close", reason="enquiry_complete", outcome="no_offence") == 303
    version = str(sue.get(f"{path}?format=json").json()["case"]["version"])
    with app.app.state.store.session() as session:
        session.execute(sa.update(Case).where(Case.case_id == number).values(retention_review_at=Case.closed_at))
    assert listed() == [number] and f'action="{path}/erase"' in sue.get("/supervision").text
    assert ana.post(f"{path}/retain", {"version": version, "reason": "statutory"}).status_code == 403
    assert sue.post(f"{path}/retain", {"version": version, "reason": "statutory"}).status_code == 303
    assert listed() == []
    form = {"version": str(int(version) + 1), "reason": "court_order"}
    assert sue.post(f"{path}/erase", form).status_code == 400, "its number is to be written again"
    gone = sue.post(f"{path}/erase", {**form, "sure": number})
    assert (gone.status_code, gone.headers["location"]) == (303, "/supervision?done=erased")
    assert sue.get(path).status_code == 404
    assert "case.erased" in audit_actions(app, case_id=number)


def test_outcomes_are_ones_own_and_breaks_block_nothing(app: Any, browser_of: Any, monkeypatch: Any) -> None:
    ana, ben = browser_of("ana"), browser_of("ben")
    number = ana.post("/queue/next").headers["location"].split("?")[0]
    form = {
        "version": version_of(ana.get(number)),
        "decision": "close",
        "reason": "enquiry_complete",
        "outcome": "no_offence",
    }
    world.settle_duties(app.app.state.store, number.rsplit("/", 1)[-1])
    assert ana.post(f"{number}/decide", form).status_code == 303
    assert [o["outcome"] for o in ana.get("/outcomes?format=json").json()["outcomes"]] == ["No offence"]
    assert ben.get("/outcomes?format=json").json()["outcomes"] == []
    assert "Take a break" not in ana.get("/queue").text
    monkeypatch.setattr("pipeline.console.gate.identity._break_due", lambda data, now: 61)
    waiting = ana.get("/queue?urgency=critically_overdue&holder=nobody&format=json").json()["total"]
    assert waiting
    page = ana.get("/queue").text
    assert "Take a break" in page
    assert f"{waiting} critically overdue" in page
    assert ana.get(number).status_code == 200
    assert ana.post("/break").headers["location"] == "/queue?done=rested"


def test_a_look_up_answers_logs_and_rejects_line_by_line(app: Any, browser_of: Any) -> None:
    dan = browser_of("dan")
    match = next(m for m in dan.get("/matches?format=json").json()["matches"] if m["known_hash"])
    asked = f"{match['algorithm']}:{match['known_hash']}"
    token = re.search(r"triage_[A-Za-z0-9_-]{30,}", dan.post("/account/tokens", {"name": "t", "days": "1"}).text)
    assert token
    headers = {"authorization": f"Bearer {token[0]}"}
    body = {"hashes": [asked, "rubbish", "0" * 32], "reason": "synthetic"}
    answer = dan.request("POST", "/api/lookup", json=body, headers=headers).json()
    assert {r["media_key"] for r in answer["rows"] if r["result"] != "not known"} >= {match["media_key"]}
    assert [r["line"] for r in answer["rejects"]] == [2]
    assert [r["result"] for r in answer["rows"] if r["line"] == 3] == ["not known"]
    assert dan.request("POST", "/api/lookup", json={**body, "reason": ""}, headers=headers).status_code == 400
    assert audit_actions(app, user_id="dan").count("hash.looked_up") == 1
    page = dan.post("/look-up", {"hashes": asked, "reason": "synthetic"}, headers={"accept": "text/html"})
    assert match["grade"] in page.text


def test_a_list_that_leaves_as_a_file_is_logged(app: Any, browser_of: Any) -> None:
    """As the export commands are, before it is made; reading the page is no export."""
    dan = browser_of("dan")
    before = audit_actions(app, user_id="dan").count("exported.web")
    assert dan.get("/queue").status_code == 200
    assert audit_actions(app, user_id="dan").count("exported.web") == before
    for path in ("/queue?format=csv", "/matches?format=csv", "/dashboard?format=csv"):
        dan.get(path)
    assert audit_actions(app, user_id="dan").count("exported.web") == before + 3
    for accept in ("text/csv", "text/csv; charset=utf-8", "text/csv;q=0.9, */*;q=0.1"):
        assert dan.get("/queue", headers={"accept": accept}).headers["content-type"].startswith("text/csv")
    assert audit_actions(app, user_id="dan").count("exported.web") == before + 6, "however it is asked for"


def test_a_store_that_is_too_busy_is_told_with_a_time_to_come_back(
    app: Any, browser_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.errors import BusyError
    from pipeline.store.opening import Store

    dan = browser_of("dan")

    def busy(*_: object) -> None:
        raise BusyError("Too many are using the case store at this moment.")

    monkeypatch.setattr(Store, "_open", busy)
    answer = dan.get("/queue?format=json")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_the_answer_of_a_look_up_is_csv_and_json_too_and_leaves_no_line_out(browser_of: Any) -> None:
    dan = browser_of("dan")
    match = next(m for m in dan.get("/matches?format=json").json()["matches"] if m["known_hash"])
    form = {"hashes": f"{match['algorithm']}:{match['known_hash']}\n=rubbish\n{'0' * 32}", "reason": "synthetic"}
    rows = list(csv.DictReader(io.StringIO(dan.post("/look-up?format=csv", form).text)))
    assert next(r["line"] for r in rows if r["result"] in {"exact", "near"}) == "1"
    assert [r["result"] for r in rows if r["line"] == "3"] == ["not known"]
    assert [(r["input"], r["result"].split(":")[0]) for r in rows if r["line"] == "2"] == [("'=rubbish", "not read")]
    assert len(dan.post("/look-up?format=json", form).json()["rejects"]) == 1
    uploaded = dan.request(
        "POST",
        "/look-up?format=csv",
        data={"csrf": dan.csrf, "reason": "synthetic"},
        files={"file": ("list.csv", f"md5\n{'0' * 32}\n", "text/csv")},
    )
    assert "not known" in uploaded.text
    refused = dan.post("/look-up?format=csv", {**form, "reason": ""}, headers={"accept": "text/html"})
    assert refused.status_code == 422
    assert "A reason is needed" in refused.text and "<textarea" in refused.text


def test_matches_of_a_restricted_referral_alone_are_not_listed(app: Any, browser_of: Any) -> None:
    dan, sue = browser_of("dan"), browser_of("sue")
    listed = {m["match_id"] for m in dan.get("/matches?format=json").json()["matches"]}
    store, evidence = app.app.state.store, app.app.state.evidence
    chosen = next(m for m in dan.get("/matches?format=json").json()["matches"] if len(evidence.holders(m)) == 1)
    referral = evidence.holders(chosen)[0]
    with store.session() as session:
        case = session.scalar(sa.select(CaseReferral.case_id).where(CaseReferral.referral_id == referral))
        session.execute(sa.update(Case).where(Case.case_id == case).values(compartment="ucol"))
    left = {m["match_id"] for m in dan.get("/matches?format=json").json()["matches"]}
    assert left < listed and chosen["match_id"] not in left
    assert chosen["match_id"] not in dan.get("/matches?format=csv").text
    assert all(dan.get(f"/matches/{gone}?format=json").status_code == 404 for gone in listed - left)
    assert {m["match_id"] for m in sue.get("/matches?format=json").json()["matches"]} == listed
    kinds = {m["kind"] for m in dan.get("/matches?kind=exact&format=json").json()["matches"]}
    assert kinds == {"exact"}


def test_a_match_is_explained_so_that_it_can_be_repeated(readers: dict[str, Client]) -> None:
    client = readers["dan"]
    for match in client.get("/matches?format=json").json()["matches"]:
        data = client.get(f"/matches/{match['match_id']}?format=json").json()
        page = client.get(f"/matches/{match['match_id']}").text
        assert f"--release {match['release']}" in data["replay"]
        assert ("--radius" in data["replay"]) == bool(match["threshold"])
        assert data["history"], "the release knows the media item"
        if match["algorithm"] in {"pdq", "phash256"}:
            assert page.count('class="bit-differs"') == match["distance"]
            assert page.count('class="bit-equal"') == 256 - match["distance"]


def test_the_command_of_a_match_gives_the_same_pair_when_it_is_pasted(home: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("TRIAGE_HOME", str(home.home))
    monkeypatch.setenv("TRIAGE_POLICY", str(home.policy))
    store = open_store(home)
    try:
        with store.session() as session:
            me = pwd.getpwuid(os.getuid()).pw_name
            users.add(session, world.ADMIN, me, "Me", roles=["dmi"], password=world.PASSWORD)
    finally:
        store.close()
    evidence = Evidence(home)
    evidence.refresh()
    found, _ = evidence.matches(kinds=[], grades=[], release=None, after="", limit=100, hidden=set())
    checked = set()
    for match in found:
        if (match["kind"], match["algorithm"]) in checked:
            continue
        checked.add((match["kind"], match["algorithm"]))
        program, *words = shlex.split(explain.replay(match))
        assert program == "triage"
        done = CliRunner().invoke(triage, [*words, "--format", "json"])
        assert done.exit_code == 0, done.output
        pairs = {(r["media_key"], r["distance"]) for r in json.loads(done.stdout)}
        assert (match["media_key"], match["distance"]) in pairs, match
    assert {"exact", "near"} <= {kind for kind, _ in checked}


def test_the_dashboard_shows_what_the_statements_answer(readers: dict[str, Client], night: Any) -> None:
    client = readers["ana"]
    data = client.get("/dashboard?format=json").json()
    loaded = reporting.load(night)
    assert loaded is not None
    assert set(data["reports"]) == set(figures.BY_NAME)
    opened = sum(loaded.tables["report_cases"]["is_open"].to_pylist())
    assert sum(r["cases"] for r in data["reports"]["open_cases"]) == opened
    for name in figures.BY_NAME:
        rows = list(csv.DictReader(io.StringIO(client.get(f"/dashboard/{name}?format=csv").text)))
        assert len(rows) == len(data["reports"][name])
        assert figures.sql(name).splitlines()[0].lstrip("- ") and "SELECT" in client.get(f"/dashboard/{name}").text
    page = client.get("/dashboard").text
    assert len(re.findall(r'<svg class="chart[ "]', page)) == page.count("<desc>") > 0
    assert "Ana" not in json.dumps(data["reports"])


def test_every_report_has_one_statement_and_every_statement_a_report() -> None:
    assert {p.stem for p in figures.FOLDER.glob("*.sql")} == set(figures.BY_NAME)


def test_runs_tell_whether_they_reconcile(readers: dict[str, Client]) -> None:
    run = readers["aud"].get("/runs?format=json").json()["runs"][0]
    assert run["reconciles"] is True
    one = readers["aud"].get(f"/runs/{run['run_id']}?format=json").json()
    assert {s["stage"] for s in one["stages"]} >= {"ingest", "fingerprint", "match", "assess", "publish", "reconcile"}
    assert all(s["read"] == s["kept"] + sum(s["rejected"].values()) for s in one["stages"])


def test_a_queue_page_is_small(readers: dict[str, Client]) -> None:
    assert len(readers["sue"].get("/queue").content) <= 60_000


def test_a_failed_night_is_seen_where_people_work(app: Any, browser_of: Any) -> None:
    sue, settings = browser_of("sue"), app.app.state.settings
    number = sue.get("/queue?format=json").json()["cases"][0]["case_id"]
    assert "Queue as of" in sue.get("/queue").text and "failed at" not in sue.get("/queue").text
    run = nights.start(settings, "later", datetime.now(UTC) + timedelta(days=1))
    failures.note(settings, run.run_id, "match", IntegrityError("A file of release 1 is damaged.", "Restore it."))
    app.app.state.nights = Nights(settings)
    for page in ("/queue", f"/cases/{number}", "/supervision", "/dashboard", "/runs"):
        text = sue.get(page).text
        assert "The run later failed at match" in text and "The queue is as of" in text, page
    assert "triage index verify" in sue.get("/runs/later").text
    row = next(r for r in sue.get("/runs?format=json").json()["runs"] if r["run_id"] == "later")
    assert row["failed"] == "match: A file of release 1 is damaged."


def test_a_case_of_a_group_names_the_other_cases_of_the_investigation(readers: dict[str, Client]) -> None:
    client = readers["sue"]
    numbers = [row["case_id"] for row in client.get("/queue?format=json").json()["cases"]]
    together = {n: client.get(f"/cases/{n}?format=json").json()["together"] for n in numbers}
    joined = {n: [c["case_id"] for c in cases] for n, cases in together.items() if cases}
    assert joined, "the sample night has one account in several reports"
    number, others = next(iter(joined.items()))
    page = client.get(f"/cases/{number}").text
    assert f"One investigation of {len(others)} cases" in page and f"{number} (this one)" in page
    assert all(f'href="/cases/{other}"' in page for other in others if other != number)
