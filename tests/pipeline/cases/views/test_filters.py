"""Filters that a person keeps under a name: their own only, and nothing but filters."""

from __future__ import annotations

import pytest

from pipeline.cases.views import filters
from pipeline.errors import PermissionDeniedError, UsageError
from pipeline.store.opening import Store
from tests.pipeline.cases.conftest import ADMINISTRATOR, ANALYST, OTHER


def test_each_person_has_their_own_and_a_name_is_replaced(sqlite_store: Store) -> None:
    with sqlite_store.session() as session:
        filters.save(session, ANALYST, " My  late ", "urgency=overdue&after=x&format=csv&done=kept")
        filters.save(session, ANALYST, "My late", "band=high&urgency=overdue")
        assert [(f.name, f.query) for f in filters.saved(session, ANALYST)] == [
            ("My late", "band=high&urgency=overdue")
        ]
        assert filters.saved(session, OTHER) == []
        filters.remove(session, OTHER, "My late")
        assert len(filters.saved(session, ANALYST)) == 1
        filters.remove(session, ANALYST, "My late")
        assert filters.saved(session, ANALYST) == []


@pytest.mark.parametrize(
    ("name", "query"), [("", "band=high"), ("x" * 61, "band=high"), ("x", ""), ("x", "next=/evil")]
)
def test_what_cannot_be_kept_is_refused(sqlite_store: Store, name: str, query: str) -> None:
    with sqlite_store.session() as session, pytest.raises(UsageError):
        filters.save(session, ANALYST, name, query)


def test_only_so_many_and_only_for_who_lists_the_queue(sqlite_store: Store) -> None:
    with sqlite_store.session() as session:
        for number in range(filters.MOST):
            filters.save(session, ANALYST, f"F{number}", "band=high")
        with pytest.raises(UsageError, match="saved filters"):
            filters.save(session, ANALYST, "one more", "band=high")
        with pytest.raises(PermissionDeniedError):
            filters.saved(session, ADMINISTRATOR)
