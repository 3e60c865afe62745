"""A case as its page shows it: nothing that was taken in is missing, and nothing of it acts on the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from pipeline.assess import stage
from pipeline.cases.publishing import stage as publish
from pipeline.console import wording
from pipeline.console.app import create_app
from pipeline.console.casepage import casefile, stated
from pipeline.settings import Settings
from pipeline.store.opening import open_store
from tests import factory
from tests.pipeline.console import world
from tests.pipeline.console.client import Client

OCAG = {
    "group": {"name": "GROUP NAME", "contact": "GROUP CONTACT"},
    "decoy_profiles": [{"username": "DECOY NAME", "stated_age": "13", "operator": "DECOY OPERATOR"}],
    "evidence": [
        {"kind": "export", "captured_by": "CAPTURER", "method": "METHOD", "captured_at": "2026-01-02T03:04:05"}
    ],
    "confronted": {"value": True, "where": "PLACE", "at": "2026-01-02T10:00:00+01:00"},
    "deconfliction": {"result": "RESULT", "reference": "CHECK NUMBER", "checked_by": "CHECKER"},
}
DRB = {
    "authorised_person": "AUTHORISED",
    "detection": "DETECTION",
    "priority_assessment": {"level": "high", "reasons": ["PRIORITY REASON"]},
    "connected_accounts": [{"service": "s", "username": "connected", "relation": "RELATION"}],
    "exif": [{"file": "f.jpg", "make": "MAKE", "serial": "SERIAL"}],
}
UCOL = {
    "network": "NETWORK",
    "participants": ["PARTICIPANT"],
    "conversation_ended": "03/02/2026 10:00",
    "offers_of_contact": [{"kind": "meeting", "place": "MEETING PLACE"}],
}


@contextmanager
def pages(settings: Settings, folder: Path, packages: dict[str, tuple[str, bytes]]) -> Iterator[Client]:
    """A signed-in supervisor's browser over a night with these packages: name to source and report."""
    home = Settings(home=settings.home, threads=2, policy=world.cheap_policy(folder))
    for name, (source, report) in packages.items():
        factory.land(home, {"r.json": report}, name, source=source)
    factory.ingest(home)
    stage.run(home, factory.NIGHT)
    publish.run(home, factory.NIGHT)
    store = open_store(home)
    world.add_people(store)
    store.close()
    app: Any = create_app(home)
    app.app.state.evidence.refresh()
    client = Client(app)
    assert client.sign_in("sue").status_code == 303
    try:
        yield client
    finally:
        client.close()
        app.app.state.store.close()


def text_of(client: Client, case: dict[str, Any], part: str = "") -> str:
    answer = client.get(f"/cases/{case['case_id']}{part}")
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.text)))


def test_what_a_form_states_of_its_own_stands_on_the_page(settings: Settings, tmp_path: Path) -> None:
    forms = {
        "OCAG": ("ocag", factory.form("ocag-referral", reference="1", ocag=OCAG)),
        "NCA_DRB": ("nca", factory.form("nca-direct-report", reference="2", report=DRB, future="UNREAD")),
        "UCOL": ("ucol", factory.form("ucol-referral", reference="3", ucol=UCOL)),
    }
    expected = {
        "OCAG": "GROUP NAME|GROUP CONTACT|DECOY NAME|Stated age: 13|DECOY OPERATOR|CAPTURER|METHOD|PLACE|RESULT"
        "|time unclear (as given: 2026-01-02T03:04:05)|2 Jan 2026, 09:00 (as given: 2026-01-02T10:00:00+01:00)"
        "|CHECK NUMBER|CHECKER|Edited: unknown",
        "NCA_DRB": "AUTHORISED|DETECTION|PRIORITY REASON|RELATION|MAKE|SERIAL|Belonging to no stated subject|UNREAD",
        "UCOL": "NETWORK|PARTICIPANT|MEETING PLACE|time unclear (as given: 03/02/2026 10:00)|Missing",
    }
    with pages(settings, tmp_path, forms) as client:
        cases = client.get("/queue?format=json").json()["cases"]
        assert {c["source"] for c in cases} == set(forms)
        for case in cases:
            for part in ("", "/print?part=all"):
                page = text_of(client, case, part)
                missing = [word for word in expected[case["source"]].split("|") if word not in page]
                assert not missing, case["source"]


def test_the_senders_own_text_of_times_and_ports_stands_beside_what_was_read(
    settings: Settings, tmp_path: Path
) -> None:
    report = factory.form(
        times={"incident": "2026-01-02T03:04:05+02:00", "nca_received": "04/05/2026 10:00"},
        subjects=[{"role": "suspect"}],
        connections=[{"subject": 1, "ip": "192.0.2.1", "port": "70000", "at": "2026-01-02T03:04:05+03:00"}],
        files=[{"name": "f.jpg", "sent": False}],
        chat=[{"text": "[synthetic]", "sent_at": "2026-02-03T04:05:06"}],
    )
    again = dict.fromkeys(("a", "b"), ("other", report))
    with pages(settings, tmp_path, again) as client:
        (case,) = client.get("/queue?format=json").json()["cases"]
        page = text_of(client, case)
        for words in (
            "2026-01-02T03:04:05+02:00",
            "04/05/2026 10:00 Time unclear",
            "192.0.2.1 port 70000",
            "2 Jan 2026, 00:04 as given: 2026-01-02T03:04:05+03:00",
            "As given: 70000",
            "viewed by provider: unknown",
            "of which 1 is an exact duplicate",
        ):
            assert words in page
        (opening,) = re.findall(r'name="open" value="([^"]+)"', client.get(f"/cases/{case['case_id']}/texts").text)
        texts = text_of(client, case, f"/texts?open={opening}&reason=assess")
        assert "as given: 2026-02-03T04:05:06" in texts
        assert "Time unclear" in texts


def test_a_supplement_has_its_own_stage_times() -> None:
    given = {"nca_received_at": {"original": "2026-01-02T03:04:05Z", "ambiguous": False}}
    referral = {"times_original": given, "nca_received_at": "2026-01-02T03:04:05+00:00"}
    row = {"label": "Nca received", "lines": ["2 Jan 2026, 03:04 (as given: 2026-01-02T03:04:05Z)"]}
    assert stated.rows(referral, first=True) == []
    assert stated.rows(referral, first=False) == [row]


def test_versions_and_files_give_away_neither_hidden_evidence_nor_paths(settings: Settings, tmp_path: Path) -> None:
    forms = {"a": ("other", factory.form(files=[{"name": "f.jpg", "sent": False}]))}
    with pages(settings, tmp_path, forms) as client:
        (case,) = client.get("/queue?format=json").json()["cases"]
        data = client.get(f"/cases/{case['case_id']}?format=json").json()
    assert not {"reasons", "flags", "summary", "notifications"} & data["versions"][0].keys()
    assert "summary" not in data["assessment"]
    assert "locator" not in data["files"][0]["files"][0]


def test_words_in_a_place_where_no_rule_reads_them_are_for_who_may_open_texts(
    settings: Settings, tmp_path: Path
) -> None:
    report = factory.form(
        narrativ="[synthetic message 24]",
        times={"incident": "[synthetic message 25]"},
        urgency="[synthetic message 26]",
        taken={"by": "[synthetic message 27]"},
        facts={"access_to_children": {"value": True, "detail": "[synthetic message 28]"}},
        priority="[synthetic message 29]",
        handling="[synthetic message 30]",
        connections=[
            {"ip": "192.0.2.7", "port": "[synthetic message 31]", "at": "[synthetic message 32]"},
            {
                "ip": "192.0.2.8",
                "event": "[synthetic message 33]",
                "at": "2026-02-03 10:15",
                "timezone": "[synthetic message 34]",
            },
        ],
        files=[{"name": "f.jpg", "sent": False, "uploaded_at": "[synthetic message 35]"}],
    )
    numbers = range(24, 36)
    with pages(settings, tmp_path, {"a": ("other", report)}) as client:
        (case,) = client.get("/queue?format=json").json()["cases"]
        paths = [f"/cases/{case['case_id']}{part}" for part in ("", "/print?part=all", "?format=json")]
        for user, shown in (("sue", True), ("ana", True), ("dan", False), ("aud", False)):
            client.post("/sign-out")
            assert client.sign_in(user).status_code == 303
            for path in paths:
                text = client.get(path).text
                there = {n: f"synthetic message {n}" in text for n in numbers}
                assert there == dict.fromkeys(numbers, shown), (user, path)
                assert "2026-02-03 10:15" in text, "a time is for everybody"
        assert client.get(paths[2]).json()["referrals"][0]["unknown_keys"] == {"not_shown": stated.NOT_SHOWN}


def test_why_a_file_could_not_be_read_stands_beside_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = casefile._files

    def unreadable(*given: Any) -> list[dict[str, Any]]:
        groups = found(*given)
        for file in (file for group in groups for file in group["files"]):
            file.update(state="unreadable", reason="archive_damaged")
        return groups

    monkeypatch.setattr(casefile, "_files", unreadable)
    with pages(settings, tmp_path, {"a": ("other", factory.form(files=[{"name": "f.jpg"}]))}) as client:
        (case,) = client.get("/queue?format=json").json()["cases"]
        assert "Unreadable: archive damaged; viewed by provider" in text_of(client, case)


def test_texts_are_counted_as_far_as_the_reader_may_open_them(settings: Settings, tmp_path: Path) -> None:
    report = factory.form("ucol-referral", chat=[{"text": "[synthetic]"}], covert_source={"handler": "[synthetic]"})
    with pages(settings, tmp_path, {"a": ("ucol", report)}) as client:
        (case,) = client.get("/queue?format=json").json()["cases"]
        path = f"/cases/{case['case_id']}?format=json"
        assert client.get(path).json()["texts"] == 2
        client.post("/sign-out")
        assert client.sign_in("ana").status_code == 303
        assert client.get(path).json()["texts"] == 1


def test_no_character_of_a_sender_is_unseen_or_turns_the_text(settings: Settings, tmp_path: Path) -> None:
    name = "a\u202egnp.exe\u200b<b>\x1b[31m"
    forms = {"a": ("other", factory.form(subjects=[{"role": "suspect", "name": name}], platform=name))}
    with pages(settings, tmp_path, forms) as client:
        (case,) = client.get("/queue?format=json").json()["cases"]
        page = client.get(f"/cases/{case['case_id']}").text
    assert "a[U+202E]gnp.exe[U+200B]&lt;b&gt;[U+001B][31m" in page
    assert not set("\u202e\u200b\x1b") & set(page)
    assert wording.visible("two\nlines, é, 日本\t") == "two\nlines, é, 日本\t"
    assert wording.visible(7) == 7


SUPPLEMENTS = {"R-1": ["R-2", "R-3"], "R-2": ["R-4"], "R-3": ["R-4"], "R-4": ["R-1"]}


class Supplements:
    """The console's index as far as it is asked here."""

    def supplements(self, referral_id: str) -> list[str]:
        return SUPPLEMENTS[referral_id]

    def rows(self, kind: str, keys: list[str]) -> list[dict[str, str]]:
        assert kind == "referrals"
        return [{"referral_id": key, "force_received_at": "2026-01-01"} for key in keys]


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ([], ["R-1", "R-2", "R-3", "R-4"]),
        (["R-2"], ["R-1", "R-3", "R-4"]),
        (["R-2", "R-3"], ["R-1"]),
        (["R-1"], []),
    ],
)
def test_a_case_has_the_supplements_that_its_reader_may_know_of_and_what_is_behind_those(
    hidden: list[str], shown: list[str]
) -> None:
    evidence: Any = Supplements()
    found = casefile.referrals_of("R-1", evidence, set(hidden).intersection)
    assert [row["referral_id"] for row in found] == shown
