"""A publish in batches leaves the store, history and log that one batch leaves, wherever the batches are cut."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.cases.publishing import intake, keeping
from pipeline.cases.publishing.stage import publish
from pipeline.settings import Settings
from pipeline.store.duty_tables import Flag
from pipeline.store.opening import Store, open_store
from pipeline.store.tables import Case
from pipeline.store.types import BANDS, Base
from tests.pipeline.cases import samples
from tests.pipeline.cases.conftest import Clock
from tests.pipeline.cases.samples import assessment, case_of, link, night, referral, referral_row

CASES = 24
NUMBERED = {"touched": 1, "flag_tallies": 1}
"""Tables whose first column counts statements: what changed is told once for each, in whatever order."""


def everything(settings: Settings) -> dict[str, list[str]]:
    """All rows of all tables after two publishes."""
    store = open_store(settings, Clock())
    publish(store, samples.commit(store, night(), assessments=[assessment(n) for n in range(CASES)]), night())
    rows, links = second_night()
    referrals = [referral_row(n, compartment="ucol" if n in (3, 11) else None) for n in range(CASES + 6)]
    lake = samples.commit(store, night(1), assessments=rows, links=links, referrals=referrals)
    publish(store, lake, night(1))
    with store.reader() as session:
        found = {
            name: sorted({repr(row[NUMBERED.get(name, 0) :]) for row in session.execute(sa.select(table))})
            for name, table in Base.metadata.tables.items()
        }
        assert session.get_one(Case, case_of(1)).outcome == "duplicate"  # joined to a case of another batch
        assert session.get_one(Case, case_of(3)).compartment == "ucol"
    store.close()
    return found


def second_night() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Raised, lowered and new cases in up to three versions, one that joins another, links between all."""
    rnd = random.Random(11)
    rows = []
    for number in range(CASES + 6):
        for version in range(2, 2 + rnd.randrange(1, 4)) if number != 1 else ():
            named = [referral(rnd.choice([3, 5, 11])), case_of(rnd.choice([3, 5])), f"L-{rnd.choice([3, 9])}-4-user_id"]
            rests_on = [{"table": "any", "id": name} for name in rnd.sample(named, rnd.randrange(3))]
            flags = [{"rule": "police", "label": "Police officer", "reason": "Why", "evidence": rests_on}]
            told = [{"kind": "lado", "label": "LADO", "reason": "Why", "authority": f"Place {number % 3}"}]
            rows.append(assessment(
                number, rnd.choice(BANDS), version=version, at=night(1), score=float(rnd.randrange(100)),
                flags=flags if rnd.random() < 0.4 else [], notifications=told if rnd.random() < 0.4 else [],
                changes={"reasons_new": ["Reason new"]},
            ))  # fmt: skip
    into = next(row for row in rows if row["case_id"] == case_of(20))
    into["summary"] = into["summary"] | {"joined_cases": [case_of(1)]}
    into["referrals"] = [referral(20), referral(1)]
    links = [link(a, rnd.randrange(CASES), kind="user_id", at=night(1)) for a in range(CASES) if a % 3 == 0]
    return rows, links


@pytest.mark.parametrize("cut", [(1, 1), (5, 3)])
def test_the_same_in_any_batches(
    sqlite_template: Path, policy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: tuple[int, int]
) -> None:
    homes = [tmp_path / "whole", tmp_path / "parts"]
    for home in homes:
        home.mkdir()
        shutil.copy(sqlite_template, home / "cases.sqlite")
    one, other = (Settings(home=home, policy=policy_folder, force="42") for home in homes)
    whole = everything(one)
    for module, name, number in ((intake, "BATCH", cut[0]), (intake, "READ", cut[1]), (keeping, "ROWS", cut[1])):
        monkeypatch.setattr(module, name, number)
    parts = everything(other)
    for name, rows in whole.items():
        assert parts[name] == rows, name
    assert not any((other.runs_dir / night(1).run_id).glob("*")), "what was kept for the run is gone"


def test_a_flag_that_came_and_went_within_one_publish_waits_for_somebody(sqlite_store: Store) -> None:
    flag = {"rule": "police", "label": "Police officer", "reason": "Why", "evidence": []}
    rows = [assessment(1, version=1, flags=[flag]), assessment(1, "high", version=2), assessment(2)]
    samples.publish_rows(sqlite_store, assessments=rows)
    with sqlite_store.reader() as session:
        assert [session.get_one(Case, case_of(n)).unacknowledged for n in (1, 2)] == [True, False]
        assert [f.waiting for f in session.scalars(sa.select(Flag))] == [True]
