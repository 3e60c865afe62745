"""How SQL with names that vary is written: a template with named places, filled with names of tables and columns that the code declares.

    compose("SELECT {columns} FROM {table} WHERE media_key = ?", columns=algorithm.columns, table=algorithm.table)

Only names, lists of names, whole numbers and other composed statements can fill a place; anything else is refused, so that
no text of a file or a person can become part of a statement. Values are always bound parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?", re.ASCII)


class Sql(str):
    """A statement, or a part of one, that this module has put together."""

    __slots__ = ()


Filling = str | int | Sql | Iterable["str | Sql"]


def compose(template: str, /, **parts: Filling) -> Sql:
    """The template with every `{place}` filled. Raises ValueError for what is neither a name, a number nor composed."""
    return Sql(template.format_map({name: _filling(part) for name, part in parts.items()}))


def joined(parts: Iterable[str | Sql], by: str) -> Sql:
    """Names or composed parts, one after the other: by ", ", " AND ", " UNION ALL " and the like."""
    return Sql(by.join(_filling(p) for p in parts))


def each(template: str, names: Iterable[str], by: str = ", ", /, **parts: Filling) -> Sql:
    """The template once for every name, which fills its `{name}`: `each("h.{name}", columns)`."""
    return joined([compose(template, name=n, **parts) for n in names], by)


def literal(text: str) -> Sql:
    """A constant of the code, or a path of the settings, as an SQL text: for places where nothing can be bound."""
    return Sql("'" + text.replace("'", "''") + "'")


def insert(table: str, row: Mapping[str, Any]) -> tuple[Sql, list[Any]]:
    """The statement that adds one row by the names of its columns, and the values to bind."""
    return (
        compose("INSERT INTO {table} ({columns}) VALUES ({values})", table=table, columns=row, values=marks(len(row))),
        [*row.values()],
    )


def marks(number: int) -> Sql:
    """So many places for values to bind: `?, ?, ?`."""
    return Sql(", ".join("?" * number))


def _filling(part: Filling) -> str:
    if isinstance(part, Sql):
        return str(part)
    if isinstance(part, int):
        return str(int(part))
    if isinstance(part, str):
        if not _NAME.fullmatch(part):
            raise ValueError(f"{part!r} is not the name of a table or column.")
        return part
    return ", ".join(_filling(p) for p in part)
