"""Tables of groups: cases that are one investigation. The other tables of cases are in `tables.py`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.store.types import Base


class GroupMember(Base):
    """That a case belongs to a group, as people of one scope see it: `scope` is empty for those without a compartment,
    else the compartment. What is restricted is in no group of a scope that may not see it."""

    __tablename__ = "group_members"

    case_id: Mapped[str] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(primary_key=True)
    group_id: Mapped[str] = mapped_column(index=True)


class Apart(Base):
    """A case that a person took out of its group: links put it into none again."""

    __tablename__ = "taken_apart"

    case_id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    by: Mapped[str]
    reason_code: Mapped[str]
    note: Mapped[str | None] = mapped_column(Text)


class Notice(Base):
    """Something that one person is told, until they have read it."""

    __tablename__ = "notices"

    notice_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    text: Mapped[str] = mapped_column(Text)
    read_at: Mapped[datetime | None]
