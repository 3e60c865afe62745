"""The fixtures of the case store, as the tests of cases have them."""

from __future__ import annotations

from tests.pipeline.cases.conftest import (
    case_settings,
    clock,
    policy_folder,
    postgresql_database,
    sqlite_store,
    sqlite_template,
    store,
)

__all__ = [
    "case_settings",
    "clock",
    "policy_folder",
    "postgresql_database",
    "sqlite_store",
    "sqlite_template",
    "store",
]
