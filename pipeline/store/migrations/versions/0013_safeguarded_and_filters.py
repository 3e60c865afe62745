"""Children safeguarded are entered by people; a person keeps filters of the queue under a name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pipeline.store.types import Moment

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "safeguarded",
        sa.Column("safeguarded_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("case_id", sa.String(200), nullable=False, index=True),
        sa.Column("children", sa.Integer(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
    )
    op.create_table(
        "saved_filters",
        sa.Column("user_id", sa.String(200), primary_key=True),
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
    )
