"""Indexes of the table of cases: two that cover the orders of the queue, and small ones for what filters choose by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Index, func, text

COVERED = (
    "compartment", "case_id", "state", "holder", "claim_expires_at", "source", "provider",
    "force_code", "team_id", "flagged", "text_only", "unknown_files", "matched_exact", "matched_near", "lowering_pending",
    "second_look", "change_id", "reopened_at", "opened_at", "band", "score",
)  # fmt: skip
CHOSEN_BY = ("source", "provider", "force_code", "team_id", "state", "opened_at")
"""Columns of which a filter chooses values: a value that no case has is known at once."""
SOME = {
    "flagged": "flagged",
    "unacknowledged": "unacknowledged",
    "text_only": "text_only",
    "lowering_pending": "lowering_pending",
    "second_look": "second_look",
    "reopened_at": "reopened_at IS NOT NULL",
    "unknown_files": "unknown_files > 0",
    "matched_exact": "matched_exact > 0",
    "matched_near": "matched_near > 0",
}
"""What a filter asks of a case, with the condition of the index that holds only the cases of which it is so."""


RESTRICTED = "compartment IS NOT NULL"
"""The condition of the indexes of what is in a compartment."""


def restricted(name: str, *more: str) -> Index:
    """An index of the rows that are in a compartment, with more of their columns: what somebody may not see is found at once."""
    return _partial(name, ("compartment", *more), RESTRICTED)


def of_cases() -> Iterator[Index]:
    """The indexes of cases. The first two, one for each main order, cover every filter, so that a page reads no row but
    its own."""
    yield Index("ix_cases_queue", "is_open", "band_order", "unacknowledged", "score_order", "due_at", *COVERED)
    yield Index("ix_cases_target", "is_open", "due_at", "band_order", "score_order", "unacknowledged", *COVERED)
    yield restricted("ix_cases_compartment", "is_open", "band_order", "due_at")  # with what is counted of cases
    yield Index("ix_cases_holder", "holder")
    yield Index("ix_cases_retention", "retention_review_at")
    yield Index("ix_cases_number", "case_id", postgresql_ops={"case_id": "varchar_pattern_ops"})
    yield Index("ix_cases_band", "band", "band_order")
    for name in CHOSEN_BY:
        yield Index(f"ix_cases_{name}", name)
    for name, condition in SOME.items():
        yield _partial(f"ix_cases_{name}", (name,), condition)


def _partial(name: str, columns: Sequence[str], condition: str) -> Index:
    return Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))


def unindexed(column: Any) -> Any:
    """A column as a value for which no index is taken. SQLite has no statistics: where a condition on another column leaves few rows,
    it would still walk the index of this one through all that is open, waits or is restricted."""
    return func.coalesce(column, column)
