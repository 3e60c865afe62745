"""One decorator that gives a command the same output formats: table, JSON, JSON lines, CSV and Parquet.

    @command.command()
    @output_options
    def releases(settings) -> Rows: ...

The decorated command returns rows (a list of flat dicts, or an Arrow table); the options do the rest.
CSV is safe to open in a spreadsheet: text that begins with = + - @, tab, CR or NUL gets a leading apostrophe;
numbers stay numbers (OWASP ASVS 5.0, 1.2.10). Moments are UTC, in the form that spreadsheets take for a time.
A table is for people: bands are words there ("Very high"). JSON, JSON lines, CSV and Parquet keep the codes (`very_high`).
"""

from __future__ import annotations

import csv
import datetime as dt
import difflib
import functools
import io
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import click
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import files
from pipeline.errors import UsageError

Rows: TypeAlias = Sequence[dict[str, Any]] | pa.Table
FORMATS = ("table", "json", "jsonl", "csv", "parquet")
_ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\0")


def output_options(
    function: Callable[..., Rows] | None = None, *, columns: Sequence[str] = (), stored: bool = False
) -> Callable[..., Any]:
    """Add --format, --output, --columns and --wide to a click command that returns rows.

    `columns`: those that a terminal shows when not all fit, most important first (`@output_options(columns=(...))`).
    `stored`: a table shows codes as they are stored, to be written into the next statement; otherwise bands are words.
    """
    if function is None:
        return functools.partial(output_options, columns=columns, stored=stored)

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
        callback=replacing,
        help="Write to this file instead of the terminal; its ending chooses the format.",
    )
    @click.option("--columns", "named", metavar="A,B,...", default=None, help="Only these columns, in this order.")
    @click.option("--wide", is_flag=True, help="All columns in a table, however long its lines get.")
    @functools.wraps(function)
    def wrapper(
        *args: Any, format_: str | None, output: Path | None, named: str | None, wide: bool, **kwargs: Any
    ) -> None:
        chosen = format_ or _default_format(output)
        rows = function(*args, **kwargs)
        if named is not None:
            rows = picked(rows, [name.strip() for name in named.split(",") if name.strip()])
        emit(rows, chosen, output, columns=() if named else columns, wide=wide, stored=stored)

    return wrapper


def target_option(*names: str, required: bool = True) -> Callable[..., Any]:
    """`--output FILE` of a command that writes one file in a form of its own; `names` are older spellings of it."""
    return click.option(
        "--output",
        *names,
        "target",
        type=click.Path(dir_okay=False, path_type=Path),
        required=required,
        callback=replacing,
        help="File to write.",
    )


def replacing(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Before anything is done: ask at a terminal whether a file may be replaced, say so in a script.

    Raises click.Abort when the answer is no.
    """
    if path is not None and path.exists() and not context.resilient_parsing:
        what = f"{path} ({path.stat().st_size:,} bytes)"
        if _at_a_terminal():
            click.confirm(f"{what} is there already. Replace it?", abort=True, err=True)
        else:
            click.echo(f"triage: {what} is replaced.", err=True)
    return path


def _at_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def picked(rows: Rows, names: Sequence[str]) -> Rows:
    """The rows with only these columns. Raises UsageError for a name that is none, with those nearest to it."""
    known = rows.column_names if isinstance(rows, pa.Table) else _names(rows)
    for name in names:
        if known and name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            raise UsageError(
                f"There is no column {name!r}.",
                f"Did you mean {' or '.join(near)}?" if near else f"Columns: {', '.join(known)}.",
            )
    if isinstance(rows, pa.Table):
        return rows.select(list(names))
    return [{name: row.get(name) for name in names} for row in rows]


def emit(
    rows: Rows,
    format_: str,
    output: Path | None = None,
    *,
    columns: Sequence[str] = (),
    wide: bool = False,
    stored: bool = False,
) -> None:
    """Write rows in a format to a file (all or nothing) or to standard output.

    Raises UsageError for Parquet without a file when standard output is a terminal.
    """
    if format_ == "table" and output is None:
        listed = rows.to_pylist() if isinstance(rows, pa.Table) else list(rows)
        names = rows.column_names if isinstance(rows, pa.Table) else _names(listed)
        from rich.console import Console  # not where rows go to a program: a twentieth of a look-up's time

        from pipeline import terminal  # loads rich, as above

        shown = terminal.text(names, listed, Console().width, chosen=columns, wide=wide, stored=stored)
        click.echo(shown, nl=False)
        return
    if format_ == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal.", "Name a file with --output.")
    data = render(rows, format_, stored=stored)
    if output is not None:
        files.write_bytes(output, data)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def working(text: str) -> AbstractContextManager[object]:
    """While this lasts, a terminal shows that `text` is being done; a file or a program that reads gets nothing."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(text)


def render(rows: Rows, format_: str, *, stored: bool = False) -> bytes:
    """Rows as the bytes of one of FORMATS."""
    if format_ == "csv" and isinstance(rows, pa.Table):
        return table_csv(rows)
    if format_ == "parquet":
        sink = io.BytesIO()
        import pyarrow.parquet as pq  # loads every file system that Arrow knows

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
    from pipeline import terminal  # loads rich, which only text needs

    return terminal.text(names, listed, 200, wide=True, stored=stored).encode()


def as_csv(names: Sequence[str], rows: Iterable[dict[str, Any]]) -> bytes:
    """RFC 4180 CSV in UTF-8 with a header; no cell can start a formula."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\r\n")
    writer.writerow([inert(n) for n in names])
    for row in rows:
        writer.writerow([inert(_cell(row.get(n))) if not _is_number(row.get(n)) else row.get(n) for n in names])
    return sink.getvalue().encode()


BATCH = 100_000
"""Rows of a table that are made into lines of text at once."""


def table_csv(table: pa.Table) -> bytes:
    """The same bytes as `as_csv` of the table's rows, made column by column: large tables are written every night."""
    pieces = [as_csv(table.column_names, ())]
    for start in range(0, table.num_rows, BATCH):
        pieces.append("\r\n".join([*csv_lines(table.slice(start, BATCH)).to_pylist(), ""]).encode())
    return b"".join(pieces)


def csv_lines(table: pa.Table) -> pa.Array:
    """The line of each row as `as_csv` writes it, without its end."""
    cells = [_cells(c.combine_chunks()) for c in table.columns]
    if len(cells) == 1:  # one empty cell alone is written in quotation marks
        return pc.if_else(pc.equal(cells[0], ""), '""', cells[0])
    return pc.binary_join_element_wise(*cells, ",")


def _cells(column: pa.Array) -> pa.Array:
    """The texts of one column as `as_csv` writes them; none is null. A value that comes often is written once."""
    if pa.types.is_nested(column.type) or len(column) < 100:
        return _texts(column)
    coded = column.dictionary_encode()
    if len(coded.dictionary) * 2 > len(column):
        return _texts(column)
    return pc.fill_null(pc.take(_texts(coded.dictionary), coded.indices), "")


def _texts(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_boolean(kind):
        return pc.fill_null(pc.if_else(column, "yes", "no"), "")
    if pa.types.is_integer(kind):
        return pc.fill_null(column.cast(pa.string()), "")
    if pa.types.is_floating(kind):
        return pa.array(["" if value is None else repr(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_timestamp(kind):
        return pc.fill_null(_sheet_times(column), "")
    texts = column if pa.types.is_string(kind) else pa.array([_cell(v) for v in column.to_pylist()], pa.string())
    texts = pc.fill_null(texts, "")
    if not pc.any(pc.match_substring_regex(texts, r"\A[=+\-@\t\r\x00]|[,\"\r\n]")).as_py():
        return texts
    active = pc.match_substring_regex(texts, r"\A[=+\-@\t\r\x00]")
    texts = pc.if_else(active, pc.binary_join_element_wise("'", texts, ""), texts)
    special = pc.match_substring_regex(texts, r"[,\"\r\n]")
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(texts, '"', '""'), '"', "")
    return pc.if_else(special, quoted, texts)


def _sheet_times(column: pa.Array) -> pa.Array:
    """Moments as `_sheet_time` writes them."""
    moments = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.timestamp("us"))
    texts = pc.floor_temporal(moments, unit="second").cast(pa.timestamp("s")).cast(pa.string())
    thousandths = pc.millisecond(moments)
    fraction = pc.binary_join_element_wise(".", pc.utf8_lpad(thousandths.cast(pa.string()), 3, "0"), "")
    whole = pc.and_(pc.equal(thousandths, 0), pc.equal(pc.microsecond(moments), 0))
    return pc.if_else(whole, texts, pc.binary_join_element_wise(texts, fraction, ""))


def inert(text: str) -> str:
    """Text that a spreadsheet will not take for a formula."""
    return "'" + text if text.startswith(_ACTIVE) else text


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
    if isinstance(value, dt.datetime):
        return _sheet_time(value)
    return str(plain)


def _sheet_time(value: dt.datetime) -> str:
    """A moment as a spreadsheet takes it for one: in UTC, without a zone and without a T."""
    at = value.astimezone(dt.UTC) if value.tzinfo else value
    return f"{at:%Y-%m-%d %H:%M:%S}" + (f".{at.microsecond // 1000:03d}" if at.microsecond else "")


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
