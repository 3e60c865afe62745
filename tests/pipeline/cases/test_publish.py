"""The nightly publish: one transaction, idempotent, raising by itself, never overwriting a person."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from pipeline import records
from pipeline.cases.publishing import applying
from pipeline.cases.publishing import stage as publish
from pipeline.cases.views import case as view
from pipeline.cases.views import hiding, queue
from pipeline.cases.work import bands, claims, decisions, retention
from pipeline.errors import IntegrityError
from pipeline.lake import Lake
from pipeline.store.opening import Store
from pipeline.store.people_tables import AuditEntry
from pipeline.store.tables import Assessment, Case, Change, Link, Lowering, Publish, Review, SecondLook
from tests.pipeline.cases import samples
from tests.pipeline.cases.conftest import ANALYST, SUPERVISOR, UCOL, Clock
from tests.pipeline.cases.samples import assessment, case_of, link, night, publish_rows, referral, referral_row

LOWER = {"reason_code": "fact_disproved", "note": "Checked"}


def get(store: Store, number: int = 1) -> Case:
    with store.reader() as session:
        case = session.get(Case, case_of(number))
        assert case is not None
        return case


def again(number: int = 1, band: str = "medium", version: int = 2, at: int = 1, **over: Any) -> dict[str, Any]:
    """The next version of a case's assessment."""
    over.setdefault("changes", {"reasons_new": ["Reason new"], "reasons_raised": [], "reasons_gone": []})
    return assessment(number, band, version=version, at=night(at), **over)


def close(store: Store, number: int = 1) -> None:
    with store.session() as session:
        case = claims.claim(session, ANALYST, case_of(number))
        decisions.decide(
            session, ANALYST, case_of(number), "close",
            reason_code="enquiry_complete", outcome="no_suspect", version=case.version,
        )  # fmt: skip


def put_band_down(store: Store, to: str) -> None:
    with store.session() as session:
        case = claims.claim(session, ANALYST, case_of(1))
        bands.propose_lowering(session, ANALYST, case_of(1), to, version=case.version, **LOWER)
    with store.session() as session:
        bands.approve_lowering(session, SUPERVISOR, case_of(1), version=get(store).version, **LOWER)


def test_a_new_case_is_opened_with_its_reviews_and_logged(store: Store) -> None:
    counts = publish_rows(store, assessments=[assessment(1, "high"), assessment(2, "low")])
    assert counts["assessments"] == counts["opened"] == 2
    case = get(store)
    assert (case.state, case.band, case.score, case.version) == ("new", "high", 60.0, 1)
    assert case.opened_at == night().as_of
    with store.reader() as session:
        due = session.scalars(select(Review.due_at).where(Review.case_id == case.case_id).order_by(Review.due_at)).all()
        assert [(d.month, d.day) for d in due] == [(6, 2), (8, 2), (9, 2)]
        logged = session.scalars(select(AuditEntry.action).where(AuditEntry.case_id == case.case_id)).all()
    assert logged == ["case.opened"]


def test_publishing_again_changes_nothing(store: Store) -> None:
    rows = {"assessments": [assessment(1), assessment(2)], "links": [link(1, 2)]}
    publish_rows(store, **rows)
    before = content(store)
    assert publish_rows(store, **rows) == {}
    assert content(store) == before


def content(store: Store) -> list[Any]:
    with store.reader() as session:
        return [
            session.execute(select(table.__table__).order_by(*table.__table__.primary_key)).all()
            for table in (Case, Assessment, Link, Change, Publish, AuditEntry)
        ]


def test_the_stage_reports_the_same_when_repeated_and_balances(store: Store) -> None:
    samples.commit(store, night(), assessments=[assessment(1), assessment(2)], links=[link(1, 2)])
    first = publish.run(store.settings, night())
    second = publish.run(store.settings, night())
    assert first.balanced
    assert (first.read, first.kept, first.rejected) == (2, 2, {})
    assert first.counts == second.counts
    assert publish.published_cases(store.settings) == {case_of(1), case_of(2)}


def test_a_failure_half_way_leaves_nothing(store: Store) -> None:
    lake = samples.commit(store, night(), assessments=[assessment(1), assessment(2)])
    broken = lake.read("assessments")
    column = broken.schema.get_field_index("reasons")
    values = [v if i == 0 else "{not json" for i, v in enumerate(broken["reasons"].to_pylist())]
    broken = broken.set_column(column, broken.schema.field(column), [values])
    other = Lake(store.settings.home / "other")
    record = broken.cast(records.arrow_schema("assessments"))
    other.commit("assess", "x", {"assessments": record}, run_id="night-0")
    with pytest.raises(IntegrityError, match="not JSON"):
        publish.publish(store, other, night())
    assert content(store) == [[], [], [], [], [], []]


def test_a_raise_takes_effect_and_says_what_changed(store: Store, clock: Clock) -> None:
    publish_rows(store, assessments=[assessment(1, "medium")])
    with store.session() as session:
        view.read(session, ANALYST, case_of(1))
    clock.forward(days=1)
    publish_rows(store, night(1), assessments=[again(band="high")])
    assert get(store).band == "high"
    with store.reader() as session:
        row = queue.page(session, ANALYST).rows[0]
        assert row.new_for_me
    with store.session() as session:
        seen = view.read(session, ANALYST, case_of(1))
    assert [c.text for c in seen.changes] == ["Band raised from Medium to High", "New: Reason new"]
    assert [v.band for v in seen.versions] == ["medium", "high"]
    with store.session() as session:
        assert view.read(session, ANALYST, case_of(1)).changes == []


def test_what_came_and_could_not_be_read_is_told(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1)])
    more = {"quarantined_packages": ["P-9"]}
    publish_rows(store, night(2), assessments=[assessment(1, version=2, at=night(2), summary=more)])
    publish_rows(store, night(3), assessments=[assessment(1, version=3, at=night(3), summary=more)])
    with store.reader() as session:
        lines = session.scalars(select(Change.text).order_by(Change.change_id)).all()
    same = "Assessed again: the band stays Medium, reasons and flags are the same"
    assert lines[1:] == [same, "More of it came and is in quarantine: P-9", same]


def test_a_fall_waits_for_a_person(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1, "high")])
    due = get(store).due_at
    publish_rows(store, night(1), assessments=[again(band="low")])
    case = get(store)
    assert (case.band, case.model_band, case.lowering_pending, case.due_at) == ("high", "low", True, due)
    with store.reader() as session:
        proposal = session.scalars(select(Lowering)).one()
    assert (proposal.to_band, proposal.proposed_by, proposal.status) == ("low", "system", "pending")


def test_a_fall_that_rises_again_is_withdrawn(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1, "high")])
    publish_rows(store, night(1), assessments=[again(band="low")])
    publish_rows(store, night(2), assessments=[again(band="high", version=3, at=2)])
    case = get(store)
    assert (case.band, case.lowering_pending) == ("high", False)
    with store.reader() as session:
        assert session.scalars(select(Lowering.status)).all() == ["withdrawn"]


def test_an_approved_lowering_stands_while_the_assessment_stays(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1, "high")])
    put_band_down(store, "low")
    publish_rows(store, night(1), assessments=[again(band="high", score=61.0)])
    case = get(store)
    assert (case.band, case.model_band, case.lowering_pending) == ("low", "high", False)
    with store.reader() as session:
        assert session.scalars(select(SecondLook.kind)).all() == ["person_below_model"]
    publish_rows(store, night(2), assessments=[again(band="very_high", version=3, at=2)])
    assert get(store).band == "very_high"


def test_a_refused_lowering_is_not_proposed_again_every_night(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1, "high")])
    publish_rows(store, night(1), assessments=[again(band="low")])
    with store.session() as session:
        bands.refuse_lowering(
            session, SUPERVISOR, case_of(1), reason_code="risk_remains", note="Still", version=get(store).version
        )
    publish_rows(store, night(2), assessments=[again(band="low", version=3, at=2, score=6.0)])
    case = get(store)
    assert (case.band, case.lowering_pending) == ("high", False)


def test_a_band_raised_by_a_person_stays(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1, "low")])
    with store.session() as session:
        case = claims.claim(session, ANALYST, case_of(1))
        bands.raise_band(
            session, ANALYST, case_of(1), "very_high", reason_code="intelligence", note="Call", version=case.version
        )
    due = get(store).due_at
    publish_rows(store, night(1), assessments=[again(band="medium")])
    case = get(store)
    assert (case.band, case.lowering_pending, case.due_at) == ("very_high", False, due)


def test_work_in_hand_survives_the_night(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1)])
    with store.session() as session:
        case = claims.claim(session, ANALYST, case_of(1))
        decisions.decide(
            session, ANALYST, case_of(1), "start_enquiry", reason_code="warrant", version=case.version, note="Applied"
        )
    publish_rows(store, night(1), assessments=[again(band="high")])
    case = get(store)
    assert (case.state, case.holder, case.band) == ("in_enquiry", "ana", "high")


@pytest.mark.parametrize("matched", [True, False])
def test_a_closed_case_comes_back_when_a_release_raises_it(store: Store, matched: bool) -> None:
    publish_rows(store, assessments=[assessment(1, "medium")])
    close(store)
    evidence = [reason_with_match()] if matched else None
    rows = {"matches": [match_row()]} if matched else {}
    over = {"reasons": evidence, "score": 31.0} if matched else {"score": 31.0}
    publish_rows(store, night(1), assessments=[again(band="medium", **over)], **rows)
    case = get(store)
    if not matched:
        assert (case.state, case.reopen_reason) == ("closed", None)
        return
    assert (case.state, case.is_open, case.outcome, case.closed_at) == ("new", True, None, None)
    assert case.reopen_reason == "new in release 14: Reason new"


def test_what_a_release_made_known_is_counted_in_words() -> None:
    assert applying.release_words({"14"}, 3) == ["new in release 14", "3 files of this case are now known"]
    assert applying.release_words({"14"}, 1)[1] == "1 file of this case is now known"
    assert applying.release_words({"14"}, 0) == ["new in release 14"]


def test_a_closed_case_comes_back_when_its_band_rises(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1, "medium")])
    close(store)
    publish_rows(store, night(1), assessments=[again(band="very_high")])
    case = get(store)
    assert (case.state, case.band) == ("new", "very_high")
    assert case.reopen_reason == "raised from Medium to Very high: Reason new"


def reason_with_match() -> dict[str, Any]:
    return samples.reason("m", 6.0, [("matches", "M-1")])


def match_row() -> dict[str, Any]:
    return {
        "match_id": "M-1", "sha256": b"\1" * 32, "media_key": 1, "kind": "exact", "algorithm": "md5", "distance": 0,
        "threshold": 0, "low_information": False, "total_hits": 1, "release": 14, "grade": "TRUSTED",
        "sources": ["s"], "victim_identified": "no", "offender_identified": "no", "distributed": "no", "series": [],
        "tags": [], "algorithm_version": "1", "code_version": "1", "run_id": "night-1",
    }  # fmt: skip


def test_an_erased_case_is_not_brought_back(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1), assessment(2)], links=[link(1, 2)])
    close(store)
    with store.session() as session:
        retention.erase(session, SUPERVISOR, case_of(1), reason_code="unfounded", version=get(store).version)
    samples.commit(
        store, night(1), assessments=[again(band="very_high")], links=[link(1, 2, kind="phone", at=night(1))]
    )
    report = publish.run(store.settings, night(1))
    assert (report.read, report.kept, report.rejected) == (1, 0, {"erased": 1})
    assert report.counts["links_erased"] == 1
    with store.reader() as session:
        assert session.get(Case, case_of(1)) is None
        assert session.scalar(select(func.count()).select_from(Link)) == 0
    assert publish.published_cases(store.settings) == {case_of(1), case_of(2)}


def test_links_are_told_to_both_cases_and_updated_in_place(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1), assessment(2)])
    publish_rows(store, night(1), links=[link(1, 2, at=night(1))])
    with store.session() as session:
        seen = view.read(session, ANALYST, case_of(1))
        assert [(x.other_case, x.kind) for x in seen.links] == [(case_of(2), "email")]
        assert seen.changes[-1].text == "New strong link: email"
        assert view.read(session, ANALYST, case_of(2)).links[0].other_case == case_of(1)
    counts = publish_rows(store, night(2), links=[link(1, 2, at=night(2), withdrawn=True)])
    assert counts == {"links_withdrawn": 1}
    with store.session() as session:
        assert view.read(session, ANALYST, case_of(1)).links == []


def test_a_supplement_belongs_to_its_case(store: Store) -> None:
    both = {"referrals": [referral(1), referral(5)]}
    publish_rows(store, assessments=[assessment(1, **both), assessment(2)], links=[link(2, 5)])
    with store.session() as session:
        assert view.read(session, ANALYST, case_of(2)).links[0].other_case == case_of(1)
        assert view.read(session, ANALYST, case_of(1)).links[0].other_case == case_of(2)


def test_a_case_joined_to_another_hands_its_work_over(store: Store) -> None:
    publish_rows(store, assessments=[assessment(5, "very_high")])
    with store.session() as session:
        claims.claim(session, ANALYST, case_of(5))
    row = assessment(
        1, "low", at=night(1), referrals=[referral(1), referral(5)], summary={"joined_cases": [case_of(5)]}
    )
    counts = publish_rows(store, night(1), assessments=[row])
    assert counts["joined"] == 1
    old, case = get(store, 5), get(store, 1)
    assert (old.state, old.outcome, old.holder) == ("closed", "duplicate", None)
    assert (case.state, case.holder, case.band) == ("allocated", "ana", "very_high")


def test_a_restricted_case_shows_nowhere_to_others(store: Store) -> None:
    by_link = samples.reason("linked", 9.0, [("links", "L-1-2-email")])
    publish_rows(
        store,
        referrals=[referral_row(1), referral_row(2, source="UCOL", compartment="ucol")],
        assessments=[assessment(1, reasons=[by_link, samples.reason("own")], summary={"links": 1}), assessment(2)],
        links=[link(1, 2)],
    )
    assert get(store, 2).compartment == "ucol"
    with store.reader() as session:
        row = queue.page(session, ANALYST).rows
        assert [(r.case_id, r.top_reasons) for r in row] == [(case_of(1), ("Reason own",))]
        assert queue.counts(session, ANALYST)["total"] == 1
        assert queue.counts(session, UCOL)["total"] == 2
        assert hiding.referrals(session, ANALYST) == {referral(2)}
    with store.session() as session:
        seen = view.read(session, ANALYST, case_of(1))
        assert (seen.links, seen.summary["links"]) == ([], 0)
        assert [r["label"] for r in seen.reasons] == ["Reason own"]
        assert seen.reasons[0]["evidence"] == []
        assert "email" not in repr(seen.reasons)
        open_ = view.read(session, UCOL, case_of(1))
        assert (len(open_.links), open_.summary["links"]) == (1, 1)
        assert open_.reasons[0]["label"] == "Reason linked"


def test_how_much_more_a_reason_rests_on_is_not_told(store: Store) -> None:
    linked = samples.reason("linked", 9.0, [("links", "L-1-2-email"), ("links", "L-1-3-email")]) | {"evidence_total": 2}
    counts = {"links": 2, "links_strong": 2, "links_by_strength": {"strong": 2}}
    publish_rows(
        store,
        referrals=[referral_row(1), referral_row(2, source="UCOL", compartment="ucol"), referral_row(3)],
        assessments=[assessment(1, reasons=[linked], summary=counts), assessment(2), assessment(3)],
        links=[link(1, 2), link(1, 3)],
    )
    with store.session() as session:
        seen = view.read(session, ANALYST, case_of(1))
        assert [(r["label"], r["evidence_total"]) for r in seen.reasons] == [("Reason linked", 1)]
        assert {name: seen.summary[name] for name in counts} == {
            "links": 1, "links_strong": 1, "links_by_strength": {"strong": 1},
        }  # fmt: skip
        assert view.read(session, UCOL, case_of(1)).reasons[0]["evidence_total"] == 2


def test_a_restricted_link_found_later_is_told_to_cleared_people_only(store: Store) -> None:
    publish_rows(
        store,
        referrals=[referral_row(2, compartment="ucol")],
        assessments=[assessment(1), assessment(2)],
    )
    by_link = samples.reason("linked", 9.0, [("links", "L-1-2-email")])
    changes = {"reasons_new": ["Reason linked", "Reason own"]}
    row = again(reasons=[by_link, samples.reason("own")], changes=changes)
    publish_rows(store, night(1), assessments=[row], links=[link(1, 2, at=night(1))])
    with store.session() as session:
        plain = [c.text for c in view.read(session, ANALYST, case_of(1)).history]
        cleared = [c.text for c in view.read(session, UCOL, case_of(1)).history]
    assert plain == ["Case opened at band Medium", "New: Reason own"]
    assert sorted(set(cleared) - set(plain)) == ["New strong link: email", "New: Reason linked"]


def test_versions_of_several_nights_are_applied_in_their_order(store: Store) -> None:
    samples.commit(store, night(2), assessments=[again(band="low", version=3, at=2)])
    samples.commit(store, night(1), assessments=[again(band="high", version=2)])
    publish_rows(store, night(2), assessments=[assessment(1, "medium")])
    case = get(store)
    assert (case.band, case.model_band, case.lowering_pending) == ("high", "low", True)
    with store.reader() as session:
        bands_ = session.scalars(select(Assessment.band).order_by(Assessment.sequence)).all()
    assert bands_ == ["medium", "high", "low"]


def test_notifications_are_listed_once(store: Store) -> None:
    due = [{"kind": "lado", "label": "LADO", "reason": "Works with children"}]
    publish_rows(store, assessments=[assessment(1, notifications=due)])
    publish_rows(store, night(1), assessments=[again(notifications=due)])
    with store.session() as session:
        assert [n.kind for n in view.read(session, ANALYST, case_of(1)).notifications] == ["lado"]
