"""A case store on each database, a clock that tests set, and people in each role.

PostgreSQL is used where TRIAGE_TEST_POSTGRESQL names a server (`.ci/postgres` starts one); the run has a database
of its own, emptied before every test.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.people import users
from pipeline.settings import ROOT, Settings
from pipeline.store.actors import Actor
from pipeline.store.opening import Store, open_store
from pipeline.store.recording import GENESIS
from pipeline.store.types import Base
from tests.pipeline.cases import samples

Open = Callable[[], Store]


class Clock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.at: datetime = samples.START + timedelta(hours=6)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **span: float) -> None:
        self.at += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def policy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The policy files with password hashes that cost nothing."""
    folder = tmp_path_factory.mktemp("policy") / "policy"
    shutil.copytree(ROOT / "policy", folder)
    text = (folder / "cases.yaml").read_text()
    for old, new in (
        ("time_cost: 3", "time_cost: 1"),
        ("memory_kib: 65536", "memory_kib: 8"),
        ("parallelism: 4", "parallelism: 1"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "cases.yaml").write_text(text)
    return folder


SERVER = os.environ.get("TRIAGE_TEST_POSTGRESQL", "")
DATABASES = ["sqlite", *([pytest.param("postgresql", marks=pytest.mark.postgresql)] if SERVER else [])]
"""Without a server `test_store.py` skips once and says so, instead of a line for every test."""


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("template")
    open_store(Settings(home=home)).close()
    return home / "cases.sqlite"


@pytest.fixture(scope="session")
def postgresql_database() -> Iterator[str]:
    """URL of a database of this test run, migrated once."""
    name = f"triage_{uuid.uuid4().hex}"
    _administer(SERVER, f'CREATE DATABASE "{name}"')
    url = sa.make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    open_store(Settings(cases_url=url)).close()
    yield url
    _administer(SERVER, f'DROP DATABASE "{name}" WITH (FORCE)')


EMPTIED = """
DO $$ DECLARE made regclass; BEGIN {deleted}
FOR made IN SELECT oid FROM pg_class WHERE relkind = 'S' LOOP PERFORM setval(made, 1, false); END LOOP; END $$
"""
"""Empties tables of few rows and begins their numbers anew; TRUNCATE makes new files for each table and index, which takes longer
than most tests."""


@pytest.fixture(params=DATABASES)
def case_settings(request: pytest.FixtureRequest, tmp_path: Path, policy_folder: Path) -> Iterator[Settings]:
    """Settings of a store with tables and no rows, on each database in turn."""
    home = tmp_path / "home"
    home.mkdir()
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), home / "cases.sqlite")
        yield Settings(home=home, policy=policy_folder, force="42")
        return
    url = request.getfixturevalue("postgresql_database")
    _administer(
        url,
        "SET session_replication_role = replica",  # the audit log is append-only for everybody else
        EMPTIED.format(deleted=" ".join(f"DELETE FROM {table};" for table in Base.metadata.tables)),
        f"INSERT INTO audit_head (head_id, seq, hash) VALUES (1, 0, '{GENESIS}')",
    )
    yield Settings(home=home, policy=policy_folder, force="42", cases_url=url)


@pytest.fixture
def store(case_settings: Settings, clock: Clock) -> Iterator[Store]:
    opened = open_store(case_settings, clock)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_store(tmp_path: Path, policy_folder: Path, sqlite_template: Path, clock: Clock) -> Iterator[Store]:
    """For what does not depend on the database."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(sqlite_template, home / "cases.sqlite")
    opened = open_store(Settings(home=home, policy=policy_folder, force="42"), clock)
    yield opened
    opened.close()


ANALYST = Actor("ana", "Ana Lyst", frozenset({"analyst"}))
OTHER = Actor("bob", "Bob Other", frozenset({"analyst"}))
UCOL = Actor("una", "Una Cover", frozenset({"analyst"}), frozenset({"ucol"}))
SUPERVISOR = Actor("sue", "Sue Pervisor", frozenset({"supervisor"}), frozenset({"ucol"}))
DMI = Actor("dan", "Dan Mi", frozenset({"dmi"}))
AUDITOR = Actor("aud", "Aud Itor", frozenset({"auditor"}))
ADMINISTRATOR = Actor("adm", "Ada Min", frozenset({"administrator"}))
PEOPLE = (ANALYST, OTHER, UCOL, SUPERVISOR, DMI, AUDITOR, ADMINISTRATOR)
PASSWORD = "correct horse battery"


def add_people(store: Store) -> None:
    """Accounts of PEOPLE with PASSWORD."""
    with store.session() as session:
        users.first(session, ADMINISTRATOR.user_id, ADMINISTRATOR.name, PASSWORD)
    with store.session() as session:
        for person in PEOPLE:
            if person is not ADMINISTRATOR:
                users.add(
                    session, ADMINISTRATOR, person.user_id, person.name,
                    roles=person.roles, compartments=person.compartments, password=PASSWORD,
                )  # fmt: skip


def _administer(url: str, *statements: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()
