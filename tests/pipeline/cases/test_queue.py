"""The queue: order, filters and pages against an obvious twin that sorts everything in Python."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, select

from pipeline.cases.views import case as view
from pipeline.cases.views import filtering, queue, supervision, walking
from pipeline.cases.views.ordering import ORDERS
from pipeline.cases.views.queue import QueueFilters
from pipeline.cases.work import claims
from pipeline.errors import PermissionDeniedError, UsageError
from pipeline.store.indexes import SOME
from pipeline.store.opening import Store
from pipeline.store.people_tables import AuditEntry
from pipeline.store.tables import Case, Seen
from pipeline.store.types import BANDS
from tests.pipeline.cases.conftest import ADMINISTRATOR, ANALYST, OTHER, SUPERVISOR, UCOL, Clock
from tests.pipeline.cases.samples import HOURS, START, assessment, case_of, publish_rows, referral_row

CASES = 40


def fill(store: Store) -> None:
    rows = []
    for n in range(CASES):
        rows.append(
            assessment(
                n, BANDS[n % 4], score=float(n * 7 % 23), clock_start=START - timedelta(hours=n * 13),
                flags=[{"rule": "r", "label": "F", "reason": "w", "evidence": []}] if n % 5 == 0 else [],
                summary={
                    "source": ("NCA_NCMEC", "OCAG", "UCOL")[n % 3], "provider": f"P{n % 2}", "unknown_files": n % 4,
                    "matched_exact": n % 2, "matched_near": n % 3, "text_only": n % 6 == 0,
                    "force_code": ("42", "13", None)[n % 3],
                },
            )
        )  # fmt: skip
    hidden = [referral_row(n, compartment="ucol") for n in range(CASES) if n % 10 == 3]
    publish_rows(store, assessments=rows, referrals=hidden)
    with store.session() as session:
        for n in range(0, CASES, 7):
            if n % 10 != 3:
                view.read(session, ANALYST, case_of(n))
        for n in (1, 2):
            claims.claim(session, OTHER if n == 1 else ANALYST, case_of(n))


def naive(cases: list[Case], now: Any, filters: QueueFilters, *, cleared: bool, order: str = "risk") -> list[str]:
    """Sort everything, then keep what fits."""

    def group(case: Case) -> int:
        late = (now - case.due_at) / timedelta(hours=1)
        return 0 if late > 48 else 1 if late > 0 else 2 if late > -24 else 3

    def fits(case: Case) -> bool:
        flags = {
            "flagged": case.flagged, "text_only": case.text_only, "unknown_files": case.unknown_files > 0,
            "exact_matches": case.matched_exact > 0, "near_matches": case.matched_near > 0,
            "unacknowledged": case.unacknowledged, "reopened": case.reopened_at is not None,
            "lowering_pending": case.lowering_pending, "second_look": case.second_look,
        }  # fmt: skip
        return (
            (cleared or case.compartment is None)
            and (filters.urgency is None or queue.URGENCIES[group(case)] in filters.urgency)
            and (filters.band is None or case.band in filters.band)
            and (filters.source is None or case.source in filters.source)
            and (filters.provider is None or case.provider in filters.provider)
            and (filters.force is None or case.force_code == filters.force)
            and (filters.other_force is None or case.force_code not in (None, filters.other_force))
            and (filters.opened_since is None or case.opened_at >= filters.opened_since)
            and case.case_id.startswith(filters.query or "")
            and (
                filters.holder is None
                or case.holder == {"me": "ana", "nobody": None}.get(filters.holder, filters.holder)
            )
            and all(getattr(filters, k) in (None, v) for k, v in flags.items())
        )

    def place(case: Case) -> tuple[Any, ...]:
        band = BANDS.index(case.band)
        if order == "target":
            return (case.due_at, band, -case.score, case.case_id)
        if order in {"source", "state"}:
            return (getattr(case, order), band, -case.score, case.case_id)
        if order in {"age", "case"}:
            return (case.clock_start, case.case_id) if order == "age" else (case.case_id,)
        return (band, not case.unacknowledged, case.due_at >= now, -case.score, case.due_at, case.case_id)

    return [c.case_id for c in sorted(cases, key=place) if fits(c)]


def walk(store: Store, actor: Any, filters: QueueFilters, size: int, order: str = "risk") -> list[str]:
    found, after = [], None
    with store.reader() as session:
        while True:
            page = queue.page(session, actor, filters, order=order, after=after, size=size)
            found += [row.case_id for row in page.rows]
            after = page.next_after
            if after is None:
                return found


some = st.one_of(st.none(), st.booleans())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    filters=st.builds(
        QueueFilters,
        urgency=st.one_of(st.none(), st.sets(st.sampled_from(queue.URGENCIES), min_size=1).map(tuple)),
        band=st.one_of(st.none(), st.sets(st.sampled_from(BANDS), min_size=1).map(tuple)),
        source=st.one_of(st.none(), st.just(("OCAG", "UCOL"))),
        provider=st.one_of(st.none(), st.just(("P1",))),
        force=st.one_of(st.none(), st.just("42")),
        other_force=st.one_of(st.none(), st.just("42")),
        holder=st.sampled_from([None, None, "me", "nobody", "bob"]),
        flagged=some,
        text_only=some,
        unknown_files=some,
        exact_matches=some,
        near_matches=some,
        unacknowledged=some,
        reopened=some,
        lowering_pending=some,
        second_look=some,
        opened_since=st.sampled_from([None, None, START - timedelta(days=9), START + timedelta(days=900)]),
        query=st.sampled_from([None, None, "C-", "C-7", "C-ZZZ"]),
    ),
    size=st.integers(3, 30),
    cleared=st.booleans(),
    order=st.sampled_from(ORDERS),
    limits=st.tuples(
        st.sampled_from([0, 4, 2_500]), st.sampled_from([0, 5]), st.sampled_from([0, 6, 2_000]), st.sampled_from([1, 4])
    ),
)
def test_pages_are_those_of_the_obvious_twin(
    store: Store,
    clock: Clock,
    *,
    filters: QueueFilters,
    size: int,
    cleared: bool,
    order: str,
    limits: tuple[int, int, int, int],
) -> None:
    """Whichever way a page is found: from a small index, walked run by run, looked for among the next cases, or sorted."""
    with store.reader() as session:
        cases = list(session.scalars(select(Case)))
    if not cases:
        fill(store)
        with store.reader() as session:
            cases = list(session.scalars(select(Case)))
    actor = UCOL if cleared else ANALYST
    if filters.holder == "me" and cleared:
        return
    expected = naive(cases, clock.at, filters, cleared=cleared, order=order)
    with (
        patch.object(walking, "MANY", limits[0]),
        patch.object(walking, "FEW_FILTERS", limits[1]),
        patch.object(walking, "FREE_FILTERS", limits[1]),
        patch.object(walking, "SAMPLE", limits[2]),
        patch.object(walking, "ENOUGH", limits[3]),
    ):
        assert walk(store, actor, filters, size, order) == expected
    with store.reader() as session:
        counted = queue.counts(session, actor, filters)
    assert counted["total"] == len(expected)
    assert (
        sum(counted.get(band, 0) for band in BANDS) == sum(counted.get(u, 0) for u in queue.URGENCIES) == len(expected)
    )


@pytest.mark.parametrize("name", SOME)
def test_what_few_cases_have_is_asked_of_its_small_index(sqlite_store: Store, name: str) -> None:
    """SQLite uses an index with a condition only where it is asked in the same words."""
    asked: list[tuple[str, Any]] = []
    of_filter = {"reopened_at": "reopened", "matched_exact": "exact_matches", "matched_near": "near_matches"}
    filters = QueueFilters(**{of_filter.get(name, name): True})

    def listen(_connection: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, given))

    with sqlite_store.reader() as session:
        event.listen(sqlite_store.engine, "before_cursor_execute", listen)
        try:
            found = filtering.narrowest(session, ANALYST, filters)
            assert found is not None and found.number == 0
            session.execute(select(Case.case_id).where(*filtering.within(session, [], found))).all()
        finally:
            event.remove(sqlite_store.engine, "before_cursor_execute", listen)
        assert len(asked) == 2
        for statement, given in asked:
            plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given).all()
            assert any(f"ix_cases_{name} " in f"{row[-1]} " for row in plan), plan


def late(number: int, band: str, days: float, score: float, *, flag: bool = False) -> dict[str, Any]:
    """A case whose target lies `days` back (negative: ahead)."""
    flags = [{"rule": "death", "label": "F", "reason": "w", "evidence": []}] if flag else []
    row = assessment(number, band, score=score, flags=flags)
    return row | {
        "due_at": START - timedelta(days=days),
        "clock_start": START - timedelta(days=days, hours=HOURS[band]),
    }


def listed(store: Store, order: str = "risk") -> list[int]:
    numbers = {case_of(n): n for n in range(20)}
    with store.reader() as session:
        return [numbers[r.case_id] for r in queue.page(session, ANALYST, order=order).rows]


def test_risk_comes_first_and_lateness_is_only_a_mark(store: Store, clock: Clock) -> None:
    """An overdue low case does not stand above live offending; a flag, lateness, the score and the target decide inside
    a band, in this order."""
    clock.at = START
    rows = [
        late(1, "low", 300, 20), late(2, "very_high", -1, 80), late(3, "high", 0.1, 46), late(4, "high", -5, 70),
        late(5, "high", -6, 45, flag=True), late(6, "very_high", 3, 75), late(7, "high", -4, 70), late(8, "low", -9, 2, flag=True),
    ]  # fmt: skip
    publish_rows(store, assessments=rows)
    assert listed(store) == [6, 2, 5, 3, 7, 4, 8, 1]
    assert listed(store, "target") == [1, 6, 3, 2, 7, 4, 5, 8]
    with store.reader() as session:
        rows_ = {r.case_id: r for r in queue.page(session, ANALYST).rows}
        assert rows_[case_of(1)].urgency == "critically_overdue"
        assert rows_[case_of(1)].standing == "low, past its target by 10 months, score 20"
        assert rows_[case_of(5)].standing == "high, to be brought to somebody now, target in 6 days, score 45"
    with store.session() as session:
        taken = [claims.claim_next(session, ANALYST) for _ in rows]
        assert [c.case_id for c in taken if c] == [case_of(n) for n in (6, 2, 5, 3, 7, 4, 8, 1)]


def test_the_policy_can_lift_a_case_one_band_after_so_many_times_its_target(store: Store, clock: Clock) -> None:
    clock.at = START
    rows = [
        late(1, "low", 61, 20), late(2, "medium", -3, 26), late(3, "medium", 1, 25), late(4, "low", 59, 21),
        late(5, "high", 1, 50), late(6, "medium", 29, 30), late(7, "high", -1, 51), late(8, "high", 30, 48),
    ]  # fmt: skip
    publish_rows(store, assessments=rows)
    plain = [5, 8, 7, 6, 3, 2, 4, 1]
    assert listed(store) == plain
    store.rules.data["queue"]["lift_after_targets"] = 3
    try:
        # 8 stands in the place of very high, 6 in that of high behind its own late ones, 1 in that of medium
        assert listed(store) == [8, 5, 6, 7, 3, 1, 2, 4]
        assert walk(store, ANALYST, QueueFilters(), 2) == [case_of(n) for n in (8, 5, 6, 7, 3, 1, 2, 4)]
        with store.session() as session:
            first = claims.claim_next(session, ANALYST)
            assert first is not None and first.case_id == case_of(8)
            standing = {r.case_id: r.standing for r in queue.page(session, ANALYST).rows}
        assert standing[case_of(1)].startswith("low, lifted to medium's place, past its target by 61 days")
    finally:
        store.rules.data["queue"]["lift_after_targets"] = None


def test_pages_of_one_walk_follow_the_moment_of_the_first(store: Store, clock: Clock) -> None:
    clock.at = START
    publish_rows(store, assessments=[late(1, "high", -0.01, 60), late(2, "high", -0.02, 50), late(3, "high", -9, 70)])
    with store.reader() as session:
        first = queue.page(session, ANALYST, size=1)
    clock.at = START + timedelta(days=1)
    with store.reader() as session:
        rest = queue.page(session, ANALYST, after=first.next_after, size=9)
    assert [r.case_id for r in (*first.rows, *rest.rows)] == [case_of(3), case_of(1), case_of(2)]


def test_what_is_past_its_target_is_listed_and_counted_by_band_oldest_first(store: Store, clock: Clock) -> None:
    clock.at = START
    rows = [late(1, "low", 9, 1), late(2, "low", 90, 2), late(3, "high", 1, 50), late(4, "medium", -1, 30)]
    publish_rows(store, assessments=rows)
    with store.reader() as session:
        assert [c.case_id for c in supervision.overdue(session, SUPERVISOR)] == [case_of(3), case_of(2), case_of(1)]
        figures = {f["band"]: (f["cases"], f["oldest_target"]) for f in supervision.past_target(session, SUPERVISOR)}
    assert figures["low"] == (2, START - timedelta(days=90)) and figures["high"][0] == 1
    assert figures["medium"] == figures["very_high"] == (0, None)


def test_new_for_me_means_changed_since_i_looked(store: Store) -> None:
    fill(store)
    with store.reader() as session:
        new = {r.case_id for r in queue.page(session, ANALYST, QueueFilters(new_for_me=True), size=500).rows}
        seen = {r.case_id for r in queue.page(session, ANALYST, QueueFilters(new_for_me=False), size=500).rows}
        rows = queue.page(session, ANALYST, size=500).rows
    assert seen == {case_of(n) for n in range(0, CASES, 7) if n % 10 != 3}
    assert new == {r.case_id for r in rows} - seen
    assert {r.case_id for r in rows if r.new_for_me} == new


def test_closed_cases_show_when_asked_for(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1), assessment(2)])
    with store.session() as session:
        case = session.get_one(Case, case_of(1))
        case.state, case.is_open = "closed", False
    with store.reader() as session:
        assert [r.case_id for r in queue.page(session, ANALYST).rows] == [case_of(2)]
        assert [r.case_id for r in queue.page(session, ANALYST, QueueFilters(state=("closed",))).rows] == [case_of(1)]
        both = queue.page(session, ANALYST, QueueFilters(state=("closed", "new"))).rows
        assert {r.case_id for r in both} == {case_of(1), case_of(2)}


@pytest.mark.parametrize("after", ["x", "AAAA", "W10=", "WzEsMSwxLCIyMDI2LTAxLTAxIiwiQyJd"])
def test_a_page_that_cannot_be_is_a_clear_error(sqlite_store: Store, after: str) -> None:
    with pytest.raises(UsageError, match="page of the queue"), sqlite_store.reader() as session:
        queue.page(session, ANALYST, after=after)


def test_wrong_values_name_the_right_ones(sqlite_store: Store) -> None:
    with sqlite_store.reader() as session:
        with pytest.raises(UsageError, match="Known: very_high"):
            queue.page(session, ANALYST, QueueFilters(band=("extreme",)))
        with pytest.raises(UsageError, match="1 to 500"):
            queue.page(session, ANALYST, size=0)
        with pytest.raises(PermissionDeniedError):
            queue.page(session, ADMINISTRATOR)


@pytest.mark.parametrize("text", ["' OR 1=1 --", "%", "_", "\\", "C-"])
def test_a_number_filter_is_text_and_never_a_pattern(store: Store, text: str) -> None:
    publish_rows(store, assessments=[assessment(1)])
    with store.reader() as session:
        rows = queue.page(session, ANALYST, QueueFilters(query=text)).rows
    assert len(rows) == (1 if text == "C-" else 0)


def test_listings_are_logged_where_the_policy_says_so(sqlite_store: Store) -> None:
    publish_rows(sqlite_store, assessments=[assessment(1)])
    sqlite_store.rules.data["consultation"]["log_listings"] = True
    try:
        with sqlite_store.listing() as session:
            queue.page(session, ANALYST, QueueFilters(band=("medium",)))
    finally:
        sqlite_store.rules.data["consultation"]["log_listings"] = False
    with sqlite_store.listing() as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.seq.desc()).limit(1)).one()
    assert (entry.action, case_of(1) in entry.detail) == ("queue.listed", True)


@pytest.mark.parametrize("every", [1, 4, 9, 1000])
def test_what_is_new_for_me_is_found_however_few_of_the_cases_are(store: Store, every: int) -> None:
    fill(store)
    with store.session() as session:
        cases = list(session.scalars(select(Case).order_by(Case.case_id)))
        session.execute(delete(Seen))
        rows = [Seen(user_id="ana", case_id=c.case_id, change_id=c.change_id, at=c.opened_at) for c in cases]
        session.add_all(row for number, row in enumerate(rows) if number % every)
    new = {case.case_id for number, case in enumerate(cases) if not number % every}
    for order in ("risk", "target"):
        expected = [c for c in walk(store, ANALYST, QueueFilters(), 50, order) if c in new]
        with patch.object(walking, "AHEAD", (1, 2)):
            assert walk(store, ANALYST, QueueFilters(new_for_me=True), 3, order) == expected
