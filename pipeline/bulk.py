"""Many rows at a time, by the shortest way that each database has.

PostgreSQL takes all rows of a statement as one JSON text: it parses and plans the statement once, and statement triggers
run once. As a list of values the text alone costs more than the rows, and row by row each is planned anew. SQLite takes
them row by row from a prepared statement, and touches the indexes of the columns that the statement names, hence only
what has changed is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import ARRAY, Column, ColumnElement, String, Table, any_, bindparam, inspect, literal, text, update
from sqlalchemy import insert as inserting
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from pipeline.jsontext import json_text
from pipeline.sql import Sql, compose, each

MANY_ROWS = 1_000
"""Rows of one statement."""


def insert(session: Session, table: type[Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows, which have the same columns. Raises what SQLAlchemy raises for a row that cannot be."""
    mapped = _table(table)
    for part in _parts(rows):
        if _is_postgresql(session):
            names = each('"{name}"', part[0])
            statement = compose(
                "INSERT INTO {table} ({names}) SELECT {names} FROM {given}",
                table=mapped.name,
                names=names,
                given=_given(mapped),
            )
            session.connection().execute(text(statement), {"given": _as_json(session, mapped, part)})
        else:
            session.connection().execute(inserting(mapped), part)


def numbered(session: Session, table: type[Any], rows: Sequence[dict[str, Any]]) -> None:
    """Give rows the next numbers of the table, in their order: its primary key counts by itself."""
    (key,) = _table(table).primary_key.columns
    if not rows:
        return
    if _is_postgresql(session):
        sequence = "SELECT nextval(pg_get_serial_sequence(:table, :key)) FROM generate_series(1, :number)"
        named = {"table": key.table.name, "key": key.name, "number": len(rows)}
        numbers = sorted(session.connection().scalars(text(sequence), named))
    else:
        largest = text(compose("SELECT coalesce(max({key}), 0) FROM {table}", key=key.name, table=key.table.name))
        last = session.connection().scalar(largest) or 0
        numbers = list(range(last + 1, last + 1 + len(rows)))
    for row, number in zip(rows, numbers, strict=True):
        row[key.name] = number


def one_of(session: Session, column: Any, values: Sequence[Any]) -> ColumnElement[bool]:
    """That a column has one of many texts: one value for PostgreSQL, of which a statement with a place for each costs more to
    read than to run."""
    if _is_postgresql(session):
        given: ColumnElement[bool] = column == any_(literal(list(values), ARRAY(String)))
        return given
    listed: ColumnElement[bool] = column.in_(values)
    return listed


def change(session: Session, table: type[Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Set the columns that rows give beside the primary key; all give the same."""
    mapped = _table(table)
    (key,) = mapped.primary_key.columns
    for part in _parts(rows):
        names = [name for name in part[0] if name != key.name]
        if _is_postgresql(session):
            statement = compose(
                "UPDATE {table} SET {values} FROM {given} AS given WHERE {table}.{key} = given.{key}",
                table=mapped.name,
                values=each('"{name}" = given."{name}"', names),
                given=_given(mapped),
                key=key.name,
            )
            session.connection().execute(text(statement), {"given": _as_json(session, mapped, part)})
            continue
        setting = update(mapped).where(key == bindparam("the_key", type_=key.type))
        setting = setting.values({name: bindparam(f"new_{name}") for name in names})
        given = [{"the_key": row[key.name], **{f"new_{name}": row[name] for name in names}} for row in part]
        session.connection().execute(setting, given)


def write(session: Session, objects: Iterable[Any]) -> None:
    """Write what has changed of objects of one table that were loaded, in the order of their keys; a later flush has nothing
    left to write of them."""
    changed: dict[tuple[str, ...], list[Any]] = {}
    for found in objects:
        names = tuple(sorted(_changed(found)))
        if names:
            changed.setdefault(names, []).append(found)
    if not changed:
        return
    some = next(iter(changed.values()))[0]
    table, (key,) = type(some), [column.name for column in _table(type(some)).primary_key.columns]
    if _is_postgresql(session):  # a row is written whole, whatever changes of it: one statement for all
        together = tuple(sorted({name for names in changed for name in names}))
        changed = {together: [found for listed in changed.values() for found in listed]}
    for names, listed in changed.items():
        listed.sort(key=lambda found: getattr(found, key))
        change(session, table, [{name: getattr(found, name) for name in (key, *names)} for found in listed])
        for found in listed:
            for name in names:
                set_committed_value(found, name, getattr(found, name))


def _changed(found: Any) -> Iterator[str]:
    """Columns whose value is another than the one that was loaded."""
    state = inspect(found)
    if not state.modified or not state.persistent:
        return
    for name, before in state.committed_state.items():
        if before != state.dict[name]:
            yield name


def _is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def _table(table: type[Any]) -> Table:
    mapped: Table = table.__table__
    return mapped


def _parts(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    for start in range(0, len(rows), MANY_ROWS):
        yield rows[start : start + MANY_ROWS]


def _given(table: Table) -> Sql:
    return compose("json_populate_recordset(CAST(NULL AS {table}), CAST(:given AS json))", table=table.name)


def _as_json(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as JSON of what the database stores."""
    dialect = session.get_bind().dialect
    columns: list[Column[Any]] = [table.columns[name] for name in rows[0]]
    stored = [(c.name, c.type.dialect_impl(dialect).bind_processor(dialect)) for c in columns]
    found = []
    for row in rows:
        values = {name: row[name] if process is None else process(row[name]) for name, process in stored}
        found.append({n: v.isoformat() if isinstance(v, date) else v for n, v in values.items()})
    return json_text(found)
