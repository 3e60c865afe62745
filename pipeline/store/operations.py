"""Tables of the running of the product itself: whose turn it is, what was looked at last, which alarms are open."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.store.types import Base, JsonText


class Turn(Base):
    """Whose turn it is to write the queue: one row, named `queue`, with no holder while nobody has it."""

    __tablename__ = "turns"

    name: Mapped[str] = mapped_column(primary_key=True)
    run: Mapped[str | None]
    holder: Mapped[dict[str, Any] | None] = mapped_column(JsonText)
    taken_at: Mapped[datetime | None]


class Mark(Base):
    """A value that a service keeps between its runs, such as the state of a folder that was last taken in."""

    __tablename__ = "marks"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    at: Mapped[datetime]


class Touched(Base):
    """A case or a link that was written, changed or removed since the reporting tables were last brought up to date. Triggers of
    the database write the rows (migration 0016), so that no way of changing a case can forget it; the reporting stage takes
    them out again. `kind` is `case` or `link`; ids are never used twice.
    """

    __tablename__ = "touched"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 (SQLAlchemy reads it)

    touched_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    kind: Mapped[str]
    name: Mapped[str]


class Alarm(Base):
    """Something that a person must know. `key` says what it is about: an alarm that is open is not raised twice.

    `facts` are counts, names of runs and of hash-set sources: never personal data. `sent_at`: when every configured
    way had taken it; `closed_at`: when its cause was seen to be gone.
    """

    __tablename__ = "alarms"
    __table_args__ = (
        Index("ix_alarms_open", "key", unique=True, sqlite_where=text("closed_at IS NULL"), postgresql_where=text("closed_at IS NULL")),
    )  # fmt: skip

    alarm_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str]
    kind: Mapped[str]
    facts: Mapped[dict[str, Any]] = mapped_column(JsonText)
    raised_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    told_closed_at: Mapped[datetime | None]
