"""The jobs of a day in a real browser: how many steps each takes, and how many tabs away things are."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pipeline.lake import Lake
from pipeline.settings import Settings
from pipeline.store.opening import open_store
from tests.pipeline.console import world
from tests.pipeline.console.browsing import MARKS

pytestmark = MARKS


class Steps:
    """Counts what a person presses: buttons, links, what unfolds. Fields that are filled are no steps."""

    def __init__(self, page: Any) -> None:
        self.page, self.taken = page, 0

    def press(self, place: Any) -> None:
        place.click()
        self.taken += 1

    def button(self, name: str) -> None:
        self.press(self.page.get_by_role("button", name=name, exact=True))


def test_the_jobs_of_a_day_take_few_steps(open_as: Callable[..., Any], served: Settings) -> None:
    """Claim the next case 1, answer a question 2, allocate ten 3, transfer 4, find a username 1, verify the log 1."""
    sue, aud = open_as("sue"), open_as("aud")
    sue.goto("/queue")
    (claim := Steps(sue)).button("Give me the next case")
    assert "Held by you" in sue.locator(".app-facts").inner_text() and claim.taken == 1
    number = sue.url.split("?")[0].split("/")[-1]

    answer = Steps(sue)
    answer.press(sue.locator("#unknown summary", has_text="Answer").first)
    form = sue.locator("details[open] > div > form.app-answer").first
    form.get_by_label("Found in").select_option(index=1)
    answer.press(form.get_by_role("button", name=re.compile("^No")))
    assert "done=" in sue.url and answer.taken == 2

    sue.goto("/supervision")
    allocate = Steps(sue)
    allocate.press(sue.get_by_role("link", name="Choose the first 10"))
    sue.get_by_label("To whom, with what they hold now").select_option("ben")
    allocate.button("Allocate the chosen cases")
    assert "done=allocated-all" in sue.url and allocate.taken <= 3

    store = open_store(served)
    world.settle_duties(store, number)
    store.close()
    sue.goto(f"/cases/{number}")
    transfer = Steps(sue)
    transfer.press(sue.locator("summary", has_text="Transfer to another force"))
    form = sue.locator("#move-form")
    form.get_by_label("Force").select_option(index=1)
    form.get_by_label("Who is asked").fill("[synthetic unit]")
    form.get_by_label("Reason").select_option(index=1)
    transfer.button("Check and offer")
    transfer.button("Offer the case")
    assert "Awaiting acceptance" in sue.locator(".app-facts").inner_text() and transfer.taken <= 4

    names = Lake.of(served).read("identifiers", ["kind", "value"]).to_pylist()
    username = next(row["value"] for row in names if row["kind"] == "username")
    sue.locator("#search").fill(username)
    (find := Steps(sue)).button("Search")
    assert sue.locator("main table tbody a").count() > 0 and find.taken == 1

    aud.goto("/audit")
    (verify := Steps(aud)).button("Verify the log")
    assert "Verified" in aud.locator("main").inner_text() and verify.taken == 1


def test_the_first_case_and_the_main_actions_are_few_tabs_away(open_as: Callable[..., Any]) -> None:
    page = open_as("ben")

    def tabs(*keys: str) -> str:
        for key in keys:
            page.keyboard.press(key)
        return str(page.locator(":focus").inner_text())

    page.goto("/queue")
    first = page.locator(".app-queue tbody a").first
    number, path = first.inner_text(), first.get_attribute("href")
    assert tabs("Tab", "Tab", "Enter", "Tab") == number, "three tabs to the first case"
    page.goto("/queue")
    assert tabs("Tab", "Enter", "Tab") == "Give me the next case", "two tabs to the queue's main action"
    page.goto(path)
    assert tabs("Tab", "Tab", "Enter", "Tab") in {"Claim", "Claim all"}, "three tabs to a case's main action"
