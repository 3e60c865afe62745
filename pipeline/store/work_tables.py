"""Tables of what people enter beside decisions. The other tables of cases are in `tables.py`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.store.types import Base


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


class GradedUpload(Base):
    """Graded results of a case that a person uploaded. State: checked (read, and shown to the person), waiting (to be taken
    into the known-hash store), taken, refused, withdrawn. `content` is the file while it is checked or waits.

    `files`: media files of the case, `fitting`: those of them that the file has an opinion on, `text`: what became of it.
    """

    __tablename__ = "graded_uploads"

    upload_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    source_id: Mapped[str]
    file_name: Mapped[str]
    sha256: Mapped[str]
    content: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    state: Mapped[str] = mapped_column(index=True)
    entries: Mapped[int]
    rejected: Mapped[int]
    files: Mapped[int]
    fitting: Mapped[int]
    at: Mapped[datetime]
    by: Mapped[str]
    settled_at: Mapped[datetime | None]
    text: Mapped[str | None] = mapped_column(Text)
