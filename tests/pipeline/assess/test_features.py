"""Declared features: each explains itself, and those about files read the right counters."""

from __future__ import annotations

import re

import pytest
import yaml

from pipeline.assess.evidence.inputs import NO, NOT_KNOWN, NOT_SO, UNKNOWN, YES, Answer, CaseFile, Reading
from pipeline.assess.features import FEATURES
from pipeline.assess.features.registry import feature
from pipeline.errors import TriageError
from pipeline.settings import ROOT
from tests.pipeline.assess.builders import case, said

READING = Reading(50, {"TRUSTED": 1.0, "INDICATIVE": 0.75, "DISPUTED": 1.0}, 3, 0.7, {"1": "imminent", "3": "ordinary"})


def ask(name: str, some: CaseFile) -> Answer:
    return FEATURES[name].function(some, READING)


@pytest.mark.parametrize("name", FEATURES)
def test_every_feature_has_label_question_and_explanation(name: str) -> None:
    declared = FEATURES[name]
    assert declared.label[0].isupper() and not declared.label.endswith(".")
    assert declared.question.endswith("?")
    assert declared.explanation.endswith(".") and len(declared.explanation) > 20
    assert "kirat" not in f"{name} {declared.label} {declared.explanation}".lower()


@pytest.mark.parametrize("name", FEATURES)
def test_every_feature_is_pure(name: str) -> None:
    some = case(facts=said("grooming", "viral"), counts={"unknown": 3, "marked_viral": 1}, links={"strong": 2})
    before = repr(some)
    assert ask(name, some) == ask(name, some)
    assert repr(some) == before


def test_features_read_every_fact_of_the_vocabulary_but_those_not_weighed() -> None:
    vocabulary = set(yaml.safe_load((ROOT / "policy/facts.yaml").read_text())["facts"])
    model = yaml.safe_load((ROOT / "policy/risk-model.yaml").read_text())
    read = {n for f in FEATURES.values() for n in f.facts}
    assert read == vocabulary - set(model["reading"]["not_weighed"])
    assert list(FEATURES) == [n for n in FEATURES if re.fullmatch(r"[a-z_]+", n)]


def test_a_feature_without_explanation_or_declared_twice_is_refused() -> None:
    def silent(case: CaseFile, reading: Reading) -> Answer:
        return NOT_SO

    def grooming(case: CaseFile, reading: Reading) -> Answer:
        """Something else under a name that is taken."""
        return NOT_SO

    for function in (silent, grooming):
        with pytest.raises(TriageError, match=function.__name__):
            feature("behaviour", "Label", "Question?")(function)


@pytest.mark.parametrize("name", ["unknown_files", "first_generation_files"])
def test_while_files_could_not_be_examined_new_material_is_unknown_not_absent(name: str) -> None:
    assert ask(name, case()) is NOT_SO
    assert ask(name, case(counts={"unexamined": 1})) is NOT_KNOWN
    counter = {"unknown_files": "unknown", "first_generation_files": "first_generation"}[name]
    assert ask(name, case(counts={"unexamined": 1, counter: 1})).value == YES


def test_number_of_files_soon_stops_counting() -> None:
    shares = [ask("known_files", case(counts={"known": n})).share for n in (1, 5, 50, 100_000)]
    assert shares[0] == 0.7 and shares[2:] == [1.0, 1.0] and 0.7 < shares[1] < 1


def test_an_opinion_counts_by_its_grade() -> None:
    disputed = ask("category_a", case(counts={"category_a_DISPUTED": 9}))
    both = ask("category_a", case(counts={"category_a_DISPUTED": 9, "category_a_INDICATIVE": 1}))
    assert (disputed.share, both.share, both.total) == (1.0, 1.0, 10)
    assert ask("category_a", case(counts={"category_a_INDICATIVE": 1})).share == 0.75


def test_identification_of_victims_stays_open_while_sources_do_not_say() -> None:
    assert ask("victim_not_identified", case()).value == NO
    assert ask("victim_not_identified", case(counts={"victim_unknown": 1})).value == UNKNOWN
    assert ask("victim_not_identified", case(counts={"victim_not_identified_TRUSTED": 1})).value == YES


def test_a_mark_on_a_file_and_a_fact_say_the_same_thing_together() -> None:
    some = case(facts=said("infant"), counts={"marked_infant": 2, "tagged_infant": 1})
    some.samples = {"marked_infant": ("m1", "m2"), "tagged_infant": ("x1",)}
    answer = ask("infant_files", some)
    assert [r.table for r in answer.rows] == ["facts", "media_files", "media_files", "matches"]
    assert answer.total == 4


def test_exposure_of_the_suspect_needs_all_three_answers_to_be_denied() -> None:
    names = ("suspect_confronted", "suspect_streamed", "suspect_named")
    assert ask("suspect_exposed", case(facts=dict.fromkeys(names, NOT_SO))).value == NO
    assert ask("suspect_exposed", case(facts=dict.fromkeys(names[:2], NOT_SO))).value == UNKNOWN
    assert ask("suspect_exposed", case(facts=said("suspect_named"))).value == YES


def test_only_strong_links_count_and_the_third_completes() -> None:
    assert ask("linked_cases", case(links={"weak": 40, "medium": 2})).value == NO
    assert [ask("linked_cases", case(links={"strong": n})).share for n in (1, 3, 9)] == [0.3333, 1.0, 1.0]


def test_not_viewed_by_the_provider_is_not_a_no() -> None:
    assert ask("provider_viewed", case()).value == UNKNOWN
    assert ask("provider_viewed", case(counts={"viewed": 1})).value == YES
