"""Groups: five reports of one account are one investigation, without a trace of what somebody may not see."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from pipeline.cases import groups
from pipeline.cases.duties import notices
from pipeline.cases.views import case as view
from pipeline.cases.views import mine, queue
from pipeline.cases.work import bands, claims, decisions, together
from pipeline.cli import triage
from pipeline.errors import ConflictError, UsageError
from pipeline.store.actors import Actor
from pipeline.store.group_tables import GroupMember
from pipeline.store.opening import Store
from pipeline.store.people_tables import AuditEntry
from pipeline.store.tables import Case, Link
from pipeline.store.types import BANDS
from tests.pipeline.cases import samples
from tests.pipeline.cases.conftest import ANALYST, OTHER, PASSWORD, SUPERVISOR, UCOL, add_people
from tests.pipeline.cases.samples import assessment, case_of, link, publish_rows, referral, referral_row

BANDS_OF_FIVE = ("low", "high", "low", "medium", "low")


def one_account(store: Store, *, restricted: tuple[int, ...] = (), joined: tuple[int, ...] = (1, 2, 3, 4, 5)) -> None:
    """Five reports of one account with the bands of BANDS_OF_FIVE, and a sixth case of somebody else."""
    rows = [
        assessment(n, band, summary={"compartment": "ucol"} if n in restricted else {})
        for n, band in enumerate((*BANDS_OF_FIVE, "low"), 1)
    ]
    links = [link(one, two, kind="user_id") for one, two in itertools.pairwise(joined)]
    referrals = [referral_row(n, compartment="ucol" if n in restricted else None) for n in range(1, 7)]
    publish_rows(store, assessments=rows, links=links, referrals=referrals)


def places(store: Store) -> dict[int, tuple[str, str]]:
    """By number of the case: band of its place in the queue, and its own band."""
    with store.reader() as session:
        found = {}
        for n in range(1, 7):
            case = session.get_one(Case, case_of(n))
            found[n] = (BANDS[case.band_order], case.band)
        return found


def members(store: Store, number: int, actor: Actor = ANALYST) -> list[str]:
    with store.reader() as session:
        group = groups.of_case(session, actor, case_of(number))
        return [case.case_id for case in group.cases] if group else []


def test_the_worst_band_and_the_earliest_target_apply_to_all(store: Store) -> None:
    one_account(store)
    assert [places(store)[n] for n in range(1, 7)] == [
        ("high", "low"), ("high", "high"), ("high", "low"), ("high", "medium"), ("high", "low"), ("low", "low"),
    ]  # fmt: skip
    with store.reader() as session:
        due = {session.get_one(Case, case_of(n)).due_at for n in range(1, 6)}
        assert due == {samples.START + timedelta(hours=168)}
        assert session.get_one(Case, case_of(6)).due_at == samples.START + timedelta(hours=720)
        group = groups.of_case(session, ANALYST, case_of(3))
        assert group is not None and (group.band, group.due_at) == ("high", samples.START + timedelta(hours=168))
    assert members(store, 3)[0] == case_of(2) and len(members(store, 3)) == 5


@pytest.mark.parametrize("order", ["risk", "target"])
def test_inside_a_group_the_case_whose_own_band_and_score_are_higher_comes_first(store: Store, order: str) -> None:
    """The band before the score: a floor can put a case of few points above one of many. Pages of two say the same."""
    graded = {1: ("low", 20.0), 2: ("high", 50.0), 3: ("medium", 40.0), 4: ("medium", 55.0), 5: ("low", 21.0)}
    rows = [assessment(n, band, score=score) for n, (band, score) in graded.items()]
    links = [link(one, two, kind="user_id") for one, two in itertools.pairwise(graded)]
    publish_rows(store, assessments=rows, links=links, referrals=[referral_row(n) for n in graded])
    wanted = [case_of(n) for n in (2, 4, 3, 5, 1)]
    with store.reader() as session:
        rows_ = queue.page(session, ANALYST, order=order).rows
        assert [row.case_id for row in rows_] == wanted
        if order == "risk":  # the row says by whose score it stands here, when that is not its own
            assert [row.standing.partition("score ")[2] for row in rows_] == [
                "50, its group's 55",
                "55",
                "40, its group's 55",
                "21, its group's 55",
                "20, its group's 55",
            ]
        found, after = [], None
        while len(found) < len(wanted):
            page = queue.page(session, ANALYST, order=order, size=2, after=after)
            found += [row.case_id for row in page.rows]
            after = page.next_after
        assert found == wanted and after is None
    with store.session() as session:
        taken = claims.claim_next(session, ANALYST)
        assert taken is not None and taken.case_id == wanted[0]


def test_a_group_stands_together_in_the_queue(store: Store) -> None:
    one_account(store)
    with store.reader() as session:
        rows = [row.case_id for row in queue.page(session, ANALYST).rows]
        assert set(rows[:5]) == {case_of(n) for n in range(1, 6)} and rows[5] == case_of(6)
        assert {number for _, number in groups.sizes(session, ANALYST, rows).values()} == {5}


@pytest.mark.parametrize(("kind", "strength"), [("user_id", "medium"), ("device", "strong"), ("file_hash", "strong")])
def test_only_a_strong_link_of_an_account_or_a_person_joins(store: Store, kind: str, strength: str) -> None:
    rows = [assessment(1, "low"), assessment(2, "high")]
    publish_rows(store, assessments=rows, links=[link(1, 2, kind=kind, strength=strength)])
    assert members(store, 1) == []


def test_more_cases_than_one_person_has_are_left_apart(store: Store) -> None:
    most = store.rules.data["groups"]["largest"]
    rows = [assessment(n, "low") for n in range(1, most + 2)]
    publish_rows(store, assessments=rows, links=[link(1, n, kind="email") for n in range(2, most + 2)])
    assert members(store, 1) == []


def test_a_link_of_a_later_night_and_a_raised_band_move_the_whole_group(store: Store) -> None:
    one_account(store, joined=(1, 2))
    run = samples.night(1)
    raised = assessment(3, "very_high", version=2, at=run)
    publish_rows(store, run, assessments=[raised], links=[link(2, 3, kind="email", at=run)])
    assert [places(store)[n][0] for n in (1, 2, 3)] == ["very_high"] * 3


def test_a_withdrawn_link_gives_each_case_its_own_place_again(store: Store) -> None:
    one_account(store, joined=(1, 2))
    run = samples.night(1)
    publish_rows(store, run, links=[link(1, 2, kind="user_id", at=run, withdrawn=True)])
    assert members(store, 1) == []
    assert places(store)[1] == ("low", "low")
    with store.reader() as session:
        assert session.get_one(Case, case_of(1)).due_at == samples.START + timedelta(hours=720)


def test_a_group_is_claimed_and_given_back_together(store: Store) -> None:
    one_account(store)
    with store.session() as session:
        claims.claim(session, OTHER, case_of(6))
        taken = claims.claim_next(session, ANALYST)
        assert taken is not None and taken.case_id in {case_of(n) for n in range(1, 6)}
    with store.reader() as session:
        assert [session.get_one(Case, case_of(n)).holder for n in range(1, 7)] == ["ana"] * 5 + ["bob"]
        version = session.get_one(Case, case_of(3)).version
    with store.session() as session:
        claims.release(session, ANALYST, case_of(3), version=version)
    with store.reader() as session:
        assert [session.get_one(Case, case_of(n)).holder for n in range(1, 6)] == [None] * 5


def test_what_somebody_else_holds_already_stays_theirs(store: Store) -> None:
    one_account(store, joined=())
    with store.session() as session:
        claims.claim(session, OTHER, case_of(4))
    run = samples.night(1)
    links = [link(n, n + 1, kind="user_id", at=run) for n in range(1, 5)]
    publish_rows(store, run, links=links)
    with store.session() as session:
        claims.claim(session, ANALYST, case_of(1))
    with store.reader() as session:
        assert [session.get_one(Case, case_of(n)).holder for n in (1, 2, 3, 4, 5)] == [
            "ana",
            "ana",
            "ana",
            "bob",
            "ana",
        ]


def _versions(store: Store, *numbers: int) -> dict[str, int]:
    with store.reader() as session:
        return {case_of(n): session.get_one(Case, case_of(n)).version for n in numbers}


def test_one_decision_is_recorded_for_the_group(store: Store) -> None:
    one_account(store)
    with store.session() as session:
        claims.claim(session, ANALYST, case_of(1))
    given: dict[str, Any] = {"reason_code": "enquiry_complete", "outcome": "suspect_arrested", "note": "One arrest."}
    with pytest.raises(ConflictError, match="other cases than those"), store.session() as session:
        together.decide(session, ANALYST, case_of(1), "close", versions=_versions(store, 1, 2), **given)
    with store.session() as session:
        made = together.decide(session, ANALYST, case_of(1), "close", versions=_versions(store, 1, 2, 3, 4, 5), **given)
        assert len(made) == 5
    with store.reader() as session:
        assert {session.get_one(Case, case_of(n)).outcome for n in range(1, 6)} == {"suspect_arrested"}
        assert session.scalars(select(GroupMember)).all() == []
        logged = session.scalars(select(AuditEntry).where(AuditEntry.action == "group.decided")).all()
        assert {entry.case_id for entry in logged} == {case_of(n) for n in range(1, 6)}


def test_a_decision_that_one_case_refuses_is_recorded_for_none(store: Store) -> None:
    one_account(store, joined=(1, 2))
    with store.session() as session:
        claims.claim(session, ANALYST, case_of(1))
    wrong = _versions(store, 1, 2) | {case_of(2): 99}
    with pytest.raises(ConflictError), store.session() as session:
        together.decide(session, ANALYST, case_of(1), "start_enquiry", versions=wrong, reason_code="warrant")
    with store.reader() as session:
        assert [session.get_one(Case, case_of(n)).state for n in (1, 2)] == ["allocated", "allocated"]


def test_a_case_is_taken_out_and_stays_out_until_it_is_put_back(store: Store) -> None:
    one_account(store)
    with store.session() as session:
        together.take_out(
            session, ANALYST, case_of(1), reason_code="other_person", version=_versions(store, 1)[case_of(1)]
        )
    assert members(store, 1) == [] and len(members(store, 2)) == 4
    assert places(store)[1] == ("low", "low")
    run = samples.night(1)
    publish_rows(store, run, links=[link(1, 3, kind="email", at=run)])
    assert members(store, 1) == []
    with store.session() as session:
        together.put_back(session, ANALYST, case_of(1), version=_versions(store, 1)[case_of(1)])
    assert len(members(store, 1)) == 5
    with pytest.raises(ConflictError, match="was not taken out"), store.session() as session:
        together.put_back(session, ANALYST, case_of(1), version=_versions(store, 1)[case_of(1)])


def test_a_whole_group_is_taken_apart(store: Store) -> None:
    one_account(store)
    with store.session() as session:
        apart = together.dissolve(
            session, ANALYST, case_of(2), reason_code="worked_apart", version=_versions(store, 2)[case_of(2)]
        )
        assert len(apart) == 5
    assert [places(store)[n][0] for n in range(1, 6)] == list(BANDS_OF_FIVE)
    assert [members(store, n) for n in range(1, 6)] == [[]] * 5
    with pytest.raises(UsageError, match="in no group"), store.session() as session:
        together.dissolve(
            session, ANALYST, case_of(2), reason_code="worked_apart", version=_versions(store, 2)[case_of(2)]
        )


def test_raising_the_band_of_one_raises_the_place_of_all_and_its_fall_lowers_it(store: Store) -> None:
    one_account(store, joined=(1, 2))
    with store.session() as session:
        claims.claim(session, ANALYST, case_of(1))
    with store.session() as session:
        bands.raise_band(
            session, ANALYST, case_of(1), "very_high", reason_code="judgement", note="Sample.",
            version=_versions(store, 1)[case_of(1)],
        )  # fmt: skip
    assert places(store)[2] == ("very_high", "high")
    with store.session() as session:
        decisions.decide(
            session, ANALYST, case_of(1), "close", reason_code="not_an_offence", outcome="no_offence",
            version=_versions(store, 1)[case_of(1)],
        )  # fmt: skip
    assert places(store)[2] == ("high", "high")


def test_restricted_members_are_not_there_for_others_and_change_nothing_for_them(store: Store) -> None:
    one_account(store, restricted=(2,))
    assert members(store, 1) == [] and [places(store)[n][0] for n in (1, 3, 4, 5)] == [
        "low",
        "medium",
        "medium",
        "medium",
    ]
    assert len(members(store, 1, UCOL)) == 5 and case_of(2) in members(store, 1, UCOL)
    assert len(members(store, 3)) == 3
    with store.reader() as session:
        rows = [case_of(n) for n in (1, 3, 4, 5)]
        assert {number for _, number in groups.sizes(session, ANALYST, rows).values()} == {3}
        assert {number for _, number in groups.sizes(session, UCOL, rows).values()} == {5}
    with store.session() as session:
        claims.claim(session, ANALYST, case_of(3))
    with store.reader() as session:
        held = [session.get_one(Case, case_of(n)).holder for n in (1, 2, 3, 4, 5)]
        assert held == [None, None, "ana", "ana", "ana"]


def test_a_case_that_becomes_restricted_leaves_sight_claims_lists_and_links_at_once(store: Store) -> None:
    add_people(store)
    one_account(store)
    with store.session() as session:
        claims.claim(session, ANALYST, case_of(1))
    run = samples.night(1)
    supplement = assessment(
        2, "very_high", version=2, at=run, referrals=[referral(2), referral(9)], summary={"compartment": "ucol"}
    )
    publish_rows(store, run, assessments=[supplement], referrals=[referral_row(9, compartment="ucol")])
    with store.reader() as session:
        case = session.get_one(Case, case_of(2))
        assert (case.compartment, case.holder, case.state) == ("ucol", None, "new")
        assert [n.text for n in notices.unread(session, ANALYST)] == [f"Case {case_of(2)} was taken over."]
        assert case_of(2) not in [row.case_id for row in queue.page(session, ANALYST).rows]
        held = queue.QueueFilters(holder="me")
        assert case_of(2) not in [row.case_id for row in queue.page(session, ANALYST, held).rows]
        assert queue.counts(session, ANALYST)["total"] == 5
        kept = queue.QueueFilters(query=case_of(2))  # a filter that was saved while the case could be seen
        assert queue.page(session, ANALYST, kept).rows == () and queue.counts(session, ANALYST, kept)["total"] == 0
        assert case_of(2) not in [duty.case_id for duty in mine.mine(session, ANALYST).duties]
        links = session.scalars(select(Link).where(Link.compartment.is_(None))).all()
        assert all(referral(2) not in (one.left_referral, one.right_referral) for one in links)
    assert case_of(2) not in members(store, 3) and places(store)[1][0] == "low"
    with pytest.raises(UsageError, match="There is no case"), store.session() as session:
        view.read(session, ANALYST, case_of(2), "test")
    with store.session() as session:
        assert [found.other_case for found in view.read(session, ANALYST, case_of(1), "test").links] == []
        notices.read(session, ANALYST, notices.unread(session, ANALYST)[0].notice_id)
        assert notices.unread(session, ANALYST) == []


def test_a_holder_who_may_see_it_keeps_a_case_that_becomes_restricted(store: Store) -> None:
    add_people(store)
    one_account(store, joined=())
    with store.session() as session:
        claims.claim(session, SUPERVISOR, case_of(2))
    run = samples.night(1)
    row = assessment(2, "high", version=2, at=run, score=61.0, summary={"compartment": "ucol"})
    publish_rows(store, run, assessments=[row], referrals=[referral_row(9, compartment="ucol")])
    with store.reader() as session:
        assert session.get_one(Case, case_of(2)).holder == "sue"
        assert notices.unread(session, SUPERVISOR) == []


def test_a_notice_is_for_one_person(store: Store) -> None:
    with store.session() as session:
        notices.tell(session, "ana", "Sample.")
    with store.session() as session:
        number = notices.unread(session, ANALYST)[0].notice_id
        with pytest.raises(UsageError, match="no notice"):
            notices.read(session, OTHER, number)


def test_a_group_is_listed_decided_and_taken_apart_at_the_command_line(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_people(sqlite_store)
    one_account(sqlite_store)
    settings = sqlite_store.settings
    for name, value in (("HOME", settings.home), ("POLICY", settings.policy), ("FORCE", "42")):
        monkeypatch.setenv(f"TRIAGE_{name}", str(value))

    def run(*words: str) -> Any:
        done = CliRunner().invoke(triage, [*words, "--as", "ana", "--format", "json"], input=PASSWORD + "\n")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    listed = run("case", "group", case_of(1))
    assert len(listed) == 5 and {row["band_of_group"] for row in listed} == {"high"}
    run("queue", "claim", case_of(1))
    seen = [word for c, v in _versions(sqlite_store, 1, 2, 3, 4, 5).items() for word in ("--version", c, str(v))]
    decided = run("case", "decide-together", case_of(1), "start_enquiry", "--reason", "warrant", *seen)
    assert {row["state"] for row in decided} == {"in_enquiry"} and len(decided) == 5
    version = str(_versions(sqlite_store, 1)[case_of(1)])
    run("case", "take-apart", case_of(1), "--reason", "other_person", "--version", version)
    assert run("case", "group", case_of(1)) == []
    version = str(_versions(sqlite_store, 1)[case_of(1)])
    run("case", "put-back", case_of(1), "--version", version)
    assert len(run("case", "group", case_of(1))) == 5
    assert run("queue", "notices") == []
