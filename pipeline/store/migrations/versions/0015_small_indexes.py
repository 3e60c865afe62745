"""A filter that finds nothing costs no walk through all cases: small indexes, and the orders cover band and score too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_COVERED = [
    "compartment", "case_id", "state", "holder", "claim_expires_at", "source", "provider",
    "force_code", "team_id", "flagged", "text_only", "unknown_files", "matched_exact", "matched_near", "lowering_pending",
    "second_look", "change_id", "reopened_at", "opened_at", "band", "score",
]  # fmt: skip
_CHOSEN_BY = ("source", "provider", "force_code", "team_id", "state", "opened_at")
_SOME = {
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


def upgrade() -> None:
    by_risk = ["band_order", "unacknowledged", "score_order", "due_at"]
    for name, first in (("queue", by_risk), ("target", ["due_at", "band_order", "score_order", "unacknowledged"])):
        op.drop_index(f"ix_cases_{name}", "cases")
        op.create_index(f"ix_cases_{name}", "cases", ["is_open", *first, *_COVERED], unique=False)
    op.create_index(
        "ix_cases_number", "cases", ["case_id"], unique=False, postgresql_ops={"case_id": "varchar_pattern_ops"}
    )
    op.create_index("ix_cases_band", "cases", ["band", "band_order"], unique=False)
    for name in _CHOSEN_BY:
        op.create_index(f"ix_cases_{name}", "cases", [name], unique=False)
    for name, condition in _SOME.items():
        few = sa.text(condition)
        op.create_index(f"ix_cases_{name}", "cases", [name], unique=False, sqlite_where=few, postgresql_where=few)
