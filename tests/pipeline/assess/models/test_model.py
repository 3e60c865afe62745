"""The promises of the risk model, on generated cases."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline import policy
from pipeline.assess.evidence.counters import GRADES
from pipeline.assess.evidence.inputs import NO, NOT_SO, UNKNOWN, YES, Answer, CaseFile
from pipeline.assess.features import FEATURES
from pipeline.assess.models.model import BANDS, Assessed, Model
from pipeline.assess.rows import encode, inputs_digest
from pipeline.errors import SettingsError
from pipeline.settings import Settings
from tests.pipeline.assess.builders import T0, case, said

MODEL = Model.load(Settings())
SOURCE = policy.load(Settings(), "risk-model")
LEAST = {"low": 0, "medium": MODEL.assess(case()).score, "high": 30, "very_high": 150}
NEAR = Model(
    dataclasses.replace(
        SOURCE, data=SOURCE.data | {"bands": [b | {"least": LEAST[b["band"]]} for b in SOURCE.data["bands"]]}
    )
)
"""A model whose bands are so near that what an unknown counts can make one: nothing known is just medium."""
FACTS = sorted({n for f in FEATURES.values() for n in f.facts})
COUNTERS = (
    ["unknown", "known", "leads", "first_generation", "unexamined", "unsent", "younger_child", "viewed", "public"]
    + [f"marked_{m}" for m in ("viral", "infant", "self_generated", "live_streaming", "generative_ai")]
    + [f"{c}_{g}" for c in ("category_a", "category_b", "victim_not_identified", "not_distributed") for g in GRADES]
)


@st.composite
def cases(draw: st.DrawFn) -> CaseFile:
    facts = draw(st.dictionaries(st.sampled_from(FACTS), st.booleans(), max_size=12))
    answers = said(*[n for n, yes in facts.items() if yes]) | {n: NOT_SO for n, yes in facts.items() if not yes}
    counts = draw(st.dictionaries(st.sampled_from(COUNTERS), st.integers(1, 5000), max_size=8))
    links = draw(st.dictionaries(st.sampled_from(["strong", "medium", "weak"]), st.integers(1, 9), max_size=3))
    return case(facts=answers, counts=counts, links=links, escalation_text=draw(st.booleans()))


def rank(assessed: Assessed) -> int:
    return BANDS.index(assessed.band)


@given(cases(), st.sampled_from(FACTS))
def test_an_aggravating_fact_never_lowers(some: CaseFile, name: str) -> None:
    before = MODEL.assess(some)
    after = MODEL.assess(dataclasses.replace(some, facts=some.facts | said(name)))
    assert after.score >= before.score
    assert rank(after) >= rank(before)
    assert {f["rule"] for f in after.flags} >= {f["rule"] for f in before.flags}
    assert {n["kind"] for n in after.notifications} >= {n["kind"] for n in before.notifications}
    assert after.due_at <= before.due_at


@given(cases(), st.sampled_from(COUNTERS), st.integers(1, 10_000))
def test_more_files_never_lower(some: CaseFile, counter: str, more: int) -> None:
    before = MODEL.assess(some)
    counts = some.counts | {counter: some.counts.get(counter, 0) + more}
    after = MODEL.assess(dataclasses.replace(some, counts=counts))
    assert after.score >= before.score and rank(after) >= rank(before)


@given(cases(), st.sampled_from(FACTS))
def test_unknown_is_not_no(some: CaseFile, name: str) -> None:
    facts = {n: a for n, a in some.facts.items() if n != name}
    unknown = MODEL.assess(dataclasses.replace(some, facts=facts))
    no = MODEL.assess(dataclasses.replace(some, facts=facts | {name: NOT_SO}))
    yes = MODEL.assess(dataclasses.replace(some, facts=facts | said(name)))
    assert no.score <= unknown.score <= yes.score
    assert BANDS.index(unknown.band_if_known) >= max(rank(unknown), rank(yes))
    if name in FEATURES and FEATURES[name].plain:
        assert name in {u["feature"] for u in unknown.unknowns}
        assert name not in {u["feature"] for u in no.unknowns}


@given(cases())
def test_each_unknown_states_the_bands_that_a_yes_and_a_no_lead_to(some: CaseFile) -> None:
    for model in (MODEL, NEAR):
        assessed = model.assess(some)
        for unknown in assessed.unknowns:
            no, yes = unknown["band_if_no"], unknown["band_if_yes"]
            assert BANDS.index(no) <= rank(assessed) <= BANDS.index(yes)
            if FEATURES[unknown["feature"]].plain:
                stated = [some.facts | said(unknown["feature"]), some.facts | {unknown["feature"]: NOT_SO}]
                known = [model.assess(dataclasses.replace(some, facts=facts)).band for facts in stated]
                assert [yes, no] == known
        _in_order(assessed)


def test_a_no_shows_where_it_leads_only_where_the_unknown_was_what_made_the_band() -> None:
    assessed = NEAR.assess(case())
    counted = {r["feature"] for r in assessed.reasons if r["value"] == UNKNOWN}
    assert assessed.band == "medium" and counted
    assert {u["feature"] for u in assessed.unknowns if u["band_if_no"] == "low"} == counted
    certain = NEAR.assess(case(facts=said("live_offending")))
    assert certain.band == "very_high" and {u["band_if_no"] for u in certain.unknowns} == {"very_high"}, "a floor stays"


def _in_order(assessed: Assessed) -> None:
    order = [BANDS.index(u["band_if_yes"]) for u in assessed.unknowns]
    assert order == sorted(order, reverse=True)


@given(
    st.dictionaries(
        st.sampled_from(
            ["known", "leads", "marked_viral", "marked_infant", "tagged_viral", "younger_child", "viewed", "public"]
        ),
        st.integers(1, 10**6),
    ),
    st.dictionaries(st.sampled_from([f"category_{c}_{g}" for c in "abc" for g in GRADES]), st.integers(1, 10**6)),
    st.sampled_from(["access_to_children", "access_to_child_victim", "lives_with_children"]),
    st.booleans(),
)
def test_known_viral_material_never_outranks_access_to_a_child(
    known: dict[str, int], categories: dict[str, int], access: str, denied: bool
) -> None:
    viral = case(counts=known | categories, facts={access: NOT_SO} if denied else {})
    near_a_child = case(facts=said(access))
    assert MODEL.score(viral) < MODEL.score(near_a_child)


@given(st.dictionaries(st.sampled_from([f"category_{c}_{g}" for c in "abc" for g in GRADES]), st.integers(1, 10**6)))
def test_severity_of_images_alone_never_leaves_the_lowest_band(categories: dict[str, int]) -> None:
    assert MODEL.assess(case(counts={**categories, "marked_infant": 9, "younger_child": 9, "known": 99})).band == "low"


def test_one_new_file_matters_more_than_a_thousand_viral_copies() -> None:
    assert MODEL.score(case(counts={"unknown": 1})) > MODEL.score(case(counts={"known": 1000, "marked_viral": 1000}))


@given(cases())
def test_contributions_add_up_to_the_score_and_name_their_evidence(some: CaseFile) -> None:
    assessed = MODEL.assess(some)
    assert sum(r["contribution"] for r in assessed.reasons) == pytest.approx(assessed.score, abs=0.005)
    said_so = [r for r in assessed.reasons if r["value"] == YES]
    assert assessed.reasons[: len(said_so)] == said_so
    for reason in said_so:
        facts = [n for n in FEATURES[reason["feature"]].facts if n in some.facts and some.facts[n].value == YES]
        assert all(f"f-{n}" in {e["id"] for e in reason["evidence"]} for n in facts)


@given(cases())
def test_the_cheap_form_and_a_naive_twin_agree_with_the_rich_form(some: CaseFile) -> None:
    assessed = MODEL.assess(some)
    assert MODEL.score(some) == (rank(assessed), assessed.score)
    families: dict[str, float] = {}
    floor = 0
    for name, feature in FEATURES.items():
        answer = feature.function(some, MODEL.reading)
        rule = MODEL.data["features"][name]
        if answer.value == YES:
            adds = rule["weight"] * answer.share
            floor = max([floor] + [BANDS.index(f["band"]) for f in MODEL.data["floors"] if f["feature"] == name])
        else:
            adds = rule["weight"] * rule.get("unknown", 0) if answer.value == UNKNOWN else 0
        families[feature.family] = families.get(feature.family, 0) + round(adds, 2)
    score = sum(min(total, MODEL.data["families"][f]["limit"]) for f, total in families.items())
    assert assessed.score == pytest.approx(score, abs=0.005)
    by_score = next(b["band"] for b in MODEL.data["bands"] if round(score, 2) >= b["least"])
    assert rank(assessed) == max(BANDS.index(by_score), floor)


@given(cases())
def test_same_inputs_give_the_same_bytes(some: CaseFile) -> None:
    shuffled = dataclasses.replace(
        some, facts=dict(reversed(some.facts.items())), counts=dict(reversed(some.counts.items()))
    )
    assert encode(dataclasses.asdict(MODEL.assess(some))) == encode(dataclasses.asdict(MODEL.assess(shuffled)))
    assert inputs_digest(some, MODEL, None) == inputs_digest(shuffled, MODEL, None)


def test_different_inputs_models_and_forces_have_different_digests() -> None:
    one, other = case(facts=said("grooming")), case(facts={"grooming": NOT_SO})
    assert (
        len({inputs_digest(one, MODEL, None), inputs_digest(other, MODEL, None), inputs_digest(one, MODEL, "43")}) == 3
    )


@pytest.mark.parametrize(
    ("facts", "band"),
    [
        (("child_at_immediate_risk",), "very_high"),
        (("live_offending",), "very_high"),
        (("contact_offer",), "high"),
        (("previous_contact_conviction",), "high"),
        (("access_to_child_victim",), "high"),
        (("access_to_children",), "medium"),
        (("grooming", "access_to_children"), "high"),
        ((), "low"),
    ],
)
def test_bands_of_plain_cases(facts: tuple[str, ...], band: str) -> None:
    assessed = MODEL.assess(case(facts=said(*facts)))
    assert assessed.band == band
    hours = next(b["hours"] for b in MODEL.data["bands"] if b["band"] == band)
    assert assessed.due_at == T0 + timedelta(hours=hours)


def test_targets_are_those_reported_in_the_press() -> None:
    assert {b["band"]: b["hours"] / 24 for b in MODEL.data["bands"]} == {
        "very_high": 1,
        "high": 7,
        "medium": 14,
        "low": 30,
    }


def edited(settings: Settings, **changes: object) -> Settings:
    """Settings whose risk model has these top-level blocks replaced."""
    policy = settings.home / "policy"
    policy.mkdir(parents=True, exist_ok=True)
    for name in ("facts", "promises", "risk-model"):
        (policy / f"{name}.yaml").write_bytes((Settings().policy / f"{name}.yaml").read_bytes())
    data = yaml.safe_load((policy / "risk-model.yaml").read_text()) | changes
    (policy / "risk-model.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return dataclasses.replace(settings, policy=policy)


def test_the_clock_starts_where_the_policy_says(settings: Settings) -> None:
    some = case()
    some.times["nca_disseminated_at"] = T0 - timedelta(days=3)
    model = Model.load(edited(settings, clock={"start": ["nca_disseminated_at", "force_received_at"]}))
    assert model.assess(some).clock_start == T0 - timedelta(days=3)
    assert model.assess(case()).clock_start == T0
    nowhere = Model.load(edited(settings, clock={"start": ["incident_at"]}))
    with pytest.raises(SettingsError, match="incident_at"):
        nowhere.assess(case())


def test_names_that_are_not_declared_are_refused_all_at_once(settings: Settings) -> None:
    weights = dict(MODEL.data["features"]) | {"shoe_size": {"weight": 1}}
    del weights["grooming"]
    floors = [{"feature": "star_sign", "band": "high"}]
    with pytest.raises(SettingsError) as caught:
        Model.load(edited(settings, features=weights, floors=floors))
    assert all(name in str(caught.value) for name in ("shoe_size", "star_sign", "grooming has no weight"))


def test_a_negative_weight_is_refused(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="features/grooming/weight"):
        Model.load(edited(settings, features=dict(MODEL.data["features"]) | {"grooming": {"weight": -1}}))


def test_a_graded_answer_counts_for_its_share() -> None:
    few, many = MODEL.assess(case(counts={"unknown": 1})), MODEL.assess(case(counts={"unknown": 5000}))
    adds = [next(r["contribution"] for r in a.reasons if r["feature"] == "unknown_files") for a in (few, many)]
    assert adds == [14.0, 20.0]


def test_an_answer_of_no_gives_no_reason() -> None:
    facts = {name: Answer(NO, 0.0) for name in FACTS}
    assert MODEL.assess(case(facts=facts)).reasons == []
