"""One decorator that gives a command the same output formats: table, JSON, JSON lines, CSV and Parquet.

    @command.command()
    @output_options
    def releases(settings) -> Rows: ...

The decorated command returns rows (a list of flat dicts, or an Arrow table); the options do the rest.
CSV is safe to open in a spreadsheet (`csvtext.py`).
A table is for people: bands are words there ("Very high"). JSON, JSON lines, CSV and Parquet keep the codes (`very_high`).
"""

from __future__ import annotations

import difflib
import functools
import io
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click
import orjson

from pipeline import csvtext, files
from pipeline.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

Rows: TypeAlias = "Sequence[dict[str, Any]] | pa.Table"
FORMATS = ("table", "json", "jsonl", "csv", "parquet")


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
    known = _names(rows)
    for name in names:
        if known and name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            raise UsageError(
                f"There is no column {name!r}.",
                f"Did you mean {' or '.join(near)}?" if near else f"Columns: {', '.join(known)}.",
            )
    if not isinstance(rows, Sequence):
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
        listed, names = _listed(rows), _names(rows)
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
    # Arrow is loaded for what is an Arrow table, or becomes one: many commands end before it would be there
    if format_ == "csv" and not isinstance(rows, Sequence):
        from pipeline import tablecsv

        return tablecsv.table_csv(rows)
    if format_ == "parquet":
        return _parquet(rows)
    listed = _listed(rows)
    if format_ == "json":
        return orjson.dumps([csvtext.plain(r) for r in listed], option=orjson.OPT_INDENT_2) + b"\n"
    if format_ == "jsonl":
        return b"".join(orjson.dumps(csvtext.plain(r)) + b"\n" for r in listed)
    names = _names(rows)
    if format_ == "csv":
        return csvtext.as_csv(names, listed)
    from pipeline import terminal  # loads rich, which only text needs

    return terminal.text(names, listed, 200, wide=True, stored=stored).encode()


def _parquet(rows: Rows) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq  # loads every file system that Arrow knows

    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)) if isinstance(rows, Sequence) else rows, sink)
    return sink.getvalue()


def _default_format(output: Path | None) -> str:
    if output is not None:
        suffix = output.suffix.removeprefix(".")
        return suffix if suffix in FORMATS else "jsonl"
    return "table" if sys.stdout.isatty() else "jsonl"


def _names(rows: Rows) -> list[str]:
    """Columns, in order."""
    if isinstance(rows, Sequence):
        return list(dict.fromkeys(key for row in rows for key in row))
    return list(rows.column_names)


def _listed(rows: Rows) -> list[dict[str, Any]]:
    return list(rows) if isinstance(rows, Sequence) else list(rows.to_pylist())
