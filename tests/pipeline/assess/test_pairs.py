"""Pairs of cases that were in the wrong order once, through the engine: rows of the lake, counters, features, model."""

from __future__ import annotations

import pytest

from pipeline.assess.evidence.case_file import Bulk
from pipeline.assess.evidence.inputs import CaseFile
from pipeline.assess.links.stored import current
from pipeline.assess.models.model import BANDS, Assessed, Model
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit, fact, fingerprint, identifier, match, media, referral, subject

MODEL = Model.load(Settings())


def cases(settings: Settings) -> dict[str, CaseFile]:
    lake = Lake(settings.lake_dir)
    return {c.referral_id: c for c in Bulk(settings, MODEL, lake, current(lake)).cases()}


def assessed(settings: Settings, referral_id: str) -> Assessed:
    return MODEL.assess(cases(settings)[referral_id])


@pytest.fixture
def worst(settings: Settings) -> Settings:
    """V: 18 known files, all marked viral, rare, of unidentified children, category A, viewed and public."""
    names = [f"k{n}" for n in range(18)]
    more = {
        "annotations": ["viral", "infant", "liveStreaming"],
        "viewed_by_provider": "yes",
        "publicly_available": "yes",
    }
    commit(
        settings,
        "viral",
        referrals=[referral("V", report_type="Child Pornography (possession, manufacture, and distribution)")],
        media_files=[media("V", n, industry_classification="A1", **more) for n in names],
        fingerprints=[fingerprint(n) for n in names],
        matches=[
            match(n, key, victim_identified="no", distributed="no", tags=["viral", "self_generated"])
            for key, n in enumerate(names)
        ],
    )
    return settings


def above(settings: Settings, higher: str, lower: str = "V") -> None:
    """The higher case stands above the lower one by the model, and so in the queue."""
    found = cases(settings)
    assert MODEL.score(found[higher]) > MODEL.score(found[lower])


def test_one_file_that_nobody_has_seen_stands_above_a_viral_set(worst: Settings) -> None:
    commit(worst, "new", referrals=[referral("N")], media_files=[media("N", "new")], fingerprints=[fingerprint("new")])
    above(worst, "N")
    assert assessed(worst, "V").band == "low"


@pytest.mark.parametrize(
    "name",
    [
        "child_protection_address",
        "registered_sex_offender",
        "profession_teacher",
        "profession_police",
        "lives_with_children",
    ],
)
def test_a_fact_about_the_suspect_stands_above_a_viral_set(worst: Settings, name: str) -> None:
    commit(worst, "fact", referrals=[referral("F")], facts=[fact("F", name)])
    above(worst, "F")


def test_stated_contact_abuse_and_trafficking_stand_above_known_hashes(worst: Settings) -> None:
    commit(
        worst,
        "m",
        referrals=[referral("M"), referral("T")],
        facts=[fact("M", "contact_abuse"), fact("T", "child_trafficking")],
    )
    above(worst, "M")
    above(worst, "T")
    assert {assessed(worst, r).band for r in "MT"} == {"high"}
    told = assessed(worst, "M")
    assert told.flags and {"childrens_services"} <= {n["kind"] for n in told.notifications}


def test_the_sender_s_imminent_danger_stands_above_an_unsaid_priority(settings: Settings) -> None:
    rows = [
        referral("P1", priority="1"),
        referral("P2", priority="Priority 2"),
        referral("P3", priority="3"),
        referral("PE", priority="E"),
    ]
    commit(settings, "p", referrals=rows)
    above(settings, "P1", "P2")
    above(settings, "P2", "P3")
    above(settings, "P1", "PE")
    assert MODEL.score(cases(settings)["PE"]) >= MODEL.score(cases(settings)["P3"])
    one = assessed(settings, "P1")
    assert one.band == "high" and "immediate_risk" in {f["rule"] for f in one.flags}


def test_a_teaching_father_with_the_victim_at_his_address_stands_above_a_viral_set(worst: Settings) -> None:
    """Nobody states a fact: the occupation, the victim's age and the two addresses say it."""
    people = [
        subject("D", 0, occupation="Primary school teacher", date_of_birth="1980-01-01"),
        subject("D", 1, "victim", approximate_age=6),
    ]
    homes = [identifier("D", "address", "12 Example Road, ZZ99 1AA", subject_id=p["subject_id"]) for p in people]
    commit(worst, "d", referrals=[referral("D")], subjects=people, identifiers=homes)
    above(worst, "D")
    found = assessed(worst, "D")
    assert found.band in ("high", "very_high")
    assert {r["feature"] for r in found.reasons} >= {"profession_teacher", "victim_at_address", "young_victim"}
    assert {"lado", "childrens_services"} <= {n["kind"] for n in found.notifications}
    assert all(
        e["table"] == "subjects" for r in found.reasons if r["feature"] == "victim_at_address" for e in r["evidence"]
    )


def test_an_offer_of_a_call_stands_below_coercion_and_access(settings: Settings) -> None:
    commit(
        settings, "o",
        referrals=[referral(r) for r in ("CALL", "COERCE", "ACCESS", "MEET")],
        facts=[
            fact("CALL", "offer_call"), fact("COERCE", "coercion"), fact("COERCE", "child_identified"),
            fact("ACCESS", "access_to_child_victim"), fact("MEET", "contact_offer"),
        ],
    )  # fmt: skip
    for higher in ("COERCE", "ACCESS", "MEET"):
        above(settings, higher, "CALL")
    assert "live_contact" in {f["rule"] for f in assessed(settings, "CALL").flags}


def test_producing_with_access_to_a_child_has_a_flag_and_a_notification(settings: Settings) -> None:
    commit(
        settings,
        "u",
        referrals=[referral("U", source="UCOL")],
        facts=[fact("U", "producing"), fact("U", "access_to_children")],
    )
    found = assessed(settings, "U")
    assert found.band == "very_high" and found.flags and found.notifications


def test_a_suspect_who_is_a_child_has_a_flag_of_its_own_words_and_no_more_points(settings: Settings) -> None:
    commit(
        settings, "c", referrals=[referral("C"), referral("B"), referral("A")],
        subjects=[subject("C", date_of_birth="2013-01-01"), subject("B", approximate_age=15), subject("A", approximate_age=18)],
    )  # fmt: skip
    for one in ("C", "B"):
        flags = {f["rule"]: f for f in assessed(settings, one).flags}
        assert "do not criminalise" in flags["child_suspect"]["reason"]
    assert assessed(settings, "A").flags == []
    assert len({assessed(settings, r).score for r in "ABC"}) == 1


def test_the_sender_s_words_for_a_danger_now_count_beside_the_mark(settings: Settings) -> None:
    commit(
        settings, "w",
        referrals=[referral("W", escalation_text="[synthetic] imminent"), referral("X", escalation_text="[synthetic] x")],
    )  # fmt: skip
    above(settings, "W", "X")
    assert cases(settings)["W"].urgent_words == ("imminent",)


def test_a_victim_s_own_occupation_age_and_address_are_not_the_suspect_s(settings: Settings) -> None:
    people = [
        subject("R", 0, "victim", occupation="teacher", approximate_age=30),
        subject("R", 1, "reporter", approximate_age=12),
    ]
    commit(settings, "r", referrals=[referral("R")], subjects=people)
    found = {r["feature"] for r in assessed(settings, "R").reasons if r["value"] == "yes"}
    assert found == set()


def test_what_the_flood_guard_sets_aside_is_neither_new_nor_known(settings: Settings) -> None:
    names = [f"n{n}" for n in range(60)]
    commit(
        settings, "f", referrals=[referral("F")], media_files=[media("F", n) for n in names],
        fingerprints=[fingerprint(n) for n in names], matches=[match(n, 7, "near") for n in names],
        floods=[{"media_key": 7, "release": 1, "files": 60, "night_files": 60, "run_id": "r"}],
    )  # fmt: skip
    counts = cases(settings)["F"].counts
    assert {"unknown", "leads", "known", "first_generation"}.isdisjoint(counts)


def test_a_file_counts_as_new_unless_every_sender_marks_it_as_viral(settings: Settings) -> None:
    commit(
        settings, "v", referrals=[referral("A"), referral("B"), referral("B2", supplements="B")],
        media_files=[media("A", "a", annotations=["viral"]), media("B", "b", annotations=["viral"]), media("B2", "b")],
        fingerprints=[fingerprint("a"), fingerprint("b")],
    )  # fmt: skip
    found = cases(settings)
    assert "unknown" not in found["A"].counts and found["B"].counts["unknown"] == 1


def test_bands_are_the_ranks_that_pairs_are_compared_by() -> None:
    assert BANDS[0] == "low" and MODEL.least == sorted(MODEL.least)
