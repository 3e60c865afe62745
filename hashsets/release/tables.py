"""Tables of a release's DuckDB file, and the one way to open it for reading.

Every row that came to stand at some time is there for good: `valid_to` closes an opinion that was superseded or
withdrawn, nothing is deleted. `release` is the release in which a row first appeared.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from hashsets.algorithms import ALL, StoredHash
from hashsets.release import canaries
from pipeline.errors import DependencyError
from pipeline.settings import Settings
from pipeline.sql import Sql, compose, each, joined

_HASH = {
    a.name: compose(
        "CREATE TABLE {table} (media_key BIGINT NOT NULL, release INTEGER NOT NULL, {words}{whole})",
        table=a.table,
        words=each("{name} UBIGINT NOT NULL", a.columns),
        whole=compose(", {name} BLOB NOT NULL", name=a.name) if a.opaque else Sql(""),
    )
    for a in ALL
}

_HASH_TABLES = frozenset(a.table for a in ALL)

TABLES = (
    """CREATE TABLE source (
        source_id VARCHAR NOT NULL, name VARCHAR NOT NULL, owner VARCHAR NOT NULL, kind VARCHAR NOT NULL,
        jurisdiction VARCHAR NOT NULL, category_map VARCHAR NOT NULL, category_map_sha256 VARCHAR NOT NULL,
        origin VARCHAR NOT NULL, enabled BOOLEAN NOT NULL, handling VARCHAR NOT NULL)""",
    """CREATE TABLE category_map (
        source_id VARCHAR NOT NULL, country VARCHAR NOT NULL, raw_category VARCHAR NOT NULL,
        category VARCHAR NOT NULL, label VARCHAR NOT NULL)""",
    """CREATE TABLE set_release (
        set_id INTEGER NOT NULL, import_key VARCHAR NOT NULL, source_id VARCHAR NOT NULL,
        file_sha256 VARCHAR NOT NULL, file_name VARCHAR NOT NULL, reader VARCHAR NOT NULL,
        declared_model VARCHAR NOT NULL, country VARCHAR NOT NULL, entity VARCHAR NOT NULL,
        read BIGINT NOT NULL, kept BIGINT NOT NULL, duplicate BIGINT NOT NULL, updated BIGINT NOT NULL,
        withdrawn BIGINT NOT NULL, rejected BIGINT NOT NULL, rejected_by_reason VARCHAR NOT NULL,
        defects VARCHAR NOT NULL, absent_withdrawn BIGINT NOT NULL, notes VARCHAR NOT NULL,
        loaded_at TIMESTAMPTZ NOT NULL, loaded_by VARCHAR NOT NULL, release INTEGER NOT NULL)""",
    """CREATE TABLE media (
        media_key BIGINT NOT NULL, first_release INTEGER NOT NULL, has_digest BOOLEAN NOT NULL,
        grade VARCHAR, category VARCHAR, alert BOOLEAN, benign BOOLEAN, standing UBIGINT)""",
    """CREATE TABLE opinion (
        media_key BIGINT NOT NULL, source_id VARCHAR NOT NULL, member VARCHAR NOT NULL, entry_id VARCHAR,
        country VARCHAR NOT NULL, raw_category VARCHAR, category VARCHAR NOT NULL, votes INTEGER NOT NULL,
        disputed BOOLEAN NOT NULL, victim_identified BOOLEAN, offender_identified BOOLEAN, distributed BOOLEAN,
        precategorised BOOLEAN, suspected BOOLEAN, series VARCHAR[], tags VARCHAR[], size BIGINT, mime VARCHAR,
        updated VARCHAR, updated_at TIMESTAMPTZ, extra VARCHAR, content UBIGINT NOT NULL,
        set_id INTEGER NOT NULL, position BIGINT NOT NULL,
        valid_from INTEGER NOT NULL, valid_to INTEGER, ended VARCHAR)""",
    """CREATE TABLE change (
        release INTEGER NOT NULL, media_key BIGINT NOT NULL, change VARCHAR NOT NULL,
        grade_before VARCHAR, grade_after VARCHAR, category_before VARCHAR, category_after VARCHAR)""",
    """CREATE TABLE tombstone (
        source_id VARCHAR NOT NULL, member VARCHAR NOT NULL, entry_id VARCHAR NOT NULL, updated_at TIMESTAMPTZ,
        release INTEGER NOT NULL)""",
    """CREATE TABLE conflict (
        release INTEGER NOT NULL, media_key BIGINT NOT NULL, kind VARCHAR NOT NULL, detail VARCHAR NOT NULL)""",
    """CREATE TABLE release (
        release INTEGER NOT NULL, built_as_of TIMESTAMPTZ NOT NULL, run_id VARCHAR NOT NULL,
        policy_sha256 VARCHAR NOT NULL, trusted_votes INTEGER NOT NULL, software VARCHAR NOT NULL)""",
    "CREATE TABLE store_schema (number INTEGER NOT NULL)",
    *_HASH.values(),
)


SCHEMA = 2
"""Number of the form of these tables, kept in the store. Raise it when a table or a column is added: `upgrade` adds it to
the copy of an older store on which the next release is built. Stores without a number are those before 2."""


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of an empty store."""
    for statement in TABLES:
        con.execute(statement)
    con.execute("INSERT INTO store_schema VALUES (?)", [SCHEMA])


def upgrade(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Give an older store the tables and columns of this version; returns what was added, `table` or `table.column`.

    A further hash table begins with its canaries, a further column is null in the rows that are there. Raises
    DependencyError for a store of a later version.
    """
    there, wanted = _columns(con), _declared()
    number = scalar(con, "SELECT max(number) FROM store_schema") if "store_schema" in there else 1
    if number > SCHEMA:
        raise DependencyError(
            f"The known-hash store has schema {number}, this version knows {SCHEMA}.",
            "Use the version of the program that wrote it, or a later one.",
        )
    added = _add_tables(con, there, TABLES)
    for table in there.keys() & wanted.keys():
        for column, kind in wanted[table].items():
            if column not in there[table]:
                con.execute(
                    compose(
                        "ALTER TABLE {table} ADD COLUMN {column} {kind}", table=table, column=column, kind=Sql(kind)
                    )
                )
                added.append(f"{table}.{column}")
    con.execute("DELETE FROM store_schema")
    con.execute("INSERT INTO store_schema VALUES (?)", [SCHEMA])
    return sorted(added)


def _add_tables(con: duckdb.DuckDBPyConnection, there: Container[str], statements: Iterable[Any]) -> list[str]:
    """Make the tables that are not there, hash tables with their canaries."""
    added = []
    for statement in statements:
        name = str(statement).split("(", 1)[0].split()[-1]
        if name not in there:
            con.execute(statement)
            added.append(name)
    canaries.plant(con, [a for a in ALL if a.table in added])
    return added


def _columns(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """Column types by table and column."""
    found: dict[str, dict[str, str]] = {}
    rows = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
    for table, column, kind in con.execute(rows).fetchall():
        found.setdefault(table, {})[column] = kind
    return found


@cache
def _declared() -> dict[str, dict[str, str]]:
    con = duckdb.connect(":memory:")
    try:
        create(con)
        return _columns(con)
    finally:
        con.close()


LOCKED: dict[str, Any] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_unsigned_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
    "max_temp_directory_size": "0KB",
}
"""What a reading connection may not do; then the configuration is locked."""


_OPENING = threading.Lock()


def connect_read_only(path: Path, settings: Settings, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """A read-only connection that reaches no other file, no network and no extension, and cannot be reconfigured.

    The connections of a process to one file share its database, and may be made by several threads at once.
    In a release from before an algorithm was added nothing is known by it: its table is there, empty but for the canaries.
    """
    with _OPENING:
        con = duckdb.connect(
            str(path),
            read_only=True,
            config={**LOCKED, "memory_limit": f"{settings.memory_mb}MB", "threads": threads or settings.thread_count},
        )
        # the first sets what holds for all, and locks it; where another has one open, it is set already
        if not scalar(con, "SELECT current_setting('lock_configuration')::INTEGER"):
            con.execute("SET GLOBAL TimeZone = 'UTC'")
            con.execute("SET lock_configuration = true")
    there = {name for (name,) in con.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()}
    if not there.issuperset(_HASH_TABLES):
        _add_tables(con, there, [Sql(str(s).replace("CREATE TABLE", "CREATE TEMP TABLE", 1)) for s in _HASH.values()])
    return con


def connect_build(path: Path, settings: Settings, temporary: Path) -> duckdb.DuckDBPyConnection:
    """The one writing connection, to a database that no reader knows yet. Spills to `temporary` beyond the memory limit."""
    con = duckdb.connect(
        str(path),
        config={
            "memory_limit": f"{settings.memory_mb}MB",
            "threads": settings.thread_count,
            "temp_directory": str(temporary),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "preserve_insertion_order": False,
        },
    )
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET enable_progress_bar = false")
    return con


def equal(left: str, right: str, algorithm: StoredHash) -> Sql:
    """SQL condition that two rows hold the same value: joins on the first word only, the rest is a filter.

    One 64-bit join key is three times as fast as a composite one, and meets a wrong first word once in 2^64 / rows.
    """
    first, *others = algorithm.columns
    sides = {"left": left, "right": right}
    terms = [compose("{left}.{first} = {right}.{first}", first=first, **sides)]
    terms += [compose("xor({left}.{c}, {right}.{c}) = 0", c=c, **sides) for c in others]
    return joined(terms, " AND ")


def scalar(con: duckdb.DuckDBPyConnection, sql: str, parameters: Any = None) -> int:
    """The one whole number that a statement returns; null counts as 0. The result is read to its end."""
    rows = con.execute(sql, parameters or []).fetchall()
    return int(rows[0][0] or 0) if rows else 0


def fetch(con: duckdb.DuckDBPyConnection, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    """All rows of a statement."""
    return con.execute(sql, parameters or []).fetchall()
