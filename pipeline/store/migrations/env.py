"""Alembic's entry point. The store hands over its open connection (`pipeline/store/opening.py`); without one,
`alembic -c alembic.ini revision --autogenerate` works on the store that the settings name."""

from __future__ import annotations

from alembic import context

from pipeline.store import operations, people_tables, tables, work_tables
from pipeline.store.types import Base

assert_tables = (
    tables.Case,
    people_tables.AuditHead,
    operations.Alarm,
    work_tables.SavedFilter,
)  # imported so that autogenerate sees these tables too


def run(connection: object) -> None:
    """Run the migrations on an open connection, inside its transaction."""
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)  # type: ignore[arg-type]
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
