"""What is looked up of compartments says what reading all of them says, before a publish and whatever it does itself."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.cases.publishing.intake import Intake
from pipeline.cases.publishing.restricting import Restricted
from pipeline.lake import Lake
from pipeline.store.opening import Store
from pipeline.store.tables import Case, Link
from tests.pipeline.cases import samples
from tests.pipeline.cases.samples import assessment, case_of, link, night, referral, referral_row

CASES = 30
SECRET = (2, 7, 11, 19)


@pytest.fixture
def filled(store: Store) -> Iterator[Store]:
    """Cases of which some are restricted, with links between all."""
    chance = random.Random(3)
    pairs = [(n, chance.randrange(n)) for n in range(1, CASES)]
    samples.publish_rows(
        store,
        referrals=[referral_row(n, compartment="ucol" if n in SECRET else None) for n in range(CASES)],
        assessments=[assessment(n) for n in range(CASES)],
        links=[link(n, other) for n, other in pairs],
    )
    yield store


def items(names: list[str], chance: random.Random) -> list[dict[str, Any]]:
    """Reasons that rest on some of the names each."""
    return [
        {"label": "Reason", "evidence": [{"table": "any", "id": name} for name in chance.sample(names, 3)]}
        for _ in range(40)
    ]


def everything(session: Session, lake: Lake, intake: Intake) -> set[str]:
    """All that is in a compartment, by reading all rows."""
    rows = lake.read("referrals", ["referral_id", "compartment"]).to_pylist()
    referrals = {row["referral_id"] for row in rows if row["compartment"]}
    found = referrals | set(session.scalars(select(Case.case_id).where(Case.compartment.is_not(None))))
    found |= set(session.scalars(select(Link.link_id).where(Link.compartment.is_not(None))))
    return found | {link["link_id"] for link in intake.links if referrals & {link["left"], link["right"]}}


def test_what_is_looked_up_is_what_reading_everything_finds(filled: Store) -> None:
    chance, lake = random.Random(5), Lake(filled.settings.lake_dir)
    fresh = [link(2, 25, kind="user_id", at=night(1)), link(3, 25, kind="user_id", at=night(1))]
    names = [*(referral(n) for n in range(CASES)), *(case_of(n) for n in range(CASES)), "F-1", "M-1"]
    with filled.session() as session:
        names += [*session.scalars(select(Link.link_id)), *(row["link_id"] for row in fresh)]
        intake = Intake(links=fresh, lake=lake.now())
        whole, restricted = everything(session, lake, intake), Restricted(session, intake)
        open_, secret = session.get_one(Case, case_of(1)), session.get_one(Case, case_of(2))
        asked = set[str]()
        for _ in range(6):
            some = items(chance.sample(names, 25), chance)
            restricted.learn(some)
            asked.update(row["id"] for item in some for row in item["evidence"])
            assert restricted.hidden(open_) == asked & whole
            assert restricted.hidden(secret) == set()
        assert asked & whole and len(whole) > 3 * len(SECRET)
        session.rollback()


def test_what_a_publish_hides_itself_is_as_it_was_before_it(filled: Store) -> None:
    """A later batch is told what an earlier one was told: where the batches are cut makes no difference."""
    with filled.session() as session:
        restricted = Restricted(session, Intake(lake=Lake(filled.settings.lake_dir).now()))
        case = session.get_one(Case, case_of(4))
        links = list(session.scalars(select(Link.link_id).where(Link.right_referral == referral(4))))
        links += session.scalars(select(Link.link_id).where(Link.left_referral == referral(4)))
        before = set(session.scalars(select(Link.link_id).where(Link.compartment.is_not(None))))
        case.compartment = "ucol"
        assert restricted.withdraw(case) is None
        hidden = set(session.scalars(select(Link.link_id).where(Link.compartment.is_not(None))))
        assert set(links) <= hidden and set(links) - before
        restricted.learn([{"evidence": [{"id": name} for name in (case.case_id, *sorted(hidden))]}])
        assert restricted.hidden(session.get_one(Case, case_of(1))) == before
        session.rollback()


def test_what_is_read_follows_what_is_named(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of lake and store twice, and of the lake by id only."""
    wanted, read = list[Any](), Lake.read

    def watched(self: Lake, table: str, *args: Any, **given: Any) -> Any:
        wanted.append((table, given["where"][1].to_pylist()))
        return read(self, table, *args, **given)

    monkeypatch.setattr(Lake, "read", watched)
    with filled.session() as session:
        restricted = Restricted(session, Intake(lake=Lake(filled.settings.lake_dir).now()))
        named = [{"evidence": [{"id": referral(2)}, {"id": referral(3)}]}]
        for _ in range(3):
            restricted.learn(named)
        assert wanted == [("referrals", sorted([referral(2), referral(3)]))]
        assert restricted.hidden(session.get_one(Case, case_of(1))) == {referral(2)}
