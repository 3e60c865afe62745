"""Opening the store: tables match migrations, both databases, clear errors."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.orm import Session

from pipeline.errors import BusyError, ConflictError, DependencyError, SettingsError, UsageError
from pipeline.settings import Settings
from pipeline.store.opening import HEAD, MIGRATIONS, Store, open_store
from pipeline.store.tables import Note
from pipeline.store.types import Base
from tests.pipeline.cases.conftest import SERVER
from tests.pipeline.cases.samples import START


def test_a_postgresql_server_is_here() -> None:
    if not SERVER:
        pytest.skip("TRIAGE_TEST_POSTGRESQL is not set: the case store is tested on SQLite only")
    assert SERVER.startswith("postgresql")


def test_the_newest_migration_is_the_one_that_the_store_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_migrations_make_exactly_the_tables(
    store: Store, tmp_path: Path, migrated: Callable[[sa.Engine], None]
) -> None:
    """On SQLite in a store of its own: that of a test may be a copy of one that they made."""
    engine = store.engine if store.dialect == "postgresql" else sa.create_engine(f"sqlite:///{tmp_path}/anew.sqlite")
    migrated(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_stores_of_tests_are_what_the_migrations_make(
    tmp_path: Path, migrated: Callable[[sa.Engine], None]
) -> None:
    for name in ("first", "copy"):
        open_store(Settings(home=tmp_path / name)).close()
    (tmp_path / "anew").mkdir()
    engine = sa.create_engine(f"sqlite:///{tmp_path}/anew/cases.sqlite")
    migrated(engine)
    engine.dispose()

    def whole(name: str) -> list[str]:
        with closing(sqlite3.connect(tmp_path / name / "cases.sqlite")) as connection:
            return sorted(connection.iterdump())  # alembic makes indexes in any order

    assert len(whole("anew")) > 50
    assert whole("copy") == whole("first") == whole("anew")


def test_sqlite_is_durable_and_private(sqlite_store: Store) -> None:
    with sqlite_store.engine.connect() as connection:
        pragmas = {
            p: connection.exec_driver_sql(f"PRAGMA {p}").scalar()
            for p in ("journal_mode", "synchronous", "secure_delete")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}


def test_postgresql_compiles_no_statement(store: Store) -> None:
    """Compiling takes longer than any statement of ours."""
    if store.dialect == "postgresql":
        with store.engine.connect() as connection:
            assert connection.scalar(sa.text("SHOW jit")) == "off"


def test_a_new_store_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    store = open_store(Settings(home=tmp_path / "home"))
    store.close()
    assert stat.S_IMODE((tmp_path / "home" / "cases.sqlite").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("url", "words"),
    [("mysql://x/y", "cannot be mysql"), ("nonsense", "not a database URL")],
)
def test_other_databases_are_refused(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        open_store(Settings(home=tmp_path, cases_url=url))


def test_a_server_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="cannot be opened"):
        open_store(Settings(home=tmp_path, cases_url="postgresql://nobody@127.0.0.1:1/none"))


def test_a_store_of_a_newer_version_is_refused(sqlite_store: Store) -> None:
    with sqlite_store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DependencyError, match="9999"):
        open_store(sqlite_store.settings)


def test_an_entry_made_twice_is_a_conflict(store: Store) -> None:
    def add(session: Session) -> None:
        session.add(Note(note_id=1, case_id="C", at=START, by="x", text="y"))

    with store.session() as session:
        add(session)
    with pytest.raises(ConflictError), store.session() as session:
        add(session)


def test_text_that_a_database_cannot_hold_is_a_usage_error(store: Store) -> None:
    if store.dialect == "postgresql":
        with pytest.raises(UsageError, match="cannot be stored"), store.session() as session:
            session.add(Note(case_id="C", at=START, by="x", text="\0"))
    with pytest.raises(UsageError, match="cannot be stored"), store.session() as session:
        session.add(Note(case_id="C", at=START, by="x", text="\ud800"))


def test_a_moment_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(sa.exc.StatementError, match="time zone"), store.session() as session:
        session.add(Note(case_id="C", at=START.replace(tzinfo=None), by="x", text="y"))


def test_a_pool_without_a_free_connection_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as a fault of the program: whoever asks is told to come back."""
    from sqlalchemy import exc

    store = open_store(settings)

    def exhausted(*_: object, **__: object) -> None:
        raise exc.TimeoutError("QueuePool limit reached")

    with pytest.raises(BusyError, match="Too many"), store.session() as session:
        monkeypatch.setattr(session, "connection", exhausted)
        session.connection()
    store.close()
