"""Forms of a case: what is refused stays on the form, an ended session loses nothing, questions are answered in place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.console.gate import access
from tests.pipeline.console.client import Client, version_of


def claimed(client: Client) -> tuple[str, str]:
    """A case held by this person, and the version of it."""
    place = client.post("/queue/next").headers["location"]
    number = place.split("/")[2].split("?")[0]
    return number, version_of(client.get(f"/cases/{number}"))


@pytest.mark.parametrize(
    ("address", "form", "fields", "said"),
    [
        ("decide", "start", {"decision": "start_enquiry", "note": "[synthetic note 1]"}, "Choose a reason."),
        (
            "decide",
            "close",
            {"decision": "close", "reason": "enquiry_complete", "note": "[synthetic note 2]"},
            "Choose the outcome",
        ),
        ("decide", "raise", {"decision": "raise_band", "reason": "new_information", "note": "[synthetic note 3]"}, ""),
        ("request", "ask", {"asked_of": "NCA", "text": "[synthetic letter 4]"}, "Choose a reason."),
        ("transfer", "move", {"recipient": "[synthetic name 5]", "note": "[synthetic note 5]"}, ""),
        ("kirat", "kirat", {"assessor": "[synthetic name 6]", "assessed_on": "no day"}, "not a date"),
        ("note", "new", {"note": " "}, "A note is needed"),
        ("answers", "q-grooming", {"fact": "grooming", "value": "yes", "found_on": "2026-11-01"}, "Choose where"),
    ],
)
def test_a_refused_form_comes_back_with_what_was_typed(
    browser_of: Callable[[str], Client], address: str, form: str, fields: dict[str, str], said: str
) -> None:
    client = browser_of("ana")
    number, version = claimed(client)
    page = client.post(
        f"/cases/{number}/{address}", {"version": version, "form": form, **fields}, headers={"Accept": "text/html"}
    )
    assert page.status_code in {400, 409, 422}, page.text[:300]
    assert "There is a problem" in page.text and said in page.text and f'href="#{form}-form"' in page.text
    assert f'id="{form}-form"' in page.text or form.startswith("q-")
    for value in fields.values():
        if value.startswith("[synthetic"):
            assert value in page.text


def test_the_address_of_a_form_leads_back_to_the_case(browser_of: Callable[[str], Client]) -> None:
    client = browser_of("ana")
    number, _ = claimed(client)
    answer = client.get(f"/cases/{number}/note", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/cases/{number}")


def test_an_ended_session_shows_what_was_typed(browser_of: Callable[[str], Client]) -> None:
    client = browser_of("ana")
    number, version = claimed(client)
    name = next(c.name for c in client.http.cookies.jar if c.name.endswith("triage"))
    client.http.cookies.set(name, "ended", domain="127.0.0.1")
    client.http.cookies.jar.clear_expired_cookies()
    for cookie in list(client.http.cookies.jar):
        if cookie.name == name:
            cookie.value = "ended"
    page = client.post(
        f"/cases/{number}/note", {"version": version, "note": "[synthetic note 7]"}, headers={"Accept": "text/html"}
    )
    assert page.status_code == 401 and "[synthetic note 7]" in page.text and f"next=%2Fcases%2F{number}" in page.text


def test_ones_own_second_tab_does_not_block_the_first(browser_of: Callable[[str], Client]) -> None:
    ana, sue = browser_of("ana"), browser_of("sue")
    number, version = claimed(ana)
    for text in ("[synthetic note 8]", "[synthetic note 9]"):  # two tabs, opened at the same version
        assert ana.post(f"/cases/{number}/note", {"version": version, "note": text}).status_code == 303
    assert sue.post(f"/cases/{number}/note", {"version": version, "note": "[synthetic note 10]"}).status_code == 409


def test_only_bands_that_can_be_chosen_are_offered(browser_of: Callable[[str], Client]) -> None:
    client = browser_of("ana")
    number, _ = claimed(client)
    page = client.get(f"/cases/{number}").text
    band = json.loads(client.get(f"/cases/{number}?format=json").text)["case"]["band"]
    bands = ["very_high", "high", "medium", "low"]
    for form, offered in (("raise", bands[: bands.index(band)]), ("lower", bands[bands.index(band) + 1 :])):
        chosen = re.search(rf'id="{form}-band".*?</select>', page, re.S)
        assert re.findall(r'value="(\w+)"', chosen[0] if chosen else "") == offered, "no band, no form"


def test_an_open_question_is_answered_on_the_page(browser_of: Callable[[str], Client]) -> None:
    client = browser_of("ana")
    number, version = claimed(client)
    page = client.get(f"/cases/{number}").text
    fact = re.search(r'action="/cases/[^"]+/answers">.*?name="fact" value="(\w+)"', page, re.S)
    assert fact
    given: dict[str, Any] = {
        "version": version,
        "fact": fact[1],
        "value": "yes",
        "source": "pnc",
        "found_on": "2026-11-01",
    }
    answer = client.post(f"/cases/{number}/answers", given)
    assert answer.status_code == 303, answer.text[:400]
    after = client.get(f"/cases/{number}").text
    assert "Answered yes" in after and f'name="fact" value="{fact[1]}"' not in after


@pytest.mark.parametrize(
    ("address", "page"),
    [
        ("/queue/next", "/queue"), ("/queue/filters/remove", "/queue"), ("/supervision/allocate", "/supervision"),
        ("/notices/3/read", "/"), ("/accounts/ana/end", "/accounts/ana"), ("/account/tokens", "/account"),
        ("/audit/export", "/audit"), ("/quarantine/some/sent", "/quarantine"), ("/sign-out", "/"),
    ],
)  # fmt: skip
def test_the_address_of_any_form_leads_to_the_page_above_it(
    browser_of: Callable[[str], Client], address: str, page: str
) -> None:
    answer = browser_of("ana").get(address, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    assert browser_of("ana").get(address, headers={"Accept": "application/json"}).status_code == 405


def test_every_route_that_takes_a_form_is_above_a_page(browser_of: Callable[[str], Client]) -> None:
    client = browser_of("")
    for method, path in access.MATRIX:
        if method == "POST" and ("GET", path) not in access.MATRIX and not path.startswith("/api/"):
            answer = client.get(re.sub(r"\{\w+\}", "some", path), headers={"Accept": "text/html"})
            assert answer.status_code == 303, path


def test_an_address_that_leads_nowhere_keeps_the_menu_of_who_is_signed_in(browser_of: Callable[[str], Client]) -> None:
    page = browser_of("ana").get("/nonsense", headers={"Accept": "text/html"})
    assert page.status_code == 404 and "Go to the queue" in page.text and "Ana Analyst" in page.text
    nobody = browser_of("").get("/nonsense", headers={"Accept": "text/html"})
    assert nobody.status_code == 404 and "Go to the queue" not in nobody.text


def test_signing_out_in_another_window_loses_nothing_that_was_typed(browser_of: Callable[[str], Client]) -> None:
    client = browser_of("ana")
    number, version = claimed(client)
    client.post("/sign-out")
    client.get("/sign-in")
    fields = {"version": version, "note": "[synthetic note 9]"}
    page = client.post(f"/cases/{number}/note", fields, headers={"Accept": "text/html"})
    assert page.status_code == 401 and "[synthetic note 9]" in page.text


def test_a_refusal_that_is_no_form_shows_what_was_typed(browser_of: Callable[[str], Client]) -> None:
    page = browser_of("aud").post("/audit/export", {"reason": "[synthetic reason 3]"}, headers={"Accept": "text/html"})
    assert page.status_code == 400 and "[synthetic reason 3]" in page.text and "Say who receives" in page.text


def test_only_what_can_be_pressed_is_there(browser_of: Callable[[str], Client]) -> None:
    """Nothing to raise in the highest band; nothing to claim that somebody holds; people to allocate to are chosen by name."""
    ana, ben, sue = (browser_of(name) for name in ("ana", "ben", "sue"))
    number, _ = claimed(ana)
    case = json.loads(ana.get(f"/cases/{number}?format=json").text)["case"]
    mine, others = ana.get(f"/cases/{number}").text, ben.get(f"/cases/{number}").text
    assert case["band"] == "very_high" and 'id="raise-form"' not in mine and 'id="lower-form"' in mine
    assert f'action="/cases/{number}/claim"' not in others and "Held by Ana Analyst" in others
    assert ">Ben Analyst: 0 cases</option>" in sue.get(f"/cases/{number}").text
