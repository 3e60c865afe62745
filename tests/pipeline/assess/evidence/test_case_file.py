"""Which referrals make a case, and what is assembled for it, against slow twins."""

from __future__ import annotations

import random
import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import records
from pipeline.assess.evidence.case_file import Bulk, case_id, group, roots
from pipeline.assess.evidence.counters import GRADES
from pipeline.assess.evidence.inputs import CaseFile
from pipeline.assess.links.stored import current
from pipeline.assess.models.model import Model
from pipeline.assess.rows import inputs_digest
from pipeline.errors import IntegrityError
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import T0, commit, fact, fingerprint, match, media, referral, subject


def assembled(settings: Settings) -> dict[str, CaseFile]:
    """Case files by the referral that the case was opened for."""
    lake = Lake(settings.lake_dir)
    return {c.referral_id: c for c in Bulk(settings, Model.load(settings), lake, current(lake)).cases()}


def test_case_ids_are_short_stable_and_hard_to_misread() -> None:
    assert case_id("R1") == case_id("R1") == "C-MY8KCVVFC8"
    ids = {case_id(f"R{i}") for i in range(20_000)}
    assert len(ids) == 20_000
    assert all(re.fullmatch(r"C-[0-9A-HJKMNP-TV-Z]{10}", i) for i in ids)


def test_two_cases_with_one_id_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.assess.evidence.case_file.case_id", lambda _: "C-0000000000")
    with pytest.raises(IntegrityError):
        group({"R1": None, "R2": None})


names = st.sampled_from([f"R{i}" for i in range(8)])


@given(st.dictionaries(names, st.one_of(st.none(), names)))
def test_chains_of_supplements_agree_with_walking_each_one(extends: dict[str, str | None]) -> None:
    for referral_id, root in roots(extends).items():
        path = [referral_id]
        while True:
            following = extends.get(path[-1])
            if following is None or following == path[-1]:
                expected = path[-1]
                break
            if following in path:
                expected = min(path[path.index(following) :])
                break
            path.append(following)
        assert root == expected


@given(st.dictionaries(names, st.one_of(st.none(), names)), st.randoms())
def test_order_of_arrival_does_not_matter(extends: dict[str, str | None], rng: random.Random) -> None:
    shuffled = list(extends.items())
    rng.shuffle(shuffled)
    assert group(dict(shuffled)) == group(extends)


def test_a_supplement_belongs_to_its_case_even_before_the_first_report_arrives(settings: Settings) -> None:
    later = T0.replace(hour=9)
    commit(settings, "a", referrals=[referral("R2", supplements="R1", force_received_at=later, provider="P2")])
    [early] = assembled(settings).values()
    assert (early.case_id, early.referral_id) == (case_id("R1"), "R2")
    commit(settings, "b", referrals=[referral("R1", provider="P1", narrative_count=2)])
    [whole] = assembled(settings).values()
    assert (whole.case_id, whole.referral_id, whole.referrals) == (case_id("R1"), "R1", ("R1", "R2"))
    assert (whole.provider, whole.narratives) == ("P1", 2)
    assert whole.times["force_received_at"] == T0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([("R1", "yes"), ("R2", "no")], "yes"),
        ([("R1", "no"), ("R2", "yes")], "yes"),
        ([("R1", "unknown"), ("R2", "no")], "no"),
        ([("R1", "unknown")], None),
        ([], None),
        ([("R1", "no"), ("R1", "unknown")], None),
        ([("R1", "no")], "no"),
        ([("R1", "no"), ("R1", "yes")], "yes"),
    ],
)
def test_a_yes_wins_and_an_unknown_is_never_a_no(
    settings: Settings, values: list[tuple[str, str]], expected: str | None
) -> None:
    facts = [fact(r, "grooming", v, subject_id=f"s{i}") for i, (r, v) in enumerate(values)]
    commit(settings, "a", referrals=[referral("R1"), referral("R2", supplements="R1")], facts=facts)
    answer = assembled(settings)["R1"].facts.get("grooming")
    assert (answer and answer.value) == expected


def test_the_profession_of_a_reporter_is_not_the_suspects(settings: Settings) -> None:
    persons = [subject("R1", 0, "reporter"), subject("R1", 1, "suspect")]
    facts = [
        fact("R1", "profession_teacher", subject_id="s-R1-0"),
        fact("R1", "profession_health", subject_id="s-R1-1"),
        fact("R1", "grooming", subject_id="s-R1-0"),
    ]
    commit(settings, "a", referrals=[referral("R1")], subjects=persons, facts=facts)
    assert set(assembled(settings)["R1"].facts) == {"profession_health", "grooming"}


def test_a_package_in_quarantine_that_brings_more_of_a_case_is_named_and_changes_its_digest(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1"), referral("R2")], packages=[package("R1"), package("R2")])
    before = assembled(settings)
    commit(settings, "b", packages=[package(None, name="nca/R1-corrected", first_seen=T0 + timedelta(days=1))])
    after, model = assembled(settings), Model.load(settings)
    assert [after[n].quarantined for n in ("R1", "R2")] == [("p-nca/R1-corrected",), ()]
    assert [inputs_digest(after[n], model, None) == inputs_digest(before[n], model, None) for n in ("R1", "R2")] == [
        False,
        True,
    ]


def package(of: str | None, name: str = "", **more: Any) -> dict[str, Any]:
    """A package that was taken in for a referral, or one in quarantine."""
    return {
        "package_id": f"p-{name or of}", "landing_folder": "nca", "container": name or f"nca/{of}.zip", "referral_id": of,
        "state": "accepted" if of else "quarantined", "reasons": [] if of else ["x"], "first_seen": T0,
        "files": 0, "defects": 0, "run_id": "r", **more,
    }  # fmt: skip


def counts(settings: Settings, files: list[dict[str, Any]], prints: list[Any], matches: list[Any]) -> dict[str, int]:
    commit(settings, "a", referrals=[referral("R1")], media_files=files, fingerprints=prints, matches=matches)
    return assembled(settings)["R1"].counts


def test_files_by_what_is_known_of_them(settings: Settings) -> None:
    names = ["known", "near", "benign", "new", "camera", "partial", "broken", "waiting", "dull", "withdrawn"]
    states = {"partial": "partial", "broken": "rejected"}
    prints = [
        fingerprint(n, states.get(n, "hashed"), exif={"make": "X"} if n == "camera" else None)
        for n in names
        if n != "waiting"
    ]
    matches = [
        match("known"),
        match("known", 2, grade="BENIGN", category=None),
        match("near", 3, "near"),
        match("benign", 4, grade="BENIGN", category=None),
        match("dull", 5, "near", low_information=True),
        match("withdrawn", 6, grade="WITHDRAWN"),
    ]
    found = counts(settings, [media("R1", n) for n in names], prints, matches)
    assert found["files"] == found["present"] == 10
    assert found["known"] == found["best_TRUSTED"] == found["in_A"] == found["category_a_TRUSTED"] == 1
    assert found["leads"] == found["only_leads"] == 1
    assert found["only_benign"] == 1
    assert found["unknown"] == 5  # new, camera, partial, dull, withdrawn
    assert found["first_generation"] == 1
    assert found["unexamined"] == 3  # partial, broken, waiting
    assert found["unhashable"] == 1


def test_what_was_not_decoded_is_unexamined_and_a_text_is_neither(settings: Settings) -> None:
    """Only pictures that were compared can match nothing; a picture or film whose format is off was not looked at."""
    prints = [
        fingerprint("chat", "digests_only", reason="not_media", media_type="text/plain"),
        fingerprint("letter", "digests_only", reason="not_media", media_type="application/pdf"),
        fingerprint("voice", "digests_only", reason="not_media", media_type="video/mp4"),
        fingerprint("film", "digests_only", reason="format_off", media_type="video/x-ms-wmv"),
        fingerprint("picture", "digests_only", reason="format_off", media_type="image/jp2"),
        fingerprint("drawing", "digests_only", reason="not_media", media_type="image/svg+xml"),
        fingerprint("withdrawn", "digests_only", reason="known_exact", media_type="image/jpeg"),
        fingerprint("known", "digests_only", reason="known_exact", media_type="image/jpeg"),
        fingerprint("more", "partial", reason="unseen_content", media_type="image/jpeg"),
        fingerprint("cache", "digests_only", reason="unseen_content", media_type="application/octet-stream"),
    ]
    names = ["chat", "letter", "voice", "film", "picture", "drawing", "withdrawn", "known", "more", "cache"]
    found = counts(settings, [media("R1", n) for n in names], prints, [match("known")])
    assert found["unexamined"] == 5  # film, picture, drawing, more, cache
    assert found["unknown"] == 2  # withdrawn, more
    assert found["known"] == 1


def test_a_near_match_is_never_a_category(settings: Settings) -> None:
    found = counts(settings, [media("R1", "f")], [fingerprint("f")], [match("f", 1, "refined")])
    assert not [c for c in found if c.startswith(("category", "in_", "best_", "known", "victim"))]


def test_a_benign_list_never_hides_a_positive_opinion(settings: Settings) -> None:
    matches = [match("f", 1, grade="BENIGN", category=None), match("f", 2, grade="DISPUTED", category="B")]
    found = counts(settings, [media("R1", "f")], [fingerprint("f")], matches)
    assert found["known"] == found["category_b_DISPUTED"] == 1 and "only_benign" not in found


def test_the_newest_release_has_the_last_word_on_each_known_media(settings: Settings) -> None:
    matches = [
        match("f", 1, release=1),
        match("f", 1, release=2, grade="WITHDRAWN"),
        match("g", 1, release=1, category="C"),
        match("g", 1, release=3, category="B", grade="INDICATIVE"),
    ]
    files = [media("R1", "f"), media("R1", "g")]
    found = counts(settings, files, [fingerprint("f"), fingerprint("g")], matches)
    assert found["known"] == 1 and found["category_b_INDICATIVE"] == 1
    assert found["unknown"] == 1 and "category_c_TRUSTED" not in found


def test_a_file_that_was_not_sent_counts_by_the_match_of_its_stated_digest(settings: Settings) -> None:
    files = [media("R1", "stated", state="hash_only"), media("R1", "gone", state="missing")]
    claimed = match("x", 1, "claimed", file_id=files[0]["file_id"])
    from tests.pipeline.assess.builders import content

    claimed["sha256"] = content(files[0]["file_id"])
    found = counts(settings, files, [], [claimed])
    assert found["known"] == 1 and found["unsent"] == 1 and "unknown" not in found and "present" not in found


def test_a_file_named_in_a_report_and_its_supplement_is_one_file(settings: Settings) -> None:
    files = [media("R1", "f", annotations=["viral"]), media("R2", "f", viewed_by_provider="yes")]
    commit(settings, "a", referrals=[referral("R1"), referral("R2", supplements="R1")], media_files=files)
    case = assembled(settings)["R1"]
    assert (case.counts["files"], case.counts["namings"]) == (1, 2)
    assert case.counts["marked_viral"] == case.counts["viewed"] == 1


@pytest.mark.parametrize("word", ["possible_self_production", "possibleSelfProduction", "SELF-GENERATED"])
def test_marks_are_read_however_they_are_spelt(settings: Settings, word: str) -> None:
    tagged = match("f", tags=[word])
    files = [media("R1", "f", annotations=["x", word]), media("R1", "g", annotations=[word])]
    found = counts(settings, files, [fingerprint("f"), fingerprint("g")], [tagged])
    assert found["marked_self_generated"] == found["tagged_self_generated"] == 1, (
        "of a known file only its source's tag"
    )


def test_every_counter_of_a_large_random_lake_agrees_with_a_slow_twin(settings: Settings) -> None:
    rng = random.Random(5)
    contents = [f"c{i}" for i in range(60)]
    files = [media(f"R{rng.randrange(9)}", c) for c in contents for _ in range(rng.randrange(3))]
    files = list({f["file_id"]: f for f in files}.values())
    prints = [fingerprint(c, rng.choice(["hashed", "partial", "rejected"])) for c in contents if rng.random() < 0.9]
    matches = [
        match(
            c,
            key,
            rng.choice(["exact", "near"]),
            rng.choice([*GRADES, "BENIGN", "WITHDRAWN"]),
            category=rng.choice(["A", "B", None, "NON_PERTINENT"]),
            release=rng.randrange(1, 3),
        )
        for c in contents
        for key in range(rng.randrange(3))
    ]
    commit(
        settings,
        "a",
        referrals=[referral(f"R{i}") for i in range(9)],
        media_files=files,
        fingerprints=prints,
        matches=matches,
    )
    state = {p["sha256"]: p["state"] for p in prints}
    for name, case in assembled(settings).items():
        expected: dict[str, int] = {}
        for f in (f for f in files if f["referral_id"] == name):
            held = [m for m in matches if m["sha256"] == f["sha256"]]
            positive = [m for m in held if m["grade"] in GRADES and m["category"] != "NON_PERTINENT"]
            known = [m for m in positive if m["kind"] == "exact"]
            leads = [m for m in positive if m["kind"] == "near"]
            benign = [
                m
                for m in held
                if m["kind"] == "exact"
                and (m["grade"] == "BENIGN" or (m["grade"] != "WITHDRAWN" and m["category"] == "NON_PERTINENT"))
            ]
            hashed = state.get(f["sha256"])
            is_new = not known and not leads and not benign and hashed in ("hashed", "partial")
            for counter, holds in {
                "files": True,
                "known": bool(known),
                "leads": bool(leads),
                "benign": bool(benign),
                "unknown": is_new,
                "unexamined": not known and hashed != "hashed",
                "unhashable": hashed == "rejected",
                "category_a_TRUSTED": any(m["category"] == "A" and m["grade"] == "TRUSTED" for m in known),
            }.items():
                expected[counter] = expected.get(counter, 0) + holds
        assert {c: case.counts.get(c, 0) for c in expected} == expected


def test_what_is_found_known_later_stays_new_for_the_case_that_brought_it(settings: Settings) -> None:
    """R's file is known two nights later, and S names the same file after that: for S it was known when it came."""
    commit(
        settings, "one", referrals=[referral("R", run_id="one"), referral("T", run_id="one")],
        media_files=[media("R", "a"), media("T", "t"), media("T", "u", "hash_only")],
        fingerprints=[fingerprint("a", exif={"make": "synthetic"}), fingerprint("t")],
    )  # fmt: skip
    lake = commit(settings, "two", "retro", matches=[match("a", 1, release=2, run_id="two")])
    lake.commit("match", "t", {"matches": records.build("matches", [match("t", 2)])}, run_id="two")
    commit(settings, "three", referrals=[referral("S", run_id="three")], media_files=[media("S", "a")])
    lake = commit(settings, "four", "retro", matches=[match("t", 3, release=3, run_id="four")])
    found = {c.referral_id: c.counts for c in Bulk(settings, Model.load(settings), lake, current(lake)).cases()}
    assert found["R"]["unknown_before"] == found["R"]["first_generation_before"] == found["R"]["known"] == 1
    assert "unknown" not in found["R"]  # what the queue counts as unknown is what matches nothing now
    assert found["S"]["known"] == 1 and "unknown_before" not in found["S"]
    assert found["T"]["known"] == 1 and "unknown_before" not in found["T"]  # matched when it was first compared
    assert found["T"]["unsent"] == 1
