"""Opening the case store: SQLite in WAL mode by default, PostgreSQL by URL; tables are made and migrated on demand.

`Store.session()` is one transaction: it commits at the end of its block, with its audit entries, or leaves nothing.
On SQLite it begins IMMEDIATE, so that reading a case and acting on it cannot be interleaved; on PostgreSQL rows that
will change are locked (`SELECT ... FOR UPDATE`). `Store.reader()` is for lists that log nothing and change nothing.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.orm import Session

from pipeline import files
from pipeline.errors import BusyError, ConflictError, DependencyError, SettingsError, UsageError
from pipeline.settings import Settings
from pipeline.sql import compose
from pipeline.store import owning
from pipeline.store import recording as audit
from pipeline.store.refusals import HiddenCaseError, RefusalError
from pipeline.store.rules import CaseRules

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0018"
"""The newest migration: a store at this version opens without loading Alembic."""
BUSY_MILLISECONDS = 30_000
_ADVISORY_LOCK = 0x7472_6961  # any fixed number: the one lock under which PostgreSQL stores are migrated


class Store:
    """An open case store. One instance may be shared by threads; each session belongs to one thread."""

    def __init__(self, settings: Settings, engine: sa.Engine, clock: Callable[[], datetime]) -> None:
        self.settings = settings
        self.engine = engine
        self.clock = clock
        self.rules = CaseRules.load(settings)
        self._reading = engine.execution_options(triage_begin="DEFERRED")

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction with its audit entries; commits at the end of the block, or nothing happened.

        A refused attempt is logged in a transaction of its own before the error goes on.
        Raises DependencyError when the database cannot be reached or stays locked, ConflictError when two
        transactions met in a way that only one can win.
        """
        with self._open(self.engine) as session:
            try:
                yield session
                session.commit()
            except (RefusalError, HiddenCaseError) as refusal:
                session.rollback()
                audit.record(
                    session, refusal.actor, "consultation", "refused", case_id=refusal.case_id, object_=refusal.action
                )
                session.commit()
                raise

    @contextmanager
    def reader(self) -> Iterator[Session]:
        """A transaction that only reads and is never committed; it waits for nobody and nobody waits for it."""
        with self._open(self._reading) as session:
            session.info["read_only"] = True
            yield session  # closing rolls back, and leaves the rows readable

    @contextmanager
    def listing(self) -> Iterator[Session]:
        """For pages of the queue: `reader()`, or `session()` where the policy has listings logged too."""
        logged = self.rules.data["consultation"]["log_listings"]
        with self.session() if logged else self.reader() as session:
            yield session

    @contextmanager
    def _open(self, engine: sa.Engine) -> Iterator[Session]:
        session = _Logged(engine, expire_on_commit=False, autoflush=True, info={"store": self})
        try:
            yield session
        except exc.IntegrityError as error:
            raise ConflictError("Somebody else has just made the same entry.", "Reload and try again.") from error
        except (exc.DataError, UnicodeEncodeError) as error:
            raise UsageError("A value has characters or a size that cannot be stored.") from error
        except exc.OperationalError as error:
            raise DependencyError(
                f"The case store did not answer: {_first_line(error)}.", "Nothing was changed; try again."
            ) from error
        except exc.TimeoutError as error:  # every connection of the pool is in use
            raise BusyError(
                "Too many are using the case store at this moment.", "Nothing was changed; try again in a few seconds."
            ) from error
        finally:
            session.close()

    @property
    def dialect(self) -> str:
        """sqlite or postgresql."""
        return self.engine.dialect.name

    def checkpoint(self) -> None:
        """Bring SQLite's write-ahead log into the file and empty it: what was erased is in neither then, as far as no reader
        holds an older state. PostgreSQL frees what was erased at its own VACUUM."""
        if self.dialect == "sqlite":
            connection = self.engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.close()

    def close(self) -> None:
        self.engine.dispose()


class _Logged(Session):
    """A session of the case store, whose transactions carry their audit entries. The listeners are of the class: made for each
    session anew they cost more than a small statement."""


@contextmanager
def planned_anew(session: Session) -> Iterator[None]:
    """PostgreSQL plans every statement of the block as if it were the first.

    A plan that was made while a table was small would be kept while the block fills it, and walk all of it each time.
    """
    if session.get_bind().dialect.name != "postgresql":
        yield
        return
    connection: Any = session.connection().connection.driver_connection
    before, connection.prepare_threshold = connection.prepare_threshold, None
    try:
        yield
    finally:
        connection.prepare_threshold = before  # the connection goes back to the pool, and pages live on kept plans


def _append_audit(session: Session) -> None:
    if audit.pending(session):
        session.flush()
        audit.append_pending(session)


def _forget_audit(session: Session) -> None:
    audit.pending(session).clear()


event.listen(_Logged, "before_commit", _append_audit)
event.listen(_Logged, "after_rollback", _forget_audit)


def _first_line(error: exc.DBAPIError) -> str:
    return (str(error.orig).splitlines() or ["unknown reason"])[0]


def open_store(settings: Settings, clock: Callable[[], datetime] | None = None) -> Store:
    """Open the case store that the settings name, making or migrating its tables when needed.

    Raises SettingsError for a URL that is neither SQLite nor PostgreSQL, DependencyError when the database cannot be
    reached or was written by a newer version.
    """
    engine = _engine(settings.case_store_url)
    store = Store(settings, engine, clock or _utc_now)
    try:
        with _creation_lock(engine):
            owner = owning.owner_url(settings, engine.url)
            if owner is not None:
                _migrate_as_owner(owner, str(engine.url.username))
            elif _revision(engine) != HEAD:
                _migrate(engine)
    except exc.OperationalError as error:
        engine.dispose()
        raise DependencyError(
            f"The case store cannot be opened: {_first_line(error)}.", "TRIAGE_CASES_URL names it."
        ) from error
    except exc.ProgrammingError as error:
        engine.dispose()
        raise DependencyError(
            f"The tables of the case store are not those of this version, and this role may not change them: "
            f"{_first_line(error)}.",
            "Run the deployment's first task (`python -m deploy.init`), which has TRIAGE_CASES_OWNER_URL_FILE.",
        ) from error
    return store


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _engine(url_text: str) -> sa.Engine:
    try:
        url = sa.make_url(url_text)
    except exc.ArgumentError as error:
        raise SettingsError(
            "TRIAGE_CASES_URL is not a database URL.", "Write sqlite:///path or postgresql://..."
        ) from error
    if url.get_backend_name() == "sqlite":
        if url.database:
            files.make_folder(Path(url.database).resolve().parent)
        engine = sa.create_engine(url, connect_args={"timeout": BUSY_MILLISECONDS / 1000})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if url.get_backend_name() == "postgresql":
        engine = sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_size=20)
        event.listen(engine, "connect", _set_up_postgresql)
        return engine
    raise SettingsError(f"The case store cannot be {url.get_backend_name()}.", "Use SQLite or PostgreSQL.")


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: the driver's own would come too late for IMMEDIATE
    cursor = connection.cursor()
    for pragma in (
        compose("PRAGMA busy_timeout={milliseconds}", milliseconds=BUSY_MILLISECONDS),
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",  # a decision that was shown as saved survives a power cut
        "PRAGMA foreign_keys=ON",
        "PRAGMA secure_delete=ON",  # erased is overwritten, not only unlinked
        "PRAGMA cache_size=-65536",
        "PRAGMA temp_store=MEMORY",
    ):
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    mode = connection.get_execution_options().get("triage_begin", "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {mode}")


def _set_up_postgresql(connection: Any, _: Any) -> None:
    connection.execute("SET TIME ZONE 'UTC'")
    # Compiling a statement costs more than any of ours takes: it is begun where one is taken for dear, and none is run for long.
    connection.execute("SET jit = off")
    connection.commit()


@contextmanager
def _creation_lock(engine: sa.Engine) -> Iterator[None]:
    """Only one process at a time makes a SQLite file and switches it to WAL; PostgreSQL locks inside `_migrate`."""
    database = engine.url.database
    if engine.dialect.name != "sqlite" or not database or database == ":memory:":
        yield
        return
    path = Path(database)
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.touch(mode=0o600)
        _make_private(path)
        yield


def _make_private(path: Path) -> None:
    """Take from others the right to read a store that a backup was restored to, or an older version made."""
    for held in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        if held.exists() and held.stat().st_mode & 0o077:
            held.chmod(0o600)


def _revision(engine: sa.Engine) -> str | None:
    with engine.connect() as connection:
        return _stored_revision(connection)


def _stored_revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return revision


def _migrate_as_owner(url: sa.URL, role: str) -> None:
    """Bring the store to HEAD with the rights of its owner, and give `role` what it needs to work with it."""
    engine = _engine(url.render_as_string(hide_password=False))
    try:
        _migrate(engine)
        with engine.begin() as connection:
            owning.grant(connection, role)
    finally:
        engine.dispose()


def _migrate(engine: sa.Engine) -> None:
    """Bring the store to HEAD in one transaction. Raises DependencyError for a store of a newer version."""
    # Alembic is slow to load, and a SQLite store that is up to date is opened without it
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:n)"), {"n": _ADVISORY_LOCK})
        if _stored_revision(connection) == HEAD:
            return
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise DependencyError(
                f"The case store is of version {_stored_revision(connection)}, this program knows up to {HEAD}.",
                "Use the newer program, or restore a backup.",
            ) from error
