"""What has changed since the reporting tables were last brought up to date: the database notes it, whoever changes a row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_NOTED = (
    ("cases", "case", "case_id"),
    ("information_requests", "case", "case_id"),
    ("reviews", "case", "case_id"),
    ("safeguarded", "case", "case_id"),
    ("links", "link", "link_id"),
)
"""Table, what its rows are noted as, and the column that names them."""
_SQLITE = """
CREATE TRIGGER touched_{table}_{verb} AFTER {verb} ON {table}
BEGIN INSERT INTO touched (kind, name) VALUES ('{kind}', {row}.{column}); END
"""
_FUNCTION = """
CREATE FUNCTION note_touched_{table}() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    INSERT INTO touched (kind, name) SELECT DISTINCT '{kind}', r.{column} FROM touched_rows r;
    RETURN NULL;
END $$
"""
_POSTGRESQL = """
CREATE TRIGGER touched_{table}_{verb} AFTER {verb} ON {table} REFERENCING {row} TABLE AS touched_rows
FOR EACH STATEMENT EXECUTE FUNCTION note_touched_{table}()
"""


def upgrade() -> None:
    op.create_table(
        "touched",
        sa.Column("touched_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("touched_id"),
        sqlite_autoincrement=True,
    )
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table, kind, column in _NOTED:
        if postgresql:
            op.execute(_FUNCTION.format(table=table, kind=kind, column=column))
        for verb in ("INSERT", "UPDATE", "DELETE"):
            row = "OLD" if verb == "DELETE" else "NEW"
            statement = _POSTGRESQL if postgresql else _SQLITE
            op.execute(statement.format(table=table, verb=verb, kind=kind, column=column, row=row))
