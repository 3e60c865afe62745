"""A run's name and clock come from what Airflow says of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline import contract
from pipeline.errors import IntegrityError
from pipeline.ingest.landing import seen
from pipeline.night import naming
from pipeline.settings import Settings

MOMENT = datetime(2026, 7, 3, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "case",
    [
        # 01:00 in London in summer is midnight in UTC: the date is London's
        ("nightly_triage", "scheduled__2026-07-03T00:00:00+00:00", "scheduled", MOMENT, "night-2026-07-03"),
        ("nightly_triage", "backfill__x", "backfill", MOMENT - timedelta(days=2), "night-2026-07-01"),
        ("nightly_triage", "manual__2026-07-03T09:31:05.12+00:00", "manual", MOMENT, "night-2026-07-03T09.31.05.12-00.00"),
        ("hashset_refresh", "asset_triggered__2026-07-03T16:28:00+00:00_aB", "asset_triggered", None, "refresh-2026-07-03T16.28.00-00.00_aB"),
        ("retro_match", "manual__by hand", "manual", None, "retro-by.hand"),
        ("some_dag", "trial", "manual", None, "some_dag-trial"),
    ],
)  # fmt: skip
def test_names(case: tuple[str, str, str, datetime | None, str], tmp_path: Path) -> None:
    dag, run_id, kind, logical, name = case
    assert naming.run_name(dag, run_id, kind, logical) == name
    assert contract.start(Settings(home=tmp_path), name).run_id == name


def test_long_run_ids_stay_apart() -> None:
    names = {naming.run_name("retro_match", "x" * 90 + end, "manual", None) for end in "ab"}
    assert len(names) == 2 and all(len(name) <= naming.LONGEST for name in names)


def test_runs_of_one_day_have_each_its_own_clock(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    first = contract.start(settings, "night-2026-07-03", None, MOMENT)
    second = contract.start(settings, "refresh-16.28", None, MOMENT + timedelta(hours=16))
    assert (first.as_of, second.as_of) == (MOMENT, MOMENT + timedelta(hours=16))
    # cleared a week later: the name and the clock are those of its first start
    assert contract.start(settings, "night-2026-07-03", None, MOMENT + timedelta(days=7)) == first


class TestFirstSeen:
    def test_it_is_the_moment_of_seeing_and_a_repeat_gives_the_same(self, tmp_path: Path) -> None:
        settings = Settings(home=tmp_path)
        night = contract.start(settings, "night-1", None, datetime.now(UTC) - timedelta(hours=3))
        before = datetime.now(UTC).replace(microsecond=0)
        found = seen.moments(settings, night, ["a", "b"])
        assert set(found) == {"a", "b"} and all(before <= at <= datetime.now(UTC) for at in found.values())
        path = contract.run_dir(settings, "night-1") / "first-seen.json"
        path.write_text(json.dumps({"a": MOMENT.isoformat()}))
        again = seen.moments(settings, night, ["a", "c"])
        assert again["a"] == MOMENT and again["c"] >= before

    def test_a_clock_that_a_person_gave_is_kept_to(self, tmp_path: Path) -> None:
        settings = Settings(home=tmp_path)
        night = contract.start(settings, "replay", MOMENT)
        assert night.now() == MOMENT and seen.moments(settings, night, ["a"]) == {"a": MOMENT}
        assert contract.load(settings, "replay") == night

    def test_damage_is_refused(self, tmp_path: Path) -> None:
        settings = Settings(home=tmp_path)
        night = contract.start(settings, "night-1")
        (contract.run_dir(settings, "night-1") / "first-seen.json").write_text("[")
        with pytest.raises(IntegrityError, match="damaged"):
            seen.moments(settings, night, ["a"])


def test_containers_are_forgotten_everywhere_and_what_is_damaged_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    seen.save(settings, {"nca/a": ("k", "p"), "nca/b": ("k", "p")})
    seen.save_waited(settings, {"nca/a": ("k", 7), "nca/b": ("k", 8)})
    assert seen.forget(settings, {"nca/a"}) == 2
    assert (seen.load(settings), seen.waited(settings)) == ({"nca/b": ("k", "p")}, {"nca/b": ("k", 8)})
    for name in ("seen.json", "waited.json"):
        (tmp_path / "ingest" / name).write_text("[7]")
    assert (seen.load(settings), seen.waited(settings)) == ({}, {})
