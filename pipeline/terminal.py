"""Rows on a terminal: as many columns as its width holds, one row as a record, nothing folded to one letter per line.

A command names the columns that matter, the most important first; without a choice all are tried in their order. What
does not fit is left out and said so: `--wide` shows everything, `--columns` names columns, one row is a record.
"""

from __future__ import annotations

import datetime as dt
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from pipeline.britishtime import moment

GAP = 3
"""Spaces between two columns."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
"""A moment that comes as text, ISO 8601 with its zone."""
BANDS = {"very_high": "Very high", "high": "High", "medium": "Medium", "low": "Low"}
"""Bands as people read them; every other form of output keeps the codes."""
PROSE = 24
"""Least width of a column of sentences."""


def text(
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    width: int,
    *,
    chosen: Sequence[str] = (),
    wide: bool = False,
    stored: bool = False,
) -> str:
    """Rows as text of at most `width` characters per line; with `wide` as long as the rows are.

    `chosen` are the columns that the command shows, most important first; those that the rows lack are passed over.
    Codes of bands are words, except in what is shown as it is `stored`.
    """
    if not rows:
        return "Nothing.\n"
    cells = {name: [_cell(row.get(name) if stored else _worded(name, row)) for row in rows] for name in names}
    if wide:
        natural = {name: _natural(name, cells[name]) for name in names}
        return _drawn(names, cells, natural, rows, sum(natural.values()) + GAP * (len(names) - 1))
    if len(rows) == 1 and sum(_natural(n, cells[n]) + GAP for n in names) - GAP > width:
        return _record(names, cells, width)
    wanted = [name for name in chosen if name in cells] or list(names)
    widths = _fitted(wanted, cells, width)
    shown = _drawn([n for n in wanted if n in widths], cells, widths, rows, width)
    if len(widths) < len(names):
        shown += f"{len(widths)} of {len(names)} columns; --wide shows all, --columns A,B those.\n"
    return shown


def _fitted(names: Sequence[str], cells: Mapping[str, Sequence[str]], width: int) -> dict[str, int]:
    """Width of each column that fits, most important first; words longer than a fifth of the line go on in the next."""
    longest = max(22, width // 5)
    natural = {name: _natural(name, cells[name]) for name in names}
    least = {
        name: max(cell_len(name), min(_word(cells[name]), longest), min(PROSE, _prose(cells[name]))) for name in names
    }
    taken: dict[str, int] = {}
    left = width + GAP
    for name in names:
        if not taken or least[name] + GAP <= left:
            taken[name] = min(least[name], width)
            left -= taken[name] + GAP
    thirsty = sorted(taken, key=lambda n: natural[n] - taken[n])
    for place, name in enumerate(thirsty):  # what needs little first; nothing takes more than its share of what is left
        more = max(0, min(natural[name] - taken[name], left // (len(thirsty) - place)))
        taken[name] += more
        left -= more
    return taken


def _drawn(
    names: Sequence[str],
    cells: Mapping[str, Sequence[str]],
    widths: Mapping[str, int],
    rows: Sequence[Mapping[str, Any]],
    width: int,
) -> str:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    for name in names:
        numeric = all(isinstance(row.get(name), int | float | None) for row in rows)
        numeric = numeric and not any(isinstance(row.get(name), bool) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", width=widths[name])
    for place in range(len(rows)):
        table.add_row(*(_safe(cells[name][place]) for name in names))
    return _printed(table, width)


def _record(names: Sequence[str], cells: Mapping[str, Sequence[str]], width: int) -> str:
    """One row as a list of name and value, each value whole."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name in names:
        table.add_row(name, _safe(cells[name][0]))
    return _printed(table, width)


def _printed(table: Table, width: int) -> str:
    sink = io.StringIO()
    Console(file=sink, width=width, highlight=False).print(table)
    return "".join(f"{line.rstrip()}\n" for line in sink.getvalue().splitlines())


def _natural(name: str, cells: Sequence[str]) -> int:
    return max([cell_len(name), *(cell_len(line) for cell in cells for line in cell.splitlines())])


def _word(cells: Sequence[str]) -> int:
    """Length of the longest word, or of a moment, which is not broken either."""
    return max((cell_len(word) for cell in cells for word in cell.split(" ")), default=0)


def _prose(cells: Sequence[str]) -> int:
    """Length of the longest cell that has several words."""
    return max((cell_len(cell) for cell in cells if " " in cell), default=0)


def _cell(value: Any) -> str:  # noqa: PLR0911 (one line per type)
    """A value as people read it: moments in British time, lists without brackets, control characters by their number."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dt.datetime):
        return moment(value if value.tzinfo else value.replace(tzinfo=dt.UTC)).replace(" ", "\u00a0")
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return moment(value).replace(" ", "\u00a0")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return "".join(c if c.isprintable() or c in "\n\u00a0" else f"\\x{ord(c):02x}" for c in str(value))


def _worded(name: str, row: Mapping[str, Any]) -> Any:
    """A value with the word for a band in a column of bands, or in a detail whose row says in `what` that it is of a band."""
    value = row.get(name)
    if not isinstance(value, str) or value not in BANDS:
        return value
    label = str(row.get("what", "")) if name == "detail" else name
    return BANDS[value].replace(" ", "\u00a0") if "band" in re.split(r"[_ ]", label) else value


def _safe(cell: str) -> str:
    """A cell that rich takes for text and not for markup."""
    return cell.replace("[", "\\[")
