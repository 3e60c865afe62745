"""Notifications name the authority and the force that they go to, and the place which that follows from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("place", "authority", "force_code"):
        op.add_column("notifications", sa.Column(name, sa.String(length=200), nullable=True))
