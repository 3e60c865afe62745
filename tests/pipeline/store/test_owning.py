"""On a real PostgreSQL server: the role that works with the case store cannot alter its audit log or its tables."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.audit import log as audit_log
from pipeline.cases.work import notes
from pipeline.errors import DependencyError, SettingsError
from pipeline.settings import Settings
from pipeline.store.actors import SYSTEM
from pipeline.store.opening import Store, open_store
from pipeline.store.owning import owner_url
from tests.pipeline.cases.conftest import ANALYST, SERVER, _administer
from tests.pipeline.cases.samples import assessment, case_of, publish_rows

FORBIDDEN = (
    "ALTER TABLE audit DISABLE TRIGGER ALL",
    "DROP TRIGGER audit_no_change ON audit",
    "SET session_replication_role = replica",
    "CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "UPDATE audit SET reason = 'x'",
    "DELETE FROM audit",
    "TRUNCATE audit",
    "TRUNCATE cases CASCADE",
    "DELETE FROM audit_head",
    "INSERT INTO audit_head (head_id, seq, hash) VALUES (2, 0, '')",
    "UPDATE alembic_version SET version_num = '0001'",
    "DROP TABLE audit",
    "CREATE TABLE mine (a integer)",
    "ALTER ROLE CURRENT_USER SUPERUSER",
)


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings with a database that one role owns and another works with, as `deploy/postgres-init.sql` makes them."""
    if not SERVER:
        pytest.skip("TRIAGE_TEST_POSTGRESQL is not set: roles exist on PostgreSQL only")
    home, name = tmp_path_factory.mktemp("roles"), f"roles_{uuid.uuid4().hex}"
    owner, working = f"{name}_owner", f"{name}_works"
    for role in (owner, working):
        _administer(SERVER, f"CREATE ROLE {role} LOGIN PASSWORD 'synthetic'")
    _administer(SERVER, f"CREATE DATABASE {name} OWNER {owner}")
    _administer(SERVER, f"REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC")
    _administer(SERVER, f"GRANT CONNECT ON DATABASE {name} TO {working}")
    url = sa.make_url(SERVER).set(database=name, password="synthetic")
    path = home / "owner"
    path.write_text(url.set(username=owner).render_as_string(hide_password=False))
    text = url.set(username=working).render_as_string(hide_password=False)
    yield Settings(home=home, force="42", cases_url=text, cases_owner_url_file=path)
    _administer(SERVER, f"DROP DATABASE {name} WITH (FORCE)")
    for role in (owner, working):
        _administer(SERVER, f"DROP ROLE {role}")


@pytest.fixture(scope="module")
def works(roles: Settings) -> Iterator[Store]:
    """The store as a service opens it: without the owner's URL, after the first task has made it."""
    services = replace(roles, cases_owner_url_file=None)
    with pytest.raises(DependencyError, match="may not change them"):
        open_store(services)
    for _ in range(2):  # the first task runs at every start
        open_store(roles).close()
    opened = open_store(services)
    yield opened
    opened.close()


@pytest.mark.postgresql
def test_the_working_role_works(works: Store) -> None:
    publish_rows(works, assessments=[assessment(1)])
    with works.session() as session:
        notes.add(session, ANALYST, case_of(1), "[synthetic note]", version=1)
    assert audit_log.verify(works, SYSTEM).entries >= 2


@pytest.mark.postgresql
@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_working_role_may_not(works: Store, statement: str) -> None:
    refused = pytest.raises(sa.exc.ProgrammingError, match="InsufficientPrivilege")
    with refused, works.engine.begin() as connection:
        connection.execute(sa.text(statement))


@pytest.mark.postgresql
def test_the_working_role_owns_nothing_and_is_no_superuser(works: Store) -> None:
    with works.engine.connect() as connection:
        me = "(SELECT oid FROM pg_roles WHERE rolname = current_user)"
        for table, column in (
            ("pg_class", "relowner"),
            ("pg_proc", "proowner"),
            ("pg_namespace", "nspowner"),
            ("pg_database", "datdba"),
        ):
            assert connection.scalar(sa.text(f"SELECT count(*) FROM {table} WHERE {column} = {me}")) == 0
        rights = "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles"
        assert not any(connection.execute(sa.text(f"{rights} WHERE rolname = current_user")).one())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("nonsense", "no database URL"),
        ("postgresql://owner@127.0.0.1/other", "another database"),
        ("postgresql://works@127.0.0.1/cases", "are the same"),
    ],
)
def test_an_owner_that_cannot_be(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "owner"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match=words):
        owner_url(Settings(cases_owner_url_file=path), sa.make_url("postgresql://works@127.0.0.1/cases"))
