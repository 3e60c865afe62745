"""Tables of what has to be told to whom. The other tables of cases are in `tables.py`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.store.types import Base


class Flag(Base):
    """An immediate-escalation flag of a case: who is to be told (`role`, `post`) and by when, and who was told.

    `rule` is the rule of policy/risk-model.yaml; `compartment` is set where the flag rests only on what is in a
    compartment that the case is not in; `gone_at` says since when the assessment no longer raises it.
    """

    __tablename__ = "flags"

    flag_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    rule: Mapped[str]
    label: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    role: Mapped[str]
    post: Mapped[str]
    compartment: Mapped[str | None] = mapped_column(String(200))
    raised_at: Mapped[datetime]
    due_at: Mapped[datetime]
    gone_at: Mapped[datetime | None]
    waiting: Mapped[bool]
    told_to: Mapped[str | None]
    told_by: Mapped[str | None]
    told_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    acknowledged_at: Mapped[datetime | None]
    note: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        # The flags that wait are few among all that ever were, and every page of the queue asks for them.
        Index("ix_flags_waiting", "due_at", sqlite_where=text("waiting"), postgresql_where=text("waiting")),
    )
