"""Column types that mean the same on SQLite and PostgreSQL, and the base of all tables: who needs people and the audit log only
loads no table of cases."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Date, DateTime, Dialect, String, Text
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from pipeline.jsontext import canonical_json, json_value

BANDS = ("very_high", "high", "medium", "low")
"""Bands, highest first; `Case.band_order` is the place in this list."""


class Moment(TypeDecorator[datetime]):
    """A moment in UTC, microseconds. SQLite keeps it as text without a zone, PostgreSQL as timestamptz.

    Raises ValueError for a datetime without a zone: a naive time has no meaning here.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A moment needs a time zone.")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Encoded(str):
    """JSON text that is canonical already (a column of the lake): stored byte for byte."""

    __slots__ = ()


class JsonText(TypeDecorator[Any]):
    """A JSON value as canonical text: the same bytes on every database, readable from SQL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        if isinstance(value, Encoded):
            return str(value)
        return None if value is None else canonical_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json_value(value)


class Base(DeclarativeBase):
    """Base of all tables of the case store."""

    type_annotation_map = {datetime: Moment, str: String(200), date: Date}  # noqa: RUF012 (SQLAlchemy reads it)
