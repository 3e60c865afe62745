"""The queue by risk and by target: indexes that cover both orders with every filter."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_BEFORE = [
    "is_open", "band_order", "due_at", "compartment", "score_order", "case_id", "state", "holder", "claim_expires_at",
    "source", "provider", "force_code", "team_id", "flagged", "text_only", "unknown_files", "matched_exact",
    "matched_near", "lowering_pending", "second_look", "change_id", "reopened_at", "opened_at",
]  # fmt: skip
_COVERED = [
    "compartment", "unacknowledged", "score_order", "case_id", "state", "holder", "claim_expires_at", "source", "provider",
    "force_code", "team_id", "flagged", "text_only", "unknown_files", "matched_exact", "matched_near", "lowering_pending",
    "second_look", "change_id", "reopened_at", "opened_at",
]  # fmt: skip


def upgrade() -> None:
    op.drop_index("ix_cases_queue", "cases")
    op.create_index("ix_cases_queue", "cases", ["is_open", "band_order", "due_at", *_COVERED], unique=False)
    op.create_index("ix_cases_target", "cases", ["is_open", "due_at", "band_order", *_COVERED], unique=False)


def downgrade() -> None:
    op.drop_index("ix_cases_target", "cases")
    op.drop_index("ix_cases_queue", "cases")
    op.create_index("ix_cases_queue", "cases", _BEFORE, unique=False)
