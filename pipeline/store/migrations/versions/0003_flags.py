"""Escalation flags with clock, recipient and acknowledgement."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pipeline.store import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "flags",
        sa.Column("flag_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("rule", sa.String(length=200), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=200), nullable=False),
        sa.Column("post", sa.String(length=200), nullable=False),
        sa.Column("compartment", sa.String(length=200), nullable=True),
        sa.Column("raised_at", types.Moment(timezone=True), nullable=False),
        sa.Column("due_at", types.Moment(timezone=True), nullable=False),
        sa.Column("gone_at", types.Moment(timezone=True), nullable=True),
        sa.Column("waiting", sa.Boolean(), nullable=False),
        sa.Column("told_to", sa.String(length=200), nullable=True),
        sa.Column("told_by", sa.String(length=200), nullable=True),
        sa.Column("told_at", types.Moment(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.String(length=200), nullable=True),
        sa.Column("acknowledged_at", types.Moment(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("flag_id"),
    )
    op.create_index("ix_flags_case_id", "flags", ["case_id"], unique=False)
    op.create_index(
        "ix_flags_waiting",
        "flags",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("waiting"),
        postgresql_where=sa.text("waiting"),
    )
    op.add_column("cases", sa.Column("unacknowledged", sa.Boolean(), nullable=False, server_default=sa.false()))
