"""Other spellings of one person, address, mailbox or account: leads that are graded by what agrees, never merged."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.assess import stage
from pipeline.assess.evidence.case_file import case_id
from pipeline.assess.links import similar
from pipeline.assess.links.linking import link
from pipeline.assess.links.stored import current
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit, identifier, referral, start, subject
from tests.pipeline.assess.links.test_lists import hits, supply
from tests.pipeline.assess.test_stage import stored


def leads(settings: Settings, *, persons: Any = (), rows: Any = ()) -> dict[tuple[str, str], tuple[str, str]]:
    """Both sides to kind and strength of the links between the referrals of these rows."""
    names = sorted({r["referral_id"] for r in (*persons, *rows)})
    commit(settings, "one", referrals=[referral(n) for n in names], subjects=list(persons), identifiers=list(rows))
    lake = Lake(settings.lake_dir)
    link(settings, start(settings), lake)
    return {(x["left"], x["right"]): (x["kind"], x["strength"]) for x in current(lake).to_pylist()}


def people(*written: tuple[str, str]) -> list[dict[str, Any]]:
    return [subject(f"R{n}", name=name, date_of_birth=born) for n, (name, born) in enumerate(written, 1)]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Jon Sampleton", "Sampleton, Jon", ("person", "medium")),
        ("Jon Q. Sampleton", "Jon Sampleton", ("person_first_and_last", "medium")),
        ("Mr Jon Quentin Sampleton", "SAMPLETON, Jon", ("person_first_and_last", "medium")),
        ("Jon Sampleton", "Jonathan Sampleton", ("person_short_name", "weak")),
        ("Liz Q. Sampleton", "Elizabeth Sampleton", ("person_short_name", "weak")),
        ("J. Sampleton", "Jon Sampleton", ("person_surname", "weak")),
        ("Pat Sampleton", "Jon Sampleton", ("person_surname", "weak")),
        ("Jon O'Sampleton", "Jon O\u2019Sampleton", ("person", "medium")),
        ("Jon O'Sampleton", "OSampleton, Jon", ("person", "medium")),
        ("Jon Mc Sampleton", "Jon McSampleton", ("person_first_and_last", "medium")),
        ("Jon Sample\u200bton", "Jon\u00a0Sampleton", ("person", "medium")),
        ("Jon Sampletøn", "Jon Sampleton", ("person", "medium")),
        ("Jon Sampleton Jr.", "Jon Sampleton", ("person_first_and_last", "medium")),
        ("Jon Sampleton, MBE", "Jon Sampleton", ("person_first_and_last", "medium")),
        ("Jon Sampleton (deceased)", "Sampleton, Jon", ("person_first_and_last", "medium")),
        ("Sampleton J", "Jonathan Sampleton", ("person_surname", "weak")),
        ("Jon Sampleton", "Jon Examplesen", None),
    ],
)
def test_persons_of_one_birth_are_graded_by_what_of_their_names_agrees(
    settings: Settings, one: str, other: str, expected: tuple[str, str] | None
) -> None:
    found = leads(settings, persons=people((one, "1970-03-15"), (other, "1970-03-15")))
    assert found == ({("R1", "R2"): expected} if expected else {})


def test_a_name_without_the_same_birth_is_no_lead(settings: Settings) -> None:
    assert leads(settings, persons=people(("Jon Sampleton", "1970-03-15"), ("Jon Sampleton", "1971-03-15"))) == {}


def test_a_list_finds_other_spellings_and_a_weak_lead_states_no_fact(settings: Settings) -> None:
    born = "1970-03-15"
    persons = people(
        ("Jon Q. Sampleton", born), ("Jonathan Sampleton", born), ("Pat Sampleton", born), ("Jon Other", born)
    )
    commit(settings, "a", referrals=[referral(f"R{n}") for n in range(1, 5)], subjects=persons)
    supply(settings, "registered_sex_offenders", "2026-11-01", "8,Jon Sampleton,15 March 1970,,,,,,,")
    found = hits(settings)
    rso = "registered_sex_offenders"
    assert found == {("R1", rso): "registered_sex_offender", ("R2", rso): None, ("R3", rso): None}
    words = {
        x["left"]: x["explanation"]
        for x in current(Lake(settings.lake_dir)).to_pylist()
        if x["right"].startswith("list:")
    }
    assert "surname and date of birth, with a short form of the first name" in words["R2"]


@pytest.mark.parametrize(
    ("born", "fact"),
    [
        ("3/4/1970", None),
        ("04.03.1970", None),
        ("1970-4-3", "registered_sex_offender"),
        ("19700403", "registered_sex_offender"),
        ("Friday, 3 April 1970", "registered_sex_offender"),
    ],
)
def test_a_date_that_can_be_read_in_two_ways_is_a_lead_and_no_fact(
    settings: Settings, born: str, fact: str | None
) -> None:
    commit(settings, "a", referrals=[referral("R1")], subjects=people(("Jon Sampleton", "1970-04-03")))
    supply(settings, "registered_sex_offenders", "2026-11-01", f'8,Jon Sampleton,"{born}",,,,,,,')
    assert hits(settings) == {("R1", "registered_sex_offenders"): fact}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("2/14 high street, sampletown, zz1 1zz", "flat 2, 14 high street, sampletown, zz1 1zz", ("address", "medium")),
        ("14 high street, sampletown", "14 high st, sampletown, essex, zz1 1zz", ("address_street", "weak")),
        ("2/14 high street, sampletown", "14 high street, sampletown", ("address_street", "weak")),
        ("14 high street, sampletown", "14 high street, sampletown zz1 1zz", ("address_street", "weak")),
        ("14, high street, sampletown", "14 high street sampletown", ("address_street", "weak")),
        ("no. 14 high st; sampletown", "14-16 high street, sampletown", ("address_street", "weak")),
        ("14 a high street, sampletown", "14a high st, sampletown", ("address_street", "weak")),
        ("14 st john's road, sampletown", "14 saint johns rd, sampletown", ("address_street", "weak")),
        ("14 high street, essex", "14 high street, sampletown, essex", None),
        ("14 high street, sampletown", "15 high street, sampletown", None),
        ("14 high street, sampletown", "14 high street, othertown", None),
    ],
)
def test_addresses_are_found_with_a_slash_and_without_a_postcode(
    settings: Settings, one: str, other: str, expected: tuple[str, str] | None
) -> None:
    found = leads(settings, rows=[identifier("R1", "address", one), identifier("R2", "address", other)])
    assert found == ({("R1", "R2"): expected} if expected else {})


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("sample.user@gmail.com", "sampleuser@googlemail.com", ("mailbox", "weak")),
        ("sampleuser+spam@example.org", "sampleuser@example.org", ("mailbox", "weak")),
        ("sample@b\u00fccher.example", "sample@xn--bcher-kva.example", ("mailbox", "weak")),
        ("sample@example.org", "sample@example.org", ("email", "strong")),
        ("sample.user@example.org", "sampleuser@example.org", None),
    ],
)
def test_one_mailbox_is_found_however_it_is_written(
    settings: Settings, one: str, other: str, expected: tuple[str, str] | None
) -> None:
    found = leads(settings, rows=[identifier("R1", "email", one), identifier("R2", "email", other)])
    assert found == ({("R1", "R2"): expected} if expected else {})


def _account(name: str, written: str, service: str) -> dict[str, Any]:
    return identifier(name, "user_id", written.casefold(), service=service, original=written)


def test_ids_of_a_service_that_tells_case_apart_are_graded_by_the_exact_text(settings: Settings) -> None:
    rows = [
        _account("R1", "UCabCD12", "YouTube"),
        _account("R2", "UCabCD12", "youtube.com"),
        _account("R3", "ucabcd12", "youtube"),
    ]
    rows += [_account("R4", "UserNine", "chat"), _account("R5", "usernine", "chat")]
    assert leads(settings, rows=rows) == {
        ("R1", "R2"): ("user_id", "strong"),
        ("R1", "R3"): ("other_case", "weak"),
        ("R2", "R3"): ("other_case", "weak"),
        ("R4", "R5"): ("user_id", "strong"),
    }


def test_web_addresses_of_such_a_host_are_graded_by_the_exact_text(settings: Settings) -> None:
    def url(name: str, written: str) -> dict[str, Any]:
        return identifier(name, "url", written.casefold(), original=written)

    rows = [
        url("R1", "https://youtu.be/AbC1"), url("R2", "http://www.YouTu.be/AbC1/"), url("R3", "youtu.be/abc1"),
        url("R4", "https://forum.example/Page"), url("R5", "forum.example/page"),
    ]  # fmt: skip
    assert leads(settings, rows=rows) == {
        ("R1", "R2"): ("url", "medium"),
        ("R1", "R3"): ("other_case", "weak"),
        ("R2", "R3"): ("other_case", "weak"),
        ("R4", "R5"): ("url", "medium"),
    }


def test_referrals_of_two_forces_with_one_user_raise_the_flag_and_the_notice_in_both(settings: Settings) -> None:
    commit(
        settings,
        "a",
        referrals=[referral("R1", force_code="42"), referral("R2", force_code="46"), referral("R3", force_code="42")],
        identifiers=[identifier(n, "username", "sample_user", service="s") for n in ("R1", "R2")],
    )
    stage.run(settings, start(settings))
    rows = {name: stored(settings)[case_id(name)][-1] for name in ("R1", "R2", "R3")}
    for name, raised in (("R1", True), ("R2", True), ("R3", False)):
        assert ("deconfliction" in {f["rule"] for f in rows[name]["flags"]}) is raised, name
        assert ("deconfliction" in {n["kind"] for n in rows[name]["notifications"]}) is raised, name
    reason = next(r for r in rows["R1"]["reasons"] if r["feature"] == "other_force_interest")
    assert reason["evidence"][0]["note"].startswith("Referrals of forces 42 and 46 share it.")


def test_a_restricted_referral_of_another_force_tells_the_other_side_nothing(settings: Settings) -> None:
    commit(
        settings,
        "a",
        referrals=[referral("R1", force_code="42"), referral("R2", force_code="46", compartment="ucol")],
        identifiers=[identifier(n, "username", "sample_user", service="s") for n in ("R1", "R2")],
    )
    stage.run(settings, start(settings))
    assert [
        "deconfliction" in {f["rule"] for f in stored(settings)[case_id(n)][-1]["flags"]} for n in ("R1", "R2")
    ] == [False, True]


def test_placeholder_digests_of_an_older_lake_link_nothing(settings: Settings) -> None:
    from tests.pipeline.assess.builders import media

    files = [media(n, f"f-{n}", sha256=None, claimed_md5=b"\0" * 16) for n in ("R1", "R2")]
    commit(settings, "one", referrals=[referral("R1"), referral("R2")], media_files=files)
    lake = Lake(settings.lake_dir)
    link(settings, start(settings), lake)
    assert current(lake).num_rows == 0


def test_a_key_of_a_street_needs_house_and_town() -> None:
    assert similar.streets("Flat 3, 14 High St., Sampletown, Essex, UK", frozenset({"essex"})) == [
        "14|high street|sampletown"
    ]
    assert similar.streets("Rose Cottage, The Lane, Sampletown") == []
    assert similar.streets("14 High Street") == []
    assert similar.streets("14 St John's Rd, Sampletown") == ["14|st johns road|sampletown"]
