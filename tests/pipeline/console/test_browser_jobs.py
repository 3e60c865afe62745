"""The jobs of a day in a real browser: how many steps each takes, and how many tabs away things are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.lake import Lake
from pipeline.settings import Settings
from pipeline.store.opening import open_store
from tests.pipeline.console import jobs, world
from tests.pipeline.console.browsing import MARKS

pytestmark = MARKS


def test_every_job_of_the_guides_takes_the_steps_that_they_say(open_as: Callable[..., Any], served: Settings) -> None:
    """Among them: the next case 1, an answer 2, allocating ten 3 at most, a transfer 4 at most, a username 1, the log 1."""
    ana, sue, dan, aud = (open_as(name) for name in ("ana", "sue", "dan", "aud"))
    taken: dict[str, dict[str, int]] = {doc: {} for doc in jobs.DOCS}
    taken["analysts"]["take the next case"] = jobs.next_case(ana)
    taken["analysts"]["give a case back"] = jobs.give_back(ana)
    assert jobs.next_case(ana) == 1
    number = ana.url.split("?")[0].split("/")[-1]
    names = Lake.of(served).read("identifiers", ["kind", "value"]).to_pylist()
    username = next(row["value"] for row in names if row["kind"] == "username")
    for job, of in jobs.analyst(number, lambda: settled(served, number), username).items():
        taken["analysts"][job] = of(ana)
        if job == "propose to lower the band":  # its supervisor looks at it, and at the KIRAT level that lies below
            for listed in ("approve a lower band", "record a second look"):
                taken["supervisors"][listed] = jobs.supervisor()[listed](sue)
    for job, of in jobs.supervisor().items():
        if job not in taken["supervisors"]:
            taken["supervisors"][job] = of(sue)
    dan.goto("/queue")
    of_dan = dan.locator(".app-queue tbody a").first.inner_text()
    taken["dmi"] = {job: of(dan) for job, of in jobs.investigator(of_dan).items()}
    taken["operations"] = {job: of(sue) for job, of in jobs.operator().items()}
    taken["operations"]["verify the audit log"] = jobs.verify(aud)
    taken["operations"]["who looked at a case"] = jobs.who_looked(aud)
    assert taken == {doc: jobs.told(doc) for doc in jobs.DOCS}
    assert (
        taken["supervisors"]["allocate ten free cases"] <= 3 and taken["analysts"]["offer a case to another force"] <= 4
    )


def settled(served: Settings, number: str) -> None:
    """What has to be done before a case may leave is done."""
    store = open_store(served)
    world.settle_duties(store, number)
    store.close()


def test_the_first_case_and_the_main_actions_are_few_tabs_away(open_as: Callable[..., Any]) -> None:
    page = open_as("ben")

    def tabs(*keys: str) -> str:
        for key in keys:
            page.keyboard.press(key)
        return str(page.locator(":focus").inner_text())

    page.goto("/queue")
    first = page.locator(".app-queue tbody a").first
    number = first.inner_text()
    assert tabs("Tab", "Tab", "Enter", "Tab") == number, "three tabs to the first case"
    page.goto("/queue")
    assert tabs("Tab", "Enter", "Tab") == "Give me the next case", "two tabs to the queue's main action"
    page.goto("/queue?holder=nobody")
    page.goto(page.locator(".app-queue tbody a").first.get_attribute("href"))
    assert tabs("Tab", "Tab", "Enter", "Tab") in {"Claim", "Claim all"}, "three tabs to a case's main action"
