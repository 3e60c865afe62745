"""A release beyond the policy waits for a named person; their word is logged, and decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from hashsets import cli as hashsets_cli
from hashsets.release import approving, publishing, releases
from pipeline.approval import cli, deciding
from pipeline.approval import stage as releasing
from pipeline.approval.page import page
from pipeline.errors import ConflictError, IntegrityError, PermissionDeniedError, UsageError
from pipeline.settings import Settings
from pipeline.store.actors import Actor
from pipeline.store.opening import Store
from pipeline.store.people_tables import AuditEntry
from pipeline.watch import conditions
from tests.pipeline.approval.conftest import OWN, deliver
from tests.pipeline.matching.synthetic_night import known, start

DMI = Actor("d", "D. Mi", frozenset({"dmi"}))
Triage = Callable[..., str]


@pytest.fixture
def waiting(strict: Settings) -> Settings:
    """Release 2 is built and waits: six new media, and three with another category."""
    deliver(strict, "second", [*(known(i) for i in range(50, 56)), *(known(i, category=3) for i in range(3))], "later")
    counts = releasing.run(strict, start(strict, "later")).counts
    assert (counts["published"], counts["waits"], counts["new"], counts["recategorised"]) == (0, 1, 6, 3)
    return strict


@pytest.fixture
def triage(strict: Settings) -> Triage:
    """A command of `triage hashset`, and what it said."""

    def run(*words: str) -> str:
        commands: dict[str, click.Command] = dict(hashsets_cli.hashset.commands)
        result = CliRunner().invoke(commands[words[0]], words[1:], obj=strict)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run


def audited(store: Store) -> list[tuple[str, str, str | None, str | None]]:
    with store.reader() as session:
        found = session.scalars(sa.select(AuditEntry).where(AuditEntry.action.like("hashset.%")))
        return [(e.action, e.user_id, e.object, e.reason) for e in found]


def current(settings: Settings) -> int:
    found = releases.pointer(settings)
    assert found is not None
    return found.number


def test_small_differences_pass_and_no_way_leads_past_a_large_one(waiting: Settings) -> None:
    assert current(waiting) == 1
    assert publishing.publish(waiting) is None
    assert releasing.run(waiting, start(waiting, "later")).counts["published"] == 0
    deliver(waiting, "third", [known(60)], "last")
    assert (
        releasing.run(waiting, start(waiting, "last")).counts["waits"] == 1
    )  # built anew with what waited: judged anew
    found = deciding.open_one(waiting)
    assert found is not None and found.difference.new == {"A": 7} and found.state == approving.WAITS


def test_without_the_cases_the_store_alone_holds_it_back(strict: Settings) -> None:
    from hashsets.release import building

    deliver(strict, "second", [known(i) for i in range(50, 56)], "later")
    assert building.run(strict, start(strict, "later")).counts["published"] == 0
    found = deciding.open_one(strict)
    assert found is not None and found.difference.moved is None and "not computed" in page(found)
    releasing.run(strict, start(strict, "later"))
    found = deciding.open_one(strict)
    assert found is not None and found.difference.moved == {}


def test_approving_publishes_and_is_logged(waiting: Settings, store: Store, triage: Triage) -> None:
    shown = triage("approval")
    for text in (
        "waits for a person",
        "| A to C | 3 |",
        "6 new media",
        "30.0%",
        "| demo | second.json | 9 |",
        "band:** none",
    ):
        assert text in shown, shown
    assert "current" in triage("approve", "2", "--reason", "checked with the sender")
    assert current(waiting) == 2
    assert audited(store) == [("hashset.approve", OWN, "release 2", "checked with the sender")]
    assert "No release waits" in triage("approval")


def test_refusing_keeps_the_old_one_until_somebody_approves(waiting: Settings, store: Store, triage: Triage) -> None:
    triage("refuse", "2", "--reason", "a frame of a film")
    assert "refused" in triage("publish") and current(waiting) == 1
    assert "Test Person" in triage("approval") and "a frame of a film" in triage("approval")
    deciding.decide(store, DMI, 2, False, "the same word again")
    triage("approve", "2", "--reason", "the sender confirms it")
    assert current(waiting) == 2
    assert [entry[0] for entry in audited(store)] == ["hashset.refuse", "hashset.approve"]


def test_who_may_and_with_what(waiting: Settings, store: Store) -> None:
    with pytest.raises(PermissionDeniedError):
        deciding.decide(store, Actor("a", "A", frozenset({"analyst"})), 2, True, "x")
    with pytest.raises(UsageError, match="reason"):
        deciding.decide(store, DMI, 2, True, " ")
    with pytest.raises(UsageError, match="Release 3"):
        deciding.decide(store, DMI, 3, True, "x")
    assert audited(store) == [] and current(waiting) == 1
    deciding.decide(store, DMI, 2, True, "x")
    with pytest.raises(ConflictError):
        deciding.decide(store, DMI, 2, False, "too late")


def test_a_decision_belongs_to_one_manifest(waiting: Settings) -> None:
    release = approving.built(waiting)
    assert release is not None
    path = approving._path(waiting, release)
    path.write_text(path.read_text().replace('"state": "waits"', '"state": '))
    with pytest.raises(IntegrityError, match="decided"):
        publishing.publish(waiting)
    path.unlink()
    assert publishing.publish(waiting) is None


def test_the_import_command_says_what_waits(strict: Settings, store: Store, triage: Triage) -> None:
    from tests.pipeline.matching.synthetic_night import write_set

    write_set(strict, "second", [known(i) for i in range(50, 56)])
    said = triage("import")
    assert "waits for a person" in said and "6 new media" in said and current(strict) == 1
    assert cli.approval.help and "approval" in cli.approval.help


def test_a_release_that_was_refused_waits_for_nobody(waiting: Settings, store: Store) -> None:
    tomorrow, rules = datetime.now(UTC) + timedelta(days=1), {"delivery_waits_hours": 12}
    (alarm,) = conditions.deliveries(waiting, rules, tomorrow)
    assert alarm.facts["release"] == 2
    deciding.decide(store, DMI, 2, False, "asked the sender")
    assert list(conditions.deliveries(waiting, rules, tomorrow)) == []
    (waiting.releases_dir / "2" / "manifest.json").write_text("damaged")
    assert len(list(conditions.deliveries(waiting, rules, tomorrow))) == 1  # somebody looks at it
