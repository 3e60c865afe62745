"""No page shows a code where a person reads: everything that is text, of every kind of page, over a real night and real work."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from typing import Any

import jinja2
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from pipeline import policy
from pipeline.console import pages, wording
from pipeline.settings import Settings
from pipeline.store.tables import Change
from tests.pipeline.console.client import Client, version_of

CODE = re.compile(r"\b[a-z]+(?:_[a-z0-9]+)+\b")
EXACT = re.compile(
    r"<(pre|code|textarea|style|title)\b.*?</\1>|<span [^>]*\bapp-(?:mono|wrap)\b[^>]*>.*?</span>"
    r"|<t[dh] [^>]*\bapp-mono\b[^>]*>.*?</t[dh]>|<(?:dd|li) [^>]*\bapp-wrap\b[^>]*>.*?</(?:dd|li)>",
    re.DOTALL,
)
"""What is given exactly as it came or is to be typed exactly so: statements, commands, paths, names of files, identifiers."""


def codes(page: str) -> set[str]:
    """Words with an underscore in what a person reads of a page."""
    main = page[page.index("<main") : page.index("</main>")]
    return set(CODE.findall(html.unescape(re.sub(r"<[^>]+>", " ", EXACT.sub(" ", main)))))


def worked_case(browser_of: Any) -> tuple[Client, str]:
    """A case on which everything was done that leaves a line in its history."""
    sue: Client = browser_of("sue")
    path = sue.post("/queue/next").headers["location"].split("?")[0]

    def act(action: str, **form: str) -> None:
        answer = sue.post(f"{path}/{action}", {"version": version_of(sue.get(path)), **form})
        assert answer.status_code == 303, (action, answer.text[-600:])

    act("decide", decision="start_enquiry", reason="warrant")
    act("kirat", level="low", tool_version="2", assessor="A N Other", assessed_on="2026-11-01")
    act("decide", decision="lower_band", band="low", reason="suspect_elsewhere", note="[synthetic note]")
    act("request", asked_of="NCA", reason="missing_times", text="Please send the times.")
    for row in sue.get(f"{path}?format=json").json()["notifications"][:1]:
        act("notify", notification_id=str(row["notification_id"]), reason="made", recipient="[synthetic office]")
    return sue, path


def test_no_page_shows_codes(browser_of: Any) -> None:
    sue, path = worked_case(browser_of)
    numbers = [c["case_id"] for c in sue.get("/queue?format=json").json()["cases"]]
    reports = re.findall(r'href="(/dashboard/[a-z_]+)"', sue.get("/dashboard").text)
    pages = ["/queue", "/mine", "/supervision", "/outcomes", "/dashboard", "/runs", "/account", path, f"{path}/print"]
    found = {
        where: sorted(shown)
        for where in [*pages, *dict.fromkeys(reports), *(f"/cases/{n}" for n in numbers[:12])]
        if (shown := codes(sue.get(where, headers={"accept": "text/html"}).text))
    }
    assert found == {}


def test_a_decision_record_says_what_its_form_said(browser_of: Any) -> None:
    sue, path = worked_case(browser_of)
    page = sue.get(path).text
    assert "Lowering to Low proposed: Suspect has no access to a child" in page
    assert "Enquiry started: Warrant being sought" in page
    assert "Information asked for: Times or time zones are unclear" in page
    assert "Suspect elsewhere" not in page


def test_people_are_named_and_not_their_accounts(app: Any, browser_of: Any) -> None:
    """In a history, whenever its lines were stored, in what changed, on one's own page and in refusals."""
    ana, ben, sue = (browser_of(name) for name in ("ana", "ben", "sue"))
    path = ana.post("/queue/next").headers["location"].split("?")[0]
    number = path.rsplit("/")[-1]
    with app.app.state.store.session() as session:
        assert "Claimed by ana" in session.scalars(sa.select(Change.text).where(Change.case_id == number)).all()
        session.add(Change(case_id=number, at=datetime(2024, 5, 1, tzinfo=UTC), run_id=None, by="system", kind="released",
                           text="Claim of ben lapsed", compartment=None))  # fmt: skip
    page = ben.get(path).text
    assert page.count("Claimed by Ana Analyst") == page.count("Claim of Ben Analyst lapsed") == 2, "changes and history"
    assert "Claimed by ana" not in page and "Claim of ben" not in page
    as_page = {"accept": "text/html"}
    refused = ben.post(f"{path}/claim", headers=as_page)
    assert refused.status_code == 409 and "is held by Ana Analyst already" in refused.text
    stale = ben.post(f"{path}/note", {"version": "0", "form": "new", "note": "[synthetic note]"}, headers=as_page)
    assert stale.status_code == 409 and "was changed by Ana Analyst on" in stale.text
    assert (
        sue.post(
            f"{path}/allocate", {"version": version_of(sue.get(path)), "person": "ben", "reason": "workload"}
        ).status_code
        == 303
    )
    assert "Allocated to Ben Analyst" in sue.get(path).text and "Allocated to ben" not in ben.get("/mine").text
    assert "Allocated to Ben Analyst" in ben.get("/mine").text


def test_bands_are_spelled_in_one_way() -> None:
    labels = {b["band"]: b["label"] for b in policy.load(Settings.load(), "risk-model").data["bands"]}
    assert labels == {band: wording.words(band) for band in labels}


def test_an_answer_to_sql_is_shown_as_it_is_stored() -> None:
    summer = datetime(2026, 7, 21, 8, 30, tzinfo=UTC)
    row = ["very_high", summer, summer.replace(tzinfo=None), None, 1200, ["pdq", "md5"], ""]
    told = ["very_high", "2026-07-21 08:30:00", "2026-07-21 08:30:00", "–", "1,200", "pdq, md5", "–"]
    assert [wording.stored(value) for value in row] == told
    assert wording.cell("very_high") == "Very high"


OURS = pages.environment().from_string("{{ value }}")
JINJAS = jinja2.Environment(autoescape=True, finalize=wording.visible).from_string("{{ value }}")


@given(
    st.one_of(
        st.text(),
        st.text(alphabet="a<>&\"'\u200b\u202e\x00"),
        st.text().map(Markup),
        st.integers(),
        st.floats(),
        st.booleans(),
        st.none(),
        st.lists(st.text()),
    )
)
def test_a_value_is_written_as_jinja_escapes_it(value: Any) -> None:
    assert OURS.render(value=value) == JINJAS.render(value=value)


def test_names_in_templates_mean_what_they_mean_to_jinja() -> None:
    """A key of a dict, and a method of it even where a key has its name; what is missing is an error, not nothing."""
    row = {"name": "a", "items": "b"}
    env = pages.environment()
    assert (
        env.from_string("{{ row.name }} {{ row.get('items') }} {{ row.items() | length }}").render(row=row) == "a b 2"
    )
    for text in ("{{ row.other }}", "{{ nothing }}"):
        with pytest.raises(jinja2.UndefinedError):
            env.from_string(text).render(row=row)
