"""Every page, as every role sees it, is valid HTML."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.pipeline.console import places
from tests.pipeline.console.client import Client
from tests.pipeline.console.html_rules import errors

FRAME = "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>x</title></head><body>{}</body></html>"


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("<p>good</p>", ""),
        ("<p><div>x</div></p>", "unexpected-end-tag"),
        ("<label for='a'>x</label>", "names no control"),
        ("<label for='a'>x</label><input id='a'><p id='a'></p>", "stands 2 times"),
        ("<time>x</time>", "<time> with datetime=None"),
        ("<table><tr><td colspan='0'>x</td></tr></table>", "colspan='0'"),
        ("<table><tr></tr></table>", "<tr> without cells"),
        ("<p aria-describedby='no'>x</p>", "names nothing"),
        ("<a href='#no'>x</a>", "leads nowhere"),
        ("<span><div>x</div></span>", "<div> inside <span>"),
        ("<ul><p>x</p></ul>", "<p> inside <ul>"),
        ("<a href='/x'><button>x</button></a>", "<button> inside <a>"),
    ],
)
def test_the_rules_find_what_is_wrong(body: str, wrong: str) -> None:
    found = errors(FRAME.format(body))
    assert (found == []) if not wrong else any(wrong in text for text in found), found


def addresses(readers: dict[str, Client]) -> list[str]:
    """One address of every page, the states of it that differ in their markup, and every case."""
    sue = readers["sue"]
    numbers = [c["case_id"] for c in sue.get("/queue?format=json").json()["cases"]]
    made = itertools.chain.from_iterable(places.shared(lambda path: sue.get(path).json()).values())
    return [*made, *(f"/cases/{number}{page}" for number in numbers for page in ("", "/texts"))]


@pytest.mark.parametrize("name", ["sue", "ana", "dan", "aud", "admin", ""])
def test_every_page_is_valid(readers: dict[str, Client], name: str) -> None:
    client = readers[name]
    wrong: dict[str, list[str]] = {}
    seen = 0
    for address in addresses(readers):
        answer = client.get(address, headers={"accept": "text/html"})
        if "text/html" not in answer.headers.get("content-type", ""):
            continue
        seen += 1
        if found := errors(answer.text):
            wrong[address] = found[:10]
    assert wrong == {}
    assert seen > (20 if name else 0)


def test_pages_that_follow_a_mistake_are_valid(app: Any, browser_of: Any) -> None:
    ana = browser_of("ana")
    number = ana.get("/queue?format=json").json()["cases"][0]["case_id"]
    ana.post(f"/cases/{number}/claim")
    for path, data in (
        (f"/cases/{number}/decide", {"version": "1", "form": "start", "decision": "close"}),
        (f"/cases/{number}/note", {"version": "99", "form": "new", "note": "x"}),
        ("/look-up", {}),
        ("/look-up", {"hashes": "zz\nd41d8cd98f00b204e9800998ecf8427e", "reason": "r"}),
        ("/search", {"text": "no such thing"}),
        ("/sign-in", {"name": "ana", "password": "wrong"}),
    ):
        answer = ana.post(path, data, headers={"accept": "text/html"})
        assert errors(answer.text) == [], path
