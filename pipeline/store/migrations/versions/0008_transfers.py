"""A transfer is offered first and settled later: taken by the other force, or not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pipeline.store import types

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("transfers", sa.Column("settled_at", types.Moment(timezone=True), nullable=True))
    op.add_column("transfers", sa.Column("settled_by", sa.String(length=200), nullable=True))
    op.add_column("transfers", sa.Column("accepted", sa.Boolean(), nullable=True))
    op.add_column("transfers", sa.Column("accepted_by", sa.String(length=200), nullable=True))
    # transfers of before were recorded when the other force had taken the case
    op.execute('UPDATE transfers SET settled_at = at, settled_by = "by", accepted = TRUE, accepted_by = recipient')


def downgrade() -> None:
    for column in ("accepted_by", "accepted", "settled_by", "settled_at"):
        op.drop_column("transfers", column)
