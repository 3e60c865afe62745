"""People, their access, and the append-only audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pipeline.store import types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


_SQLITE = """
CREATE TRIGGER audit_no_{verb} BEFORE {verb} ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
"""
_POSTGRESQL = (
    """
    CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$
    """,
    """
    CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()
    """,
)


def upgrade() -> None:
    _create_tables()
    op.execute("INSERT INTO audit_head (head_id, seq, hash) VALUES (1, 0, '" + "0" * 64 + "')")
    statements = (
        _POSTGRESQL
        if op.get_bind().dialect.name == "postgresql"
        else tuple(_SQLITE.format(verb=verb) for verb in ("UPDATE", "DELETE"))
    )
    for statement in statements:
        op.execute(statement)


def _create_tables() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("token_id", sa.String(length=200), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", types.Moment(timezone=True), nullable=False),
        sa.Column("expires_at", types.Moment(timezone=True), nullable=False),
        sa.Column("revoked_at", types.Moment(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("token_id"),
        sa.UniqueConstraint("token_sha256"),
    )
    op.create_index(("ix_api_tokens_user_id"), "api_tokens", ["user_id"], unique=False)
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.String(length=200), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("user_name", sa.String(length=200), nullable=False),
        sa.Column("roles", sa.String(length=200), nullable=False),
        sa.Column("category", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=200), nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=True),
        sa.Column("object", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=200), nullable=False),
        sa.Column("hash", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("ix_audit_case", "audit", ["case_id", "seq"], unique=False)
    op.create_index("ix_audit_user", "audit", ["user_id", "seq"], unique=False)
    op.create_table(
        "audit_head",
        sa.Column("head_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("head_id"),
    )
    op.create_table(
        "teams",
        sa.Column("team_id", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("team_id"),
    )
    op.create_table(
        "users",
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("origin", sa.String(length=200), nullable=False),
        sa.Column("roles", types.JsonText(), nullable=False),
        sa.Column("compartments", types.JsonText(), nullable=False),
        sa.Column("team_id", sa.String(length=200), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("failed_attempts", sa.Integer(), nullable=False),
        sa.Column("locked_until", types.Moment(timezone=True), nullable=True),
        sa.Column("created_at", types.Moment(timezone=True), nullable=False),
        sa.Column("last_sign_in_at", types.Moment(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id"),
    )
    op.create_table(
        "web_sessions",
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("csrf", sa.String(length=200), nullable=False),
        sa.Column("created_at", types.Moment(timezone=True), nullable=False),
        sa.Column("last_seen_at", types.Moment(timezone=True), nullable=False),
        sa.Column("expires_at", types.Moment(timezone=True), nullable=False),
        sa.Column("data", types.JsonText(), nullable=False),
        sa.PrimaryKeyConstraint("token_sha256"),
    )
    op.create_index(("ix_web_sessions_user_id"), "web_sessions", ["user_id"], unique=False)


def downgrade() -> None:
    for table in (
        "api_tokens",
        "audit",
        "audit_head",
        "teams",
        "users",
        "web_sessions",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_append_only()")
