"""The pages in a real browser against a real server process, with data of a real night: no JavaScript, no picture, keyboard only.

Needs Chromium (Debian's package); skipped with one line where it is not installed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.settings import Settings
from pipeline.store.opening import open_store
from tests.pipeline.console import places, world
from tests.pipeline.console.browsing import COLOURS_ONCE, MARKS, press, sign_in

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

RUN = "options => axe.run(options).then(r => r.violations.map(v => `${v.id}: ${v.nodes[0].html.slice(0, 160)}`))"
"""All rules over all elements; only violations are described one by one: to describe what is right took twice as long."""

FAINT = """colours => colours.forEach((colour, i) => {
    const text = document.createElement('p');
    text.append(`[synthetic text ${i}]`);
    text.style = i % 2 ? `color: ${colour}; background: white` : `color: ${colour}; background: rgba(200, 200, 220, 0.${i + 3})`;
    document.querySelector('main').append(text);
})"""
"""Adds a line of text in each of these colours, too faint on its ground to be read well."""

ALL_RESULTS = """tags => axe.run({runOnly: {type: 'tag', values: tags}}).then(r => Object.fromEntries(
    ['violations', 'passes', 'incomplete'].map(kind => [kind, Object.fromEntries(r[kind].map(rule => [rule.id, rule.nodes]))])
))"""
"""What axe says of every element, by rule."""

pytestmark = MARKS


def every_page(page: Any) -> list[str]:
    """Addresses of every kind of page that this person has, with a case, a match, a run and a report among them."""
    page.goto("/queue")
    menu = [a.get_attribute("href") for a in page.locator(".govuk-service-navigation__link").all()]
    number = page.locator(".app-queue tbody a").first.get_attribute("href")
    found = [
        *menu,
        "/queue?band=high&holder=nobody",
        "/account",
        "/break",
        number,
        f"{number}/print",
        f"{number}/texts",
        "/dashboard/weekly",
        "/nothing",
    ]
    if "/matches" in menu:
        page.goto("/matches")
        found.append(page.locator("main table a").first.get_attribute("href"))
    page.goto("/runs")
    found.append(page.locator("main table a").first.get_attribute("href"))
    return found


def test_sign_in_and_out_without_javascript(open_as: Callable[..., Any]) -> None:
    page = open_as("")
    page.goto("/queue")
    assert page.url.endswith("/sign-in")
    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password").fill("wrong password!")
    press(page.get_by_role("button", name="Sign in"))
    assert page.get_by_role("alert").inner_text().startswith("There is a problem")
    sign_in(page, "ana")
    assert page.get_by_role("heading", level=1).inner_text().startswith("Queue")
    press(page.get_by_role("button", name="Sign out"))
    page.goto("/queue")
    assert "/sign-in" in page.url


def test_two_browsers_claim_at_once_and_one_gets_the_case(open_as: Callable[..., Any]) -> None:
    ana, ben = open_as("ana"), open_as("ben")
    ana.goto("/queue?holder=nobody")
    number = ana.locator(".app-queue tbody a").first.get_attribute("href")
    for page in (ana, ben):
        page.goto(number)
    press(ana.get_by_role("button", name="Claim"))
    assert "Held by you" in ana.locator(".app-facts").inner_text()
    press(ben.get_by_role("button", name="Claim"))
    assert ben.get_by_role("heading", name="There is a problem").is_visible()
    assert "held by Ana Analyst" in ben.locator("main").inner_text()
    ben.goto("/queue")
    press(ben.get_by_role("button", name="Give me the next case"))
    assert ben.url.split("?")[0].split("/")[-1] != number.split("/")[-1]
    assert "Held by you" in ben.locator(".app-facts").inner_text()


def test_decide_and_see_the_outcome(open_as: Callable[..., Any], served: Settings) -> None:
    page = open_as("sue")
    page.goto("/queue")
    press(page.get_by_role("button", name="Give me the next case"))
    number = page.url.split("?")[0].split("/")[-1]
    form = page.locator("form", has=page.get_by_role("button", name="Close the case"))
    form.get_by_label("Outcome").select_option(label="Child safeguarded")
    form.get_by_label("Reason").select_option(label="Enquiry complete")
    form.get_by_label("Note (optional)").fill("[synthetic note 1]")
    store = open_store(served)
    world.settle_duties(store, number)
    store.close()
    press(form.get_by_role("button"))
    assert "Closed: Child safeguarded" in page.locator(".app-facts").inner_text()
    page.goto("/outcomes")
    assert number in page.locator("main").inner_text()


def test_filters_are_seen_and_removed_one_by_one(open_as: Callable[..., Any]) -> None:
    page = open_as("ana")
    page.goto("/queue")
    page.get_by_role("checkbox", name="High", exact=True).check()
    page.get_by_role("checkbox", name="Not yet due").check()
    press(page.get_by_role("button", name="Apply filters"))
    assert "band=high" in page.url
    assert "urgency=not_yet_due" in page.url
    assert page.locator(".app-chosen li").count() == 3
    assert set(page.locator(".app-queue .app-tag--high, .app-queue .app-tag--low").all_inner_texts()) <= {"High"}
    press(page.get_by_role("link", name="Remove filter Urgency: Not yet due"))
    assert "urgency" not in page.url
    assert "band=high" in page.url


def test_look_a_hash_up(open_as: Callable[..., Any]) -> None:
    page = open_as("dan")
    page.goto("/matches?format=json")
    match = next(m for m in json.loads(page.locator("body").inner_text())["matches"] if m["query_hash"])
    page.goto("/look-up")
    page.get_by_label("Hashes, one per line").fill(f"{match['algorithm']}:{match['known_hash']}\nnot a hash\n")
    press(page.get_by_role("button", name="Look up"))
    assert "A reason is needed" in page.get_by_role("alert").inner_text()
    page.get_by_label("Why you ask").fill("synthetic request")
    press(page.get_by_role("button", name="Look up"))
    assert match["grade"] in page.locator("main").inner_text()
    assert "neither hex nor base64" in page.locator("main").inner_text()


def test_opening_a_text_is_a_choice_and_is_logged(open_as: Callable[..., Any], address: str) -> None:
    page = open_as("ana")
    page.goto("/queue?format=json")
    cases = json.loads(page.locator("body").inner_text())["cases"]
    for row in cases:
        page.goto(f"/cases/{row['case_id']}/texts")
        if page.get_by_role("button", name="Open this text").count():
            break
    else:
        pytest.fail("no sample case has a text")
    assert page.locator(".app-text").count() == 0
    page.get_by_label("Reason").first.select_option(label="Working on this case")
    press(page.get_by_role("button", name="Open this text").first)
    assert page.locator(".app-text").count() > 0


def test_from_sign_in_to_a_claimed_case_by_keyboard_alone(open_as: Callable[..., Any]) -> None:
    page = open_as("")
    page.goto("/sign-in")

    def reach(wanted: str) -> None:
        for _ in range(120):
            page.keyboard.press("Tab")
            focused = page.locator(":focus")
            if focused.count() and wanted in (focused.get_attribute("id") or focused.inner_text()):
                return
        pytest.fail(f"Tab never reaches {wanted}")

    reach("f-name")
    page.keyboard.type("ben")
    reach("f-password")
    page.keyboard.type(world.PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/queue")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to main content"
    page.keyboard.press("Enter")
    reach("Give me the next case")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cases/**")
    reach("Add a note")
    page.keyboard.press("Enter")
    reach("new-note")
    page.keyboard.type("[synthetic note 2]")
    reach("Save the note")
    page.keyboard.press("Enter")
    page.wait_for_url("**done=noted*")
    assert "[synthetic note 2]" in page.locator("#decisions").inner_text()


def look_over(page: Any) -> list[str]:
    """What is wrong with the page that is open, everything on it unfolded: accessibility at 1280 px, width at 320 px."""
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = page.evaluate(RUN, {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]})
    page.set_viewport_size({"width": 320, "height": 900})
    if (width := page.evaluate("document.documentElement.scrollWidth")) > 320:
        found.append(f"{width} px wide at 320 px")
    page.set_viewport_size({"width": 1280, "height": 900})
    return found


def test_axe_finds_the_same_where_it_reads_each_colour_once(chromium: Any, address: str) -> None:
    """Every element that a rule met, with the ratios that were measured, before and after; on a page with faint text."""
    from axe_playwright_python.sync_playwright import Axe

    context = chromium.new_context(base_url=address, bypass_csp=True)
    page = context.new_page()
    page.goto("/sign-in")
    page.evaluate(
        FAINT, ["#888", "rgb(250 250 240)", "rgba(11, 12, 12, 0.4)", "hsl(0.9turn 40% 60%)", "oklch(0.8 0 90)"]
    )
    page.evaluate(Axe().axe_script)
    found = [page.evaluate(ALL_RESULTS, TAGS)]
    page.evaluate(COLOURS_ONCE)
    found += [page.evaluate(ALL_RESULTS, TAGS) for _ in range(2)]
    context.close()
    assert found[0] == found[1] == found[2]
    assert len(found[0]["passes"]["color-contrast"]) > 5
    ratios = [node["any"][0]["data"]["contrastRatio"] for node in found[0]["violations"]["color-contrast"]]
    assert len(set(ratios)) >= 5


def test_every_page_of_the_route_table_is_accessible_and_fits_320_pixels(open_as: Callable[..., Any]) -> None:
    people: dict[str, Any] = {"sue": open_as("sue", script=True)}

    def ask(path: str) -> Any:
        return people["sue"].context.request.get(path).json()

    broken: dict[str, list[str]] = {}
    opened = 0
    for name, paths in places.shared(ask).items():
        page = people.get(name) or open_as(name, script=True)
        for path in paths:
            answer = page.goto(path)
            assert answer.status == (404 if "no-such" in path else 200), path
            opened += 1
            if found := look_over(page):
                broken[f"{path} as {name}"] = found
    assert broken == {}
    assert opened >= len(places.routes())


def test_pages_that_answer_a_form_are_accessible_and_fit_320_pixels(open_as: Callable[..., Any]) -> None:
    """The form with its error, and the answer: what no address alone leads to."""
    sue, dan, aud = (open_as(name, script=True) for name in ("sue", "dan", "aud"))
    broken: dict[str, list[str]] = {}

    def check(page: Any, what: str) -> None:
        if found := look_over(page):
            broken[what] = found

    dan.goto("/look-up")
    dan.get_by_label("Hashes, one per line").fill("0" * 32 + "\nnot a hash\n")
    for reason in ("", "synthetic request"):
        dan.get_by_label("Why you ask").fill(reason)
        press(dan.get_by_role("button", name="Look up"))
        check(dan, f"a look-up with the reason {reason!r}")
    for statement in ("@weekly", "SELECT nothing FROM cases"):
        dan.goto("/sql")
        dan.locator("#sql").fill(statement)
        dan.get_by_label("Why you ask").fill("synthetic request")
        press(dan.get_by_role("button", name="Run", exact=True))
        check(dan, statement)
    for text in ("sample", "no such thing"):
        sue.goto("/queue")
        sue.locator("#search").fill(text)
        press(sue.get_by_role("button", name="Search"))
        check(sue, f"a search for {text}")
    aud.goto("/audit")
    press(aud.get_by_role("button", name="Verify the log"))
    assert "Verified" in aud.locator("main").inner_text()
    check(aud, "the verified log")
    sue.goto("/queue")
    sue.goto(sue.locator(".app-queue tbody a").first.get_attribute("href"))
    press(sue.get_by_role("button", name="Add a note").or_(sue.get_by_text("Add a note")).first)
    press(sue.get_by_role("button", name="Save the note"))
    check(sue, "a note without text")
    assert broken == {}


def test_the_browser_loads_no_picture_even_if_a_page_asked_for_one(chromium: Any, address: str) -> None:
    context = chromium.new_context(base_url=address)
    page = context.new_page()
    asked: list[str] = []
    refused: list[str] = []
    page.on("requestfinished", lambda r: asked.append(r.resource_type))
    page.on("console", lambda m: refused.append(m.text))
    sign_in(page, "dan")
    for path in every_page(page):
        page.goto(path)
    assert "image" not in asked
    assert "script" not in asked
    page.goto("/queue")
    refused.clear()
    # the page's own policy is in force in the page's own world, whoever adds the element
    page.evaluate("() => { const i = new Image(); i.src = '/static/govuk.css?picture'; document.body.append(i); }")
    page.evaluate(
        "() => { const i = new Image(); i.src = 'data:image/png;base64,iVBORw0KGgo='; document.body.append(i); }"
    )
    page.wait_for_timeout(300)
    context.close()
    assert sum("Content Security Policy" in text and "img-src" in text for text in refused) == 2
    assert "image" not in asked


def test_the_print_view_has_no_menu_and_everything_unfolded(open_as: Callable[..., Any], tmp_path: Path) -> None:
    page = open_as("ana")
    page.goto("/queue")
    page.goto(page.locator(".app-queue tbody a").first.get_attribute("href") + "/print")
    assert page.locator(".app-side").count() == 0
    assert page.locator("details:not([open])").count() == 0
    page.emulate_media(media="print")
    assert not page.locator(".govuk-service-navigation").is_visible()
    page.goto("/queue?format=json")
    for row in json.loads(page.locator("body").inner_text())["cases"][:6]:
        page.goto(f"/cases/{row['case_id']}/print")
        assert 1 <= printed_pages(page) <= 2, row["case_id"]
    page.goto(f"{page.url}?part=all")
    assert printed_pages(page) > 2


def printed_pages(page: Any) -> int:
    """Pages of A4 that the browser makes of what is open."""
    return len(re.findall(rb"/Type\s*/Page[^s]", page.pdf(format="A4", prefer_css_page_size=True)))
