"""Graded results of a case are uploaded in the console, and taken into the known-hash store from here."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pipeline.store.types import Moment

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "graded_uploads",
        sa.Column("upload_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("case_id", sa.String(200), nullable=False, index=True),
        sa.Column("source_id", sa.String(200), nullable=False),
        sa.Column("file_name", sa.String(200), nullable=False),
        sa.Column("sha256", sa.String(200), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.String(200), nullable=False, index=True),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("fitting", sa.Integer(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("settled_at", Moment(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
    )
