"""Counting only what is new gives the figures of counting everything, and what was lost from the past shows."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.cases.publishing import assessing
from pipeline.cases.publishing import stage as publishing
from pipeline.contract import Night, run_dir
from pipeline.errors import ReconciliationError
from pipeline.lake import Lake
from pipeline.night import reconcile, totals
from pipeline.night.totals import Kept, Span
from pipeline.settings import Settings
from tests.factory import AS_OF, form, ingest, land

FIRST, SECOND, THIRD = (Night(f"night-{n}", AS_OF + timedelta(days=n)) for n in range(3))


def night(settings: Settings, run: Night, which: dict[str, bytes]) -> None:
    for name, content in which.items():
        land(settings, {"referral.json": content}, name)
    run_dir(settings, run.run_id).mkdir(parents=True, exist_ok=True)
    ingest(settings, run)
    assessing.run(settings, run)
    publishing.run(settings, run)


def referral(reference: str, **more: object) -> bytes:
    return form(reference=reference, subjects=[{"role": "suspect", "emails": [f"{reference}@example.org"]}], **more)


def figures(settings: Settings, after: int, kept: dict[str, totals.Check]) -> dict[str, totals.Check]:
    span = Span(Lake.of(settings).now(), after)
    return {c.name: c.plus(kept.get(c.name)) for c in reconcile._of_span(settings, span)}


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, int, dict[str, totals.Check]]:
    """Two nights without media; of the second a new referral and one with more of the first's. The first's last commit and figures."""
    settings = Settings(home=tmp_path_factory.mktemp("totals"))
    settings.landing_dir.mkdir(parents=True)
    night(settings, FIRST, {"a": referral("1"), "b": referral("2"), "bad": b"{"})
    kept = figures(settings, 0, {})
    through = Lake.of(settings).last()
    night(settings, SECOND, {"c": referral("3"), "more": referral("1", narrative="[synthetic message 12]")})
    return settings, through, kept


def test_what_is_new_and_what_was_kept_are_what_counting_everything_gives(
    two_nights: tuple[Settings, int, dict[str, totals.Check]],
) -> None:
    settings, through, kept = two_nights
    whole, added = figures(settings, 0, {}), figures(settings, through, kept)
    assert added == whole and all(check.holds for check in whole.values())
    assert whole[reconcile.ASSESSED].into == 3
    assert whole["accepted and supplementing packages = referral records"].into == 4
    alone = figures(settings, through, {})
    assert alone["accepted and supplementing packages = referral records"].into == 2
    assert alone[reconcile.ASSESSED].into == 1


def test_every_boundary_between_two_commits_gives_the_same_rows(
    two_nights: tuple[Settings, int, dict[str, totals.Check]],
) -> None:
    settings, _, _ = two_nights
    lake = Lake.of(settings)
    for through in range(1, lake.last() + 1):
        early = Span(Lake(lake.root, as_of=through))
        kept = Kept(through, rows=totals.stored(early, Kept())[1])
        check, rows = totals.stored(Span(lake.now(), through), kept)
        assert check.holds and rows == totals.stored(Span(lake.now()), Kept())[1]


@pytest.fixture
def later(two_nights: tuple[Settings, int, dict[str, totals.Check]], tmp_path: Path) -> Settings:
    """A copy of its own, with the second night reconciled."""
    home = tmp_path / "later"
    shutil.copytree(two_nights[0].home, home)
    settings = Settings(home=home)
    lake = Lake.of(settings)
    kept = Kept(lake.last(), figures(settings, 0, {}), totals.stored(Span(lake.now()), Kept())[1], SECOND.as_of.date())
    kept.publish(lake, SECOND.run_id)
    run_dir(settings, THIRD.run_id).mkdir(parents=True)
    return settings


def test_the_next_run_begins_where_the_last_one_ended_and_counts_all_in_turns(later: Settings) -> None:
    lake = Lake.of(later)
    assert Kept.before(lake, THIRD.run_id, THIRD.as_of, 28).through == lake.newest(totals.STAGE)[0].meta["through"]
    assert Kept.before(lake, THIRD.run_id, SECOND.as_of + timedelta(days=28), 28) == Kept()
    assert Kept.before(lake, SECOND.run_id, SECOND.as_of, 28) == Kept()
    assert not reconcile.run(later, THIRD).rejected


def test_rows_that_vanish_from_the_past_fail_the_run(later: Settings) -> None:
    lake = Lake.of(later)
    (first,) = lake.newest(totals.STAGE)
    more = {**first.meta["rows"], "packages": first.meta["rows"]["packages"] + 1}
    kept = Kept.before(lake, THIRD.run_id, THIRD.as_of, 28)
    Kept(kept.through, kept.checks, more, kept.whole).publish(lake, "another")
    with pytest.raises(ReconciliationError, match="rows counted = rows that the lake's tables list"):
        reconcile.run(later, THIRD)
    assert reconcile.run(later, THIRD, whole=True).kept


def test_a_case_of_the_past_that_the_store_lost_fails_the_run(later: Settings) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(later.home / "cases.sqlite")) as store, store:
        store.execute("PRAGMA foreign_keys = OFF")
        (case,) = store.execute("SELECT case_id FROM cases LIMIT 1").fetchone()
        store.execute("DELETE FROM assessments WHERE case_id = ?", (case,))
        store.execute("DELETE FROM cases WHERE case_id = ?", (case,))
    with pytest.raises(ReconciliationError, match="cases ever assessed = cases in the store or erased"):
        reconcile.run(later, THIRD)
