"""The block of a covert source is found wherever and however it is written; in doubt the whole referral is restricted."""

from __future__ import annotations

import json

import pytest

from pipeline.ingest import rules
from pipeline.ingest.landing.package import Member
from pipeline.ingest.reports import report
from pipeline.ingest.reports.draft import Draft
from pipeline.locator import Locator
from pipeline.settings import Settings
from tests.factory import form, police_json

RULES = rules.load(Settings())
SECRET = "COVERTSECRET"
PLAIN = {"personas": [SECRET], "operation": SECRET}


def draft(content: bytes) -> Draft:
    found = report.read(Member("r.json", len(content), Locator("x"), content), content, RULES.report)
    assert found is not None
    return found.draft


def open_text(made: Draft) -> str:
    """Everything that is not in the compartment."""
    if made.referral.get("compartment"):
        return ""
    texts = [n for n in made.narratives if n.get("compartment") is None]
    return json.dumps([made.referral, made.subjects, made.identifiers, made.defects, texts], default=str)


def test_the_plain_block_restricts_only_itself() -> None:
    made = draft(form("ucol-referral", narrative=f"[synthetic] {SECRET}", covert_source=PLAIN))
    assert made.referral.get("compartment") is None
    assert SECRET not in open_text(made) and "[synthetic] [covert]" in open_text(made)
    assert len([n for n in made.narratives if n["compartment"] == "ucol"]) == 2


@pytest.mark.parametrize(
    "block",
    [
        {"covertSource": PLAIN},
        {"Covert source": PLAIN},
        {"covert_sources": [PLAIN]},
        {"covert_source": [PLAIN]},
        {"covert_source": SECRET},
        {"covert_source": {"personas": [{"service": "s", "username": SECRET}]}},
        {"covert_source": {"persona": SECRET}},
        {"covert_source": {"Personas": [SECRET]}},
        {"ucol": {"covert_source": PLAIN}},
        {"subjects": [{"role": "suspect", "covert_source": PLAIN}]},
    ],
)
def test_in_doubt_the_whole_referral_is_restricted(block: dict[str, object]) -> None:
    made = draft(form("ucol-referral", narrative=f"[synthetic] {SECRET}", **block))
    assert made.referral["compartment"] == "ucol"
    assert SECRET not in json.dumps([made.referral["unknown_keys"], made.defects])
    assert any("the whole referral is restricted" in d["problem"] for d in made.defects)
    assert any(SECRET in n["text"] for n in made.narratives if n["compartment"] == "ucol")


@pytest.mark.parametrize("inside", [False, True])
def test_a_block_or_its_names_given_twice(inside: bool) -> None:
    twice = '"personas": ["%s"], "personas": ["other"]' if inside else '"personas": ["%s"]}, "covert_source": {"a": 1'
    raw = f'{{"form": "ucol-referral/1", "narrative": "{SECRET}", "covert_source": {{{twice % SECRET}}}}}'
    made = draft(raw.encode())
    assert made.referral["compartment"] == "ucol"
    assert SECRET not in json.dumps([made.referral["unknown_keys"], made.defects])


@pytest.mark.parametrize(
    "content", [form(covert_source=PLAIN), form("ocag-referral", covert_source=PLAIN), police_json(covert_source=PLAIN)]
)
def test_a_block_in_any_other_report(content: bytes) -> None:
    made = draft(content)
    assert SECRET not in open_text(made)
    assert any(n["compartment"] == "ucol" for n in made.narratives)


def test_an_empty_block_restricts_nothing() -> None:
    made = draft(form("ucol-referral", covert_source={"personas": [], "handler": None}))
    assert (made.referral.get("compartment"), made.narratives, made.defects) == (None, [], [])
