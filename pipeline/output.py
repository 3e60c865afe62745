"""One decorator that gives a command the same output formats: table, JSON, JSON lines, CSV and Parquet.

    @command.command()
    @output_options
    def releases(settings) -> Rows: ...

The decorated command returns rows (a list of flat dicts, or an Arrow table); `--format` and `--output` do the rest.
CSV is safe to open in a spreadsheet: text that begins with = + - @, tab, CR or NUL gets a leading apostrophe;
numbers stay numbers (OWASP ASVS 5.0, 1.2.10).
"""

from __future__ import annotations

import csv
import datetime as dt
import functools
import io
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import click
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.table import Table

from pipeline import files
from pipeline.errors import UsageError

Rows: TypeAlias = Sequence[dict[str, Any]] | pa.Table
FORMATS = ("table", "json", "jsonl", "csv", "parquet")
_ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\0")


def output_options(function: Callable[..., Rows]) -> Callable[..., None]:
    """Add --format and --output to a click command that returns rows."""

    @click.option(
        "--format",
        "format_",
        type=click.Choice(FORMATS),
        default=None,
        help="Output format. Default: table on a terminal, json lines in a pipe.",
    )
    @click.option(
        "--output",
        type=click.Path(dir_okay=False, path_type=Path),
        default=None,
        help="Write to this file instead of the terminal.",
    )
    @functools.wraps(function)
    def wrapper(*args: Any, format_: str | None, output: Path | None, **kwargs: Any) -> None:
        chosen = format_ or _default_format(output)
        emit(function(*args, **kwargs), chosen, output)

    return wrapper


def emit(rows: Rows, format_: str, output: Path | None = None) -> None:
    """Write rows in a format to a file (all or nothing) or to standard output.

    Raises UsageError for Parquet without a file when standard output is a terminal.
    """
    if format_ == "table" and output is None:
        Console(soft_wrap=True).print(as_table(rows))
        return
    if format_ == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal.", "Name a file with --output.")
    data = render(rows, format_)
    if output is not None:
        files.write_bytes(output, data)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def render(rows: Rows, format_: str) -> bytes:
    """Rows as the bytes of one of FORMATS."""
    if format_ == "parquet":
        sink = io.BytesIO()
        pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows)), sink)
        return sink.getvalue()
    listed = rows.to_pylist() if isinstance(rows, pa.Table) else list(rows)
    if format_ == "json":
        return orjson.dumps([_plain(r) for r in listed], option=orjson.OPT_INDENT_2) + b"\n"
    if format_ == "jsonl":
        return b"".join(orjson.dumps(_plain(r)) + b"\n" for r in listed)
    names = rows.column_names if isinstance(rows, pa.Table) else _names(listed)
    if format_ == "csv":
        return as_csv(names, listed)
    text = io.StringIO()
    Console(file=text, width=200).print(as_table(rows))
    return text.getvalue().encode()


def as_csv(names: Sequence[str], rows: Iterable[dict[str, Any]]) -> bytes:
    """RFC 4180 CSV in UTF-8 with a header; no cell can start a formula."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\r\n")
    writer.writerow([inert(n) for n in names])
    for row in rows:
        writer.writerow([inert(_cell(row.get(n))) if not _is_number(row.get(n)) else row.get(n) for n in names])
    return sink.getvalue().encode()


def inert(text: str) -> str:
    """Text that a spreadsheet will not take for a formula."""
    return "'" + text if text.startswith(_ACTIVE) else text


def as_table(rows: Rows) -> Table:
    """A rich table for a terminal. Control characters in values are shown, not obeyed."""
    listed = rows.to_pylist() if isinstance(rows, pa.Table) else list(rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    names = rows.column_names if isinstance(rows, pa.Table) else _names(listed)
    for name in names:
        numeric = bool(listed) and all(_is_number(r.get(name)) or r.get(name) is None for r in listed)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*[_visible(_cell(row.get(n))) for n in names])
    return table


def _default_format(output: Path | None) -> str:
    if output is not None:
        suffix = output.suffix.removeprefix(".")
        return suffix if suffix in FORMATS else "jsonl"
    return "table" if sys.stdout.isatty() else "jsonl"


def _names(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, bool):
        return "yes" if plain else "no"
    if isinstance(plain, dict | list):
        return orjson.dumps(plain).decode()
    return str(plain)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _visible(text: str) -> str:
    shown = "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
    return shown.replace("[", "\\[")
