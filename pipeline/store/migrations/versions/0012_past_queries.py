"""Each person's own history of SQL statements."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pipeline.store.types import Moment

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "past_queries",
        sa.Column("query_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("statement", sa.String(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=True),
    )
    op.create_index("ix_past_queries_user_id", "past_queries", ["user_id"])
