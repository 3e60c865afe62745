"""Tables of what people enter beside decisions. The other tables of cases are in `tables.py`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.store.tables import Base


class Safeguarded(Base):
    """How many children were safeguarded in a case, as a person entered it. The newest entry of a case counts; earlier
    ones stay, so that a correction shows."""

    __tablename__ = "safeguarded"

    safeguarded_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    children: Mapped[int]
    at: Mapped[datetime]
    by: Mapped[str]
    note: Mapped[str | None] = mapped_column(Text)


class SavedFilter(Base):
    """Filters of the queue that a person keeps under a name: the part of the address after "?". Only they see it."""

    __tablename__ = "saved_filters"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    query: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]
