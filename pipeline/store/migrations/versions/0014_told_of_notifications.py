"""A notification that was made says which post was told, by whom and when, as a flag does."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pipeline.store.types import Moment

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notifications", sa.Column("post", sa.String(200), nullable=True))
    op.add_column("notifications", sa.Column("told_by", sa.String(200), nullable=True))
    op.add_column("notifications", sa.Column("told_at", Moment(), nullable=True))
    # of before, the one who recorded it is taken for the one who told, at that time
    op.execute("UPDATE notifications SET told_by = made_by, told_at = made_at WHERE reason_code = 'made'")
