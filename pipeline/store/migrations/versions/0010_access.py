"""Accounts of the identity provider are keyed by issuer and subject; API tokens have a scope."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("issuer", "subject"):
        op.add_column("users", sa.Column(name, sa.String(), nullable=True))
    op.create_index("ix_users_subject", "users", ["issuer", "subject"], unique=True)
    op.add_column("api_tokens", sa.Column("scope", sa.String(), nullable=False, server_default="read"))
