"""The two roles of a case store on PostgreSQL: one owns the tables and changes them, the other only works with the rows.

Whoever owns a table can switch its triggers off, so the role that the services sign in with owns nothing: it may neither alter the
audit log nor empty a table. The owner's URL is known to the deployment's first task alone (TRIAGE_CASES_OWNER_URL_FILE).
"""

from __future__ import annotations

import sqlalchemy as sa

from pipeline.errors import SettingsError
from pipeline.settings import Settings
from pipeline.sql import compose

GRANTS = (
    "GRANT USAGE ON SCHEMA public TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
    "REVOKE UPDATE, DELETE ON audit FROM {role}",
    "REVOKE INSERT, DELETE ON audit_head FROM {role}",
    "REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {role}",
)
"""What the working role is given after every migration; on the audit log it may read and append, and nothing else."""


def owner_url(settings: Settings, working: sa.URL) -> sa.URL | None:
    """URL of the owner, None when the settings name none. Raises SettingsError when it names another database than `working`,
    the same role, or when the file cannot be read."""
    path = settings.cases_owner_url_file
    if path is None:
        return None
    try:
        url = sa.make_url(path.read_text().strip())
    except OSError as error:
        raise SettingsError(f"TRIAGE_CASES_OWNER_URL_FILE cannot be read: {error.strerror}.") from error
    except sa.exc.ArgumentError as error:
        raise SettingsError("TRIAGE_CASES_OWNER_URL_FILE holds no database URL.") from error
    if (url.host, url.port, url.database) != (working.host, working.port, working.database):
        raise SettingsError(
            "TRIAGE_CASES_OWNER_URL_FILE names another database than the case store.", "Only the role may differ."
        )
    if url.username == working.username or working.username is None:
        raise SettingsError(
            "The owner of the case store and the role that works with it are the same.", "Give each a role of its own."
        )
    return url


def grant(connection: sa.Connection, role: str) -> None:
    """Give the working role its rights, as the owner. Raises SettingsError for a role whose name is no plain name."""
    for statement in GRANTS:
        try:
            composed = compose(statement, role=role)
        except ValueError as error:
            raise SettingsError("The role of the case store is not written in a-z, 0-9 and _.") from error
        connection.execute(sa.text(composed))
