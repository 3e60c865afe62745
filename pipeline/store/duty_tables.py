"""Tables of what has to be told to whom. The other tables of cases are in `tables.py`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, Text
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


class WaitingFlag(Base):
    """A flag that waits, with what lists of such flags are ordered and hidden by. The database's triggers alone write it
    (migration 0018): it follows every change of flags and cases, and has no row of a flag without a case.

    `scope`: the compartments that a reader needs to see the flag, joined by "&": its case's and its own, "" for none.
    `band_order`: the place of the case's own band in BANDS; `score_order`: the case's score, negative.
    """

    __tablename__ = "waiting_flags"

    flag_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    case_id: Mapped[str]
    role: Mapped[str]
    post: Mapped[str]
    scope: Mapped[str] = mapped_column(Text)
    band_order: Mapped[int]
    due_at: Mapped[datetime]
    score_order: Mapped[float]

    __table_args__ = (
        Index("ix_waiting_flags_case", "case_id"),
        Index("ix_waiting_flags_order", "scope", "band_order", "due_at", "score_order", "case_id", "flag_id"),
        Index("ix_waiting_flags_recipient", "role", "post", "scope", "due_at"),
        Index("ix_waiting_flags_due", "due_at"),
    )


class FlagTally(Base):
    """Kept counts of the flags that wait: numbers to be added up. The triggers add a row for every change and never change one,
    so that nobody waits for anybody else to count; now and then rows are replaced by their sums (`waiting.settle`).

    `audience` of `flags` is their scope, and of `cases` the scopes of all flags that a case has for this recipient, joined by
    "|": it is counted for whoever may see one of them.
    """

    __tablename__ = "flag_tallies"

    tally_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    role: Mapped[str]
    post: Mapped[str]
    audience: Mapped[str] = mapped_column(Text)
    cases: Mapped[int]
    flags: Mapped[int]
