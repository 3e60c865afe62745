"""An in-memory DuckDB within the limits of the settings, over Arrow tables that the lake has verified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from pipeline import unseen
from pipeline.errors import DependencyError
from pipeline.settings import Settings

_FOLDER = Path(__file__).parent / "sql"


def sql(name: str, **parts: str | int) -> str:
    """The statement in sql/<name>.sql with its `{placeholders}` filled. Parts are other statements, names of views
    and numbers of the policy: never a value from a referral or a list."""
    return _read(name).format(**parts)


def macros() -> str:
    """The statements that define how values are brought to a form that can be compared."""
    return _read("macros").replace("{unseen}", unseen.CHARACTERS)  # braces stand in its regular expressions too


@cache
def _read(name: str) -> str:
    return (_FOLDER / f"{name}.sql").read_text()


@contextmanager
def connection(settings: Settings, tables: Mapping[str, pa.Table]) -> Iterator[Any]:
    """A DuckDB connection with `tables` registered under their names; nothing is fetched, and nothing written but what is beyond the
    memory limit, while a statement runs.

    Raises DependencyError when the memory limit of the settings does not suffice.
    """
    con = duckdb.connect(
        config={
            "threads": settings.thread_count,
            "memory_limit": f"{settings.memory_mb}MiB",
            "temp_directory": str(settings.spill_dir),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": False,
        }
    )
    try:
        con.execute("SET TimeZone = 'UTC'")
        for name, table in tables.items():
            con.register(name, table)
        yield con
    except duckdb.OutOfMemoryException as error:
        raise DependencyError(
            f"The memory limit of {settings.memory_mb} MiB does not suffice.", "Raise TRIAGE_MEMORY_MB."
        ) from error
    finally:
        con.close()


def query(con: duckdb.DuckDBPyConnection, sql: str, params: list[Any] | None = None) -> pa.Table:
    """Rows of a fixed, parameterised statement as an Arrow table."""
    result = con.sql(sql, params=params) if params else con.sql(sql)
    table: pa.Table = result.to_arrow_table()
    return table
