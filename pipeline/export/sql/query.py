"""Read-only SQL for investigators, run where it can do no harm: a child process that is limited, locked and killed in time.

The child (`pipeline/export/sql/query_child.py`) gets the statement, the Parquet parts of each view, the release's
database and the case tables; it has no file, network or configuration access once the statement runs. The parent
ends it at the deadline whatever it is doing: DuckDB's own memory limit and `interrupt` do not cover single large
values.

`@name` runs a named statement: a file in `pipeline/export/sql/queries/` or `pipeline/console/dashboard/reports/`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pyarrow as pa

from pipeline.errors import DependencyError, TriageError, UsageError
from pipeline.settings import ROOT

FOLDERS = (ROOT / "pipeline" / "export" / "sql" / "queries", ROOT / "pipeline" / "console" / "dashboard" / "reports")


@dataclass(frozen=True)
class Limits:
    """What one statement may use: rows returned, MiB of memory, seconds of wall time."""

    rows: int = 10_000
    memory_mb: int = 1024
    seconds: float = 60.0


@dataclass(frozen=True)
class ViewSource:
    """What a statement can read.

    `parts` maps a view's name to Parquet files (verified by the caller), `tables` to Arrow tables, and `release` is
    the known-hash database, attached read-only as the schema `release`. `blank` names columns of `parts` that read as null.
    """

    parts: Mapping[str, list[str]]
    tables: Mapping[str, pa.Table]
    release: Path | None = None
    blank: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class QueryResult:
    """Rows of a statement; `truncated` when there were more than the limit."""

    table: pa.Table
    truncated: bool


def named(name: str) -> str:
    """The text of a named statement. Raises UsageError with the list of names when there is none of that name."""
    known = names()
    if name not in known:
        raise UsageError(f"There is no named query {name!r}.", f"Known: {', '.join(sorted(known))}.")
    return known[name].read_text()


def names() -> dict[str, Path]:
    """All named statements: name -> file."""
    return {path.stem: path for folder in FOLDERS for path in sorted(folder.glob("*.sql"))}


def describe(path: Path) -> str:
    """The first comment line of a named statement: what it answers."""
    return path.read_text().splitlines()[0].lstrip("- ").strip()


def run(sql: str, source: ViewSource, limits: Limits) -> QueryResult:
    """Run one SELECT. Raises UsageError for a statement that is refused or wrong, TriageError at a limit."""
    request = {
        "sql": sql,
        "parts": dict(source.parts),
        "blank": dict(source.blank),
        "release": str(source.release) if source.release else None,
        "rows": limits.rows,
        "memory_mb": limits.memory_mb,
        "seconds": limits.seconds,
    }
    frames = [orjson.dumps(request)]
    for name, table in source.tables.items():
        frames += [name.encode(), _ipc(table)]
    code, out, err = _child(_frames(frames), limits.seconds)
    if code == 0:
        truncated, table = out[:1] == b"1", pa.ipc.open_stream(out[1:]).read_all()
        return QueryResult(table, truncated)
    message = err.decode(errors="replace").strip().splitlines()[-1:] or [""]
    if code == 2:
        raise UsageError(message[0] or "The statement is refused.")
    if code in {9, -signal.SIGKILL, -signal.SIGALRM}:
        raise TriageError(
            f"The statement was stopped at its limit ({limits.seconds:g} s, {limits.memory_mb} MiB).",
            "Narrow it, or raise --seconds or --memory.",
        )
    raise DependencyError(f"The query process ended with code {code}.", "Try again; tell the operator if it stays.")


_CHILD = (
    "import sys; from pipeline.cli import WithoutPandas; sys.meta_path.insert(0, WithoutPandas())\n"
    "from pipeline.export.sql.query_child import main; sys.exit(main())"
)
"""Starts the child as a command starts: PyArrow would import pandas, which takes longer than most statements."""


def _child(data: bytes, seconds: float) -> tuple[int, bytes, bytes]:
    """Run the child in its own session, with an empty environment; kill its group at the deadline."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), "ARROW_DEFAULT_MEMORY_POOL": "system"},
        start_new_session=True,
    )
    try:
        out, err = process.communicate(data, timeout=seconds + _START_SECONDS)
    except subprocess.TimeoutExpired:
        _kill(process)
        process.communicate()
        return 9, b"", b""
    except BaseException:
        _kill(process)
        raise
    return process.returncode, out, err


_START_SECONDS = 20.0
"""Time allowed for starting Python and reading the tables; the statement's own deadline is set in the child."""


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()


def _ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _frames(pieces: list[bytes]) -> bytes:
    return b"".join(len(piece).to_bytes(8, "little") + piece for piece in pieces)
