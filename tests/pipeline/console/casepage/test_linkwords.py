"""Links as sentences, one block for each other case."""

from __future__ import annotations

from typing import Any

from pipeline.console.casepage import linkwords


def link(name: str, kind: str = "username", **over: Any) -> dict[str, Any]:
    side = [{"id": "0" * 32, "table": "identifiers", "role": "suspect"}]
    row = {
        "link_id": name, "kind": kind, "strength": "strong", "other": "R-2", "other_case": "C-2", "other_band": "high",
        "other_state": "new", "explanation": "The same username on the same service.",
        "evidence": [{"left": side, "right": side, "value": "demodrop / sample_user_7", "strength": "strong"}],
    }  # fmt: skip
    return row | over


def test_a_sentence_says_what_is_shared_and_whose_it_is_without_ids() -> None:
    assert linkwords.sentence(link("L-1")) == (
        "The same username on the same service: demodrop / sample_user_7 (suspect here and there)."
    )


def test_roles_that_differ_are_said_apart_and_many_values_are_counted() -> None:
    victim = [{"role": "victim"}]
    evidence = [{"left": [{"role": "suspect"}], "right": victim, "value": f"v{n}"} for n in range(5)]
    said = linkwords.sentence(link("L-1", evidence=evidence))
    assert said.endswith("v0, v1, v2 and 2 more (suspect in one, victim in the other).")


def test_text_evidence_lists_and_supplements_have_sentences_too() -> None:
    assert linkwords.sentence(link("L-1", evidence="free text")) == "The same username on the same service."
    supplement = link("L-2", "supplement", explanation="The one extends the other.", evidence=[{"value": "ab" * 16}])
    assert linkwords.sentence(supplement) == "The one extends the other."


def test_three_links_to_one_case_are_one_block_with_the_strongest_first() -> None:
    links = [
        link("L-1", strength="weak"),
        link("L-9", other="list:rso:S-1", other_case=None, strength="medium"),
        link("L-2", "email"),
        link("L-3", "ip", strength="medium"),
    ]
    blocks = linkwords.blocks(links)
    assert [(b["case"], b["strength"], [line["id"] for line in b["lines"]]) for b in blocks] == [
        ("C-2", "strong", ["L-2", "L-3", "L-1"]),
        (None, "medium", ["L-9"]),
    ]
