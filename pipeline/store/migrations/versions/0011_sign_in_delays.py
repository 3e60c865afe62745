"""Wrong passwords are counted by account and address."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pipeline.store.types import Moment

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sign_in_delays",
        sa.Column("user_id", sa.String(), primary_key=True),
        sa.Column("address", sa.String(), primary_key=True),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("until", Moment(), nullable=True),
    )
