"""What somebody may not know of is the same, looked up for some ids and as a whole."""

from __future__ import annotations

import random

import pytest
import sqlalchemy as sa

from pipeline.cases.views import case as view
from pipeline.cases.views import hiding
from pipeline.cases.work import retention
from pipeline.store.actors import Actor
from pipeline.store.opening import Store
from pipeline.store.tables import Case, CaseReferral, Link, Tombstone
from tests.pipeline.cases import samples
from tests.pipeline.cases.conftest import ANALYST, SUPERVISOR

NOBODY = Actor("odd", "Odd", frozenset({"analyst"}), frozenset({"other"}))
CASES = 20


def filled(store: Store, dice: random.Random) -> None:
    """Restricted cases and links, links between all, and an erased case."""
    links = [samples.link(n, dice.randrange(CASES)) for n in range(CASES)]
    referrals = [samples.referral_row(n, compartment="ucol") for n in dice.sample(range(1, CASES), 6)]
    rows = [samples.assessment(n) for n in range(CASES)]
    samples.publish_rows(store, assessments=rows, links=links, referrals=referrals)
    with store.session() as session:
        some = [samples.case_of(n) for n in dice.sample(range(1, CASES), 3)]
        session.execute(sa.update(Case).where(Case.case_id.in_(some)).values(compartment=dice.choice(["other", None])))
    with store.session() as session:
        case = session.get_one(Case, samples.case_of(0))
        case.is_open, case.state = False, "closed"
        session.flush()
        retention.erase(session, SUPERVISOR, case.case_id, reason_code="court_order", version=case.version)


@pytest.mark.parametrize("seed", range(4))
def test_of_some_ids_those_are_hidden_that_are_hidden_of_all(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    filled(store, dice)
    with store.reader() as session:
        cases = {c.case_id: c.compartment for c in session.scalars(sa.select(Case))}
        ids = dict(cases)
        ids |= {link.link_id: link.compartment for link in session.scalars(sa.select(Link))}
        ids |= {r.referral_id: cases[r.case_id] for r in session.scalars(sa.select(CaseReferral)) if r.case_id in cases}
        erased = {r for listed in session.scalars(sa.select(Tombstone.referrals)) for r in listed}
        assert erased and not erased.issubset(ids)
        for actor in (ANALYST, NOBODY):
            slow = {name for name, where in ids.items() if where not in {None, *actor.compartments}} | erased
            asked = [*ids, *erased, "nothing of ours"]
            assert hiding.among(session, actor, asked) == slow and slow
            some = dice.sample(asked, 15)
            assert hiding.among(session, actor, some) == slow.intersection(some)
            referrals = {*session.scalars(sa.select(CaseReferral.referral_id)), *erased}
            whole = hiding.referrals(session, actor)
            assert hiding.referrals_among(session, actor, referrals) == whole == slow & referrals
            assert hiding.anything(session, actor)
        assert hiding.among(session, SUPERVISOR, asked) == set() and not hiding.anything(session, SUPERVISOR)
        assert hiding.referrals_among(session, SUPERVISOR, referrals) == hiding.referrals(session, SUPERVISOR) == erased


def test_more_ids_than_one_statement_takes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(store, random.Random(1))
    with store.reader() as session:
        ids = {*session.scalars(sa.select(Case.case_id)), *session.scalars(sa.select(CaseReferral.referral_id))}
        whole = hiding.among(session, ANALYST, ids)
        monkeypatch.setattr(hiding, "CHUNK", 3)
        assert hiding.among(session, ANALYST, ids) == whole and len(whole) > 3


def test_a_store_with_nothing_restricted_hides_nothing(store: Store) -> None:
    samples.publish_rows(store, assessments=[samples.assessment(1)], referrals=[samples.referral_row(1)])
    with store.session() as session:
        assert not hiding.anything(session, ANALYST)
        assert view.read(session, ANALYST, samples.case_of(1)).reasons
