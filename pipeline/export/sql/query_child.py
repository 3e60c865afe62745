"""The process that runs one statement of `triage query`: limited first, loaded second, locked third, then the statement.

Reads frames (8 bytes little-endian length, then bytes) from standard input: a JSON header, then pairs of table name
and Arrow stream. Writes one byte (1 when rows were left off) and an Arrow stream to standard output. Exit codes:
0 done, 2 the statement is refused or wrong (reason on standard error), 9 a limit was reached.

The deadline is a SIGALRM whose default action ends the process: it bites in the middle of any C++ call.
"""

from __future__ import annotations

import io
import itertools
import re
import resource
import signal
import sys
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from hashsets.release.tables import LOCKED
from pipeline import records
from pipeline.export.sql import parts
from pipeline.export.sql.moments import plain
from pipeline.sql import compose, literal

TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree", "repeat_row"})
"""Table functions that a statement may call; all others read files, settings or run text as SQL."""

_EXPLAIN = re.compile(r"^\s*explain(\s+analyze)?\s", re.IGNORECASE)

_OVERHEAD = 2 << 30
"""Address space of the interpreter and the libraries, in bytes, on top of the statement's memory."""


class RefusedError(Exception):
    """The statement may not run, or is wrong."""


def main() -> int:
    """Run the statement that standard input describes; returns the exit code."""
    data = sys.stdin.buffer.read()
    frames = list(_frames(data))
    header = orjson.loads(frames[0])
    tables = {frames[i].decode(): frames[i + 1] for i in range(1, len(frames), 2)}
    limit = (header["memory_mb"] << 20) + _OVERHEAD + len(data)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        connection = locked(header, tables)
        signal.setitimer(signal.ITIMER_REAL, header["seconds"])
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        out = answer(connection, header["sql"], header["rows"])
    except RefusedError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (MemoryError, pa.ArrowMemoryError, duckdb.OutOfMemoryException):
        return 9
    except duckdb.Error as error:
        sys.stderr.write(f"{told(header, tables, error)}\n")
        return 2
    except Exception as error:  # noqa: BLE001 - a message of Arrow's could hold a stored value too
        sys.stderr.write(f"{_kind(error)}\n")
        return 2
    sys.stdout.buffer.write(out)
    sys.stdout.buffer.flush()
    return 0


def told(header: dict[str, Any], tables: dict[str, bytes], error: Exception) -> str:
    """What may be told of an error: DuckDB's own words if the statement fails on empty tables in the same way, where they can
    hold no stored value, and its kind otherwise. `error(text)` and a cast that fails would print rows past the log."""
    try:
        answer(locked(header, tables, empty=True), header["sql"], 1)
    except duckdb.Error as same:
        if type(same) is type(error):
            return " ".join(
                itertools.takewhile(lambda line: not line.startswith("LINE "), str(same).splitlines())
            ).strip()
    except Exception:  # noqa: BLE001 - no better words are to be had
        return _kind(error)
    return _kind(error)


def _kind(error: Exception) -> str:
    return (
        f"{type(error).__name__}: a value that the statement met could not be worked with. What it was is not shown, as it may"
        " be personal; use TRY_CAST, or look at the rows by a statement that is logged as such."
    )


def locked(header: dict[str, Any], tables: dict[str, bytes], *, empty: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection with every view in place and external access, settings and extensions shut for good; `empty` has the same
    views without their rows."""
    connection = duckdb.connect(
        ":memory:",
        config={
            **{name: value for name, value in LOCKED.items() if name != "enable_external_access"},  # shut below
            "memory_limit": f"{header['memory_mb']}MiB",
            "threads": 1,
        },
    )
    if header["release"]:
        connection.execute(compose("ATTACH {path} AS release (READ_ONLY)", path=literal(header["release"])))
    for name, paths in header["parts"].items():
        if empty:
            connection.register(name, plain(records.empty(name)))
        else:
            parts.register(connection, name, paths, header["blank"].get(name, ()))
    for name, stream in tables.items():
        table = plain(pa.ipc.open_stream(stream).read_all())
        connection.register(name, table.slice(0, 0) if empty else table)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def answer(connection: duckdb.DuckDBPyConnection, sql: str, rows: int) -> bytes:
    """The statement's rows as bytes for the parent, at most `rows`. Raises RefusedError for anything but one SELECT."""
    check(connection, sql)
    reader: Any = connection.execute(sql).to_arrow_reader(min(rows + 1, 10_000))
    batches, count = [], 0
    for batch in reader:
        batches.append(batch)
        count += batch.num_rows
        if count > rows:
            break
    table = pa.Table.from_batches(batches, schema=reader.schema)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.slice(0, rows))
    return (b"1" if count > rows else b"0") + sink.getvalue()


def check(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse everything but one SELECT (or EXPLAIN) that calls only the table functions listed above."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise RefusedError(f"Give one statement; this has {len(statements)}.")
    try:
        kind = statements[0].type
    except ValueError as error:  # a kind of statement that the Python binding has no name for
        raise RefusedError("Only SELECT is allowed.") from error
    if kind == duckdb.StatementType.EXPLAIN:
        check(connection, _EXPLAIN.sub("", sql, count=1))
        return
    if kind != duckdb.StatementType.SELECT:
        raise RefusedError(f"Only SELECT is allowed, not {str(kind).rsplit('.', 1)[-1]}.")
    row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    tree = orjson.loads(row[0]) if row else {"error": True}
    if tree.get("error"):
        if sql.lstrip().split(None, 1)[0].lower() in {"describe", "show", "summarize"} and "(" not in sql:
            return
        raise RefusedError(f"The statement cannot be checked: {tree.get('error_message', 'it has no known form')}.")
    for called in _table_functions(tree):
        if called not in TABLE_FUNCTIONS:
            raise RefusedError(f"{called}() is not available here.")


def _table_functions(node: Any) -> list[str]:
    """Names of all table functions in a serialised statement, wherever they stand."""
    found: list[str] = []
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if item.get("type") == "TABLE_FUNCTION":
                found.append(str(item.get("function", {}).get("function_name", "?")).lower())
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return found


def _frames(data: bytes) -> Any:
    place = 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 8], "little")
        yield data[place + 8 : place + 8 + size]
        place += 8 + size


if __name__ == "__main__":
    sys.exit(main())
