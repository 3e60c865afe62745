"""Every job in the tables of docs/analysts.md, supervisors.md, dmi.md and operations.md, done on the real pages.

A step is what a person presses: a button, a link, something that unfolds. Fields that are filled or chosen are no steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pipeline.settings import ROOT
from tests.pipeline.console.browsing import press

DOCS = ("analysts", "supervisors", "dmi", "operations")
_ROW = re.compile(r"^\| ([^|]+) \| (\d+) \|$", re.MULTILINE)


def told(doc: str) -> dict[str, int]:
    """Jobs of the table in docs/DOC.md with their steps."""
    return {job: int(steps) for job, steps in _ROW.findall((ROOT / "docs" / f"{doc}.md").read_text())}


class Steps:
    """A page, and how often its person has pressed something."""

    def __init__(self, page: Any) -> None:
        self.page, self.taken = page, 0

    def press(self, place: Any) -> None:
        press(place)
        self.taken += 1

    def button(self, name: str) -> None:
        self.press(self.page.get_by_role("button", name=name, exact=True))

    def link(self, name: str) -> None:
        self.press(self.page.get_by_role("link", name=name, exact=True).first)

    def unfold(self, text: str) -> None:
        self.press(self.page.locator("summary", has_text=text).first)

    def form(self, name: str, fields: dict[str, str], button: str) -> None:
        """Fill a form of the page (a list: its first choice where the value is empty) and press its button."""
        form = self.page.locator(f"[id='{name}-form']")
        for field, value in fields.items():
            place = form.locator(f"[name='{field}']")
            if place.evaluate("field => field.tagName") == "SELECT":
                place.select_option(value) if value else place.select_option(index=1)
            else:
                place.fill(value)
        self.press(form.get_by_role("button", name=button))

    def saved(self) -> int:
        """The steps, once the page says that it is done."""
        assert self.page.locator(".govuk-notification-banner").count(), self.page.locator("main").inner_text()[:400]
        return self.taken


Job = Callable[[Any], int]


def analyst(number: str, settle: Callable[[], None], username: str) -> dict[str, Job]:
    """Jobs on one case that the analyst holds, in the order of a day."""

    def on_case(fold: str, name: str, fields: dict[str, str], button: str) -> Job:
        def job(page: Any) -> int:
            page.goto(f"/cases/{number}")
            steps = Steps(page)
            if fold:
                steps.unfold(fold)
            steps.form(name, fields, button)
            return steps.saved()

        return job

    def first(page: Any, deed: str) -> str:
        page.goto(f"/cases/{number}")
        return str(page.locator(f"form[action$='/{deed}']").first.get_attribute("id")).removesuffix("-form")

    def find(page: Any) -> int:
        page.goto("/queue")
        page.locator("#search").fill(username)
        (steps := Steps(page)).button("Search")
        assert page.locator("main table tbody a").count()
        return steps.taken

    def answer(page: Any) -> int:
        page.goto(f"/cases/{number}")
        (steps := Steps(page)).press(page.locator("#unknown summary", has_text="Answer").first)
        form = page.locator("details[open] > div > form.app-answer").first
        form.get_by_label("Found in").select_option(index=1)
        steps.press(form.get_by_role("button", name=re.compile("^No")))
        return steps.saved()

    def tell(page: Any) -> int:
        name = first(page, "told")
        return on_case("Record who was told", name, {"told_to": "[synthetic officer]"}, "Record")(page)

    def notify(page: Any) -> int:
        name = first(page, "notify")
        fields = {"reason": "", "recipient": "[synthetic name]", "post": "[synthetic post]"}
        return on_case("Notify:", name, fields, "Record")(page)

    def came(page: Any) -> int:
        return on_case("", first(page, "answer"), {"answer": "[synthetic answer 1]"}, "Record the answer")(page)

    def chat(page: Any) -> int:
        page.goto(f"/cases/{number}")
        (steps := Steps(page)).link("Choose what to open")
        page.get_by_label("Reason").first.select_option(index=1)
        steps.press(page.get_by_role("button", name="Open this text").first)
        assert page.locator(".app-text").count()
        return steps.taken

    def offer(page: Any) -> int:
        settle()
        page.goto(f"/cases/{number}")
        (steps := Steps(page)).unfold("Transfer to another force")
        steps.form("move", {"force": "", "recipient": "[synthetic unit]", "reason": ""}, "Check and offer")
        steps.button("Offer the case")
        assert "Awaiting acceptance" in page.locator(".app-facts").inner_text()
        return steps.taken

    def stays(page: Any) -> int:
        page.goto(f"/cases/{number}")
        (steps := Steps(page)).button("It stays here")
        return steps.saved()

    def keep(page: Any) -> int:
        page.goto("/queue?band=high")
        page.get_by_label("Save these filters as").fill("[synthetic filters]")
        (steps := Steps(page)).button("Save")
        return steps.saved()

    ask = {"asked_of": "NCA", "reason": "", "text": "[synthetic letter 1]"}
    kirat = {"level": "medium", "tool_version": "4", "assessor": "[synthetic name]", "assessed_on": "2026-11-20"}
    close = {"outcome": "", "reason": ""}
    return {
        "find the cases that know a username, a name, a hash": find,
        "answer an open question": answer,
        "record whom you told of a flag": tell,
        "record a notification": notify,
        "start an enquiry": on_case("", "start", {"reason": ""}, "Start"),
        "enter a KIRAT level": on_case("Enter a KIRAT level", "kirat", kirat, "Enter"),
        "propose to lower the band": on_case("Change the band", "lower", {"band": "", "reason": "", "note": "[synthetic note 1]"}, "Propose"),
        "ask for information": on_case("Ask for information", "ask", ask, "Record the request"),
        "record the answer that came": came,
        "open a chat or narrative": chat,
        "add a note": on_case("Add a note", "new", {"note": "[synthetic note 2]"}, "Save the note"),
        "enter how many children are safeguarded": on_case("Children safeguarded", "children", {"children": "1"}, "Enter"),
        "offer a case to another force": offer,
        "record that it stays here": stays,
        "keep the filters that are on": keep,
        "close a case": on_case("", "close", close, "Close the case"),
    }  # fmt: skip


def next_case(page: Any) -> int:
    """Take the next case."""
    page.goto("/queue")
    (steps := Steps(page)).button("Give me the next case")
    assert "Held by you" in page.locator(".app-facts").inner_text()
    return steps.taken


def give_back(page: Any) -> int:
    """Give the case back that is open."""
    (steps := Steps(page)).button("Give back")
    return steps.saved()


def supervisor() -> dict[str, Job]:
    """Jobs on the lists of the supervisor."""

    def on_list(place: str, fold: str, fields: dict[str, str], button: str) -> Job:
        def job(page: Any) -> int:
            page.goto("/supervision")
            row = page.locator(f"#{place} tbody tr", has=page.locator("summary", has_text=fold)).first
            name = row.locator("details", has_text=fold).first.locator("form").get_attribute("id")
            (steps := Steps(page)).press(row.locator("summary", has_text=fold))
            steps.form(str(name).removesuffix("-form"), fields, button)
            return steps.saved()

        return job

    def allocate(page: Any) -> int:
        page.goto("/supervision")
        (steps := Steps(page)).link("Choose the first 10")
        page.get_by_label("To whom, with what they hold now").select_option("ben")
        steps.button("Allocate the chosen cases")
        assert "done=allocated-all" in page.url
        return steps.saved()

    def texts(page: Any) -> int:
        page.goto("/queue")
        (steps := Steps(page)).link("Supervision")
        steps.link("Texts opened, person by person and day")
        assert "Wellbeing" in page.locator("h1").inner_text()
        return steps.taken

    def partners(page: Any) -> int:
        page.goto("/queue")
        (steps := Steps(page)).link("Dashboard")
        steps.link("Partner view")
        assert "Partner view" in page.locator("h1").inner_text()
        return steps.taken

    return {
        "record whom you told of a flag": on_list("flags", "Record", {"told_to": "[synthetic officer]"}, "Save"),
        "record a notification": on_list("notifications", "Record", {"reason": "", "recipient": "[synthetic name]", "post": "[synthetic post]"}, "Save"),
        "approve a lower band": on_list("lowerings", "Approve", {"note": "[synthetic note 3]"}, "Approve the lowering"),
        "record a second look": on_list("second", "Record", {"reason": "", "note": "[synthetic note 4]"}, "Save"),
        "allocate ten free cases": allocate,
        "see the texts opened by person and day": texts,
        "see the partner view": partners,
    }  # fmt: skip


def investigator(number: str) -> dict[str, Job]:
    """Jobs of a digital media investigator; `number` is a case that a known item is in."""

    def look_up(page: Any) -> int:
        page.goto("/matches?format=json")
        match = page.evaluate("JSON.parse(document.body.innerText).matches[0]")
        page.goto("/look-up")
        page.get_by_label("Hashes, one per line").fill(f"{match['algorithm']}:{match['known_hash']}")
        page.get_by_label("Why you ask").fill("synthetic request")
        (steps := Steps(page)).button("Look up")
        assert "1 hit" in page.locator("main").inner_text()
        return steps.taken

    def to_case(page: Any) -> int:
        look_up(page)
        (steps := Steps(page)).press(page.locator("main table a[href^='/cases/']").first)
        assert "/cases/" in page.url
        return steps.taken

    def why(page: Any) -> int:
        page.goto("/matches")
        (steps := Steps(page)).press(page.locator("main tbody a").first)
        assert "Why this matches" in page.locator("h1").inner_text()
        return steps.taken

    def match_to_case(page: Any) -> int:
        why(page)
        (steps := Steps(page)).press(page.locator("main a[href^='/cases/']").first)
        return steps.taken

    def run(page: Any) -> int:
        page.goto("/sql")
        page.locator("#sql").fill("@open_cases")
        (steps := Steps(page)).button("Run")
        assert "rows." in page.locator("main").inner_text()
        return steps.taken

    def export(page: Any) -> int:
        page.goto(f"/cases/{number}")
        (steps := Steps(page)).unfold("Export this case")
        with page.expect_download():
            fields = {"recipient": "[synthetic recipient]", "reason": "synthetic disclosure"}
            steps.form("export", fields, "VICS 2.0")
        return steps.taken

    return {
        "look hashes up": look_up,
        "from a hit to its case": to_case,
        "why a match matches": why,
        "from a match to its case": match_to_case,
        "run a statement": run,
        "export a case as VICS": export,
    }


def operator() -> dict[str, Job]:
    """Jobs of operators, auditors and administrators on the pages."""

    def run(page: Any) -> int:
        page.goto("/dashboard")
        (steps := Steps(page)).link("Runs")
        steps.press(page.locator("main tbody a").first)
        assert page.locator("h1").inner_text().startswith("Run ")
        return steps.taken

    def sent(page: Any) -> int:
        page.goto("/quarantine")
        page.get_by_label("Sent to").first.fill("[synthetic sender]")
        (steps := Steps(page)).press(page.get_by_role("button", name=re.compile("^Mark as sent back now")).first)
        return steps.saved()

    return {"see how far a night is": run, "mark a package as sent back": sent}


def verify(page: Any) -> int:
    """Verify the audit log, as an auditor."""
    page.goto("/audit")
    (steps := Steps(page)).button("Verify the log")
    assert "Verified" in page.locator("main").inner_text()
    return steps.taken


def who_looked(page: Any) -> int:
    """Who looked at a case, from an entry about it."""
    page.goto("/audit")
    (steps := Steps(page)).press(page.locator("main a[href*='case=C-']").first)
    assert "asked=seen" in page.url
    return steps.taken
