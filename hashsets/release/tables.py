"""Tables of a release's DuckDB file, and the one way to open it for reading.

Every row that came to stand at some time is there for good: `valid_to` closes an opinion that was superseded or
withdrawn, nothing is deleted. `release` is the release in which a row first appeared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from hashsets.algorithms import ALL, StoredHash
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
    *_HASH.values(),
)


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of an empty store."""
    for statement in TABLES:
        con.execute(statement)


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


def connect_read_only(path: Path, settings: Settings, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """A read-only connection that reaches no other file, no network and no extension, and cannot be reconfigured."""
    con = duckdb.connect(
        str(path),
        read_only=True,
        config={**LOCKED, "memory_limit": f"{settings.memory_mb}MB", "threads": threads or settings.thread_count},
    )
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET enable_progress_bar = false")
    con.execute("SET lock_configuration = true")
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
