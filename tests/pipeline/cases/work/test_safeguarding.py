"""Children safeguarded: entered by people, corrected by a newer entry, gone with the case."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from pipeline.cases.work import safeguarding
from pipeline.errors import PermissionDeniedError, UsageError
from pipeline.store.opening import Store
from pipeline.store.tables import Case, Change
from tests.pipeline.cases.conftest import ANALYST, DMI
from tests.pipeline.cases.samples import assessment, case_of, publish_rows

ONE = case_of(1)


def enter(store: Store, children: int, actor: object = ANALYST) -> None:
    with store.session() as session:
        safeguarding.enter(session, actor, ONE, children, version=session.get_one(Case, ONE).version)  # type: ignore[arg-type]


def test_the_newest_entry_counts_and_the_history_has_both(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1)])
    enter(store, 3)
    enter(store, 1)
    with store.reader() as session:
        row = safeguarding.newest(session, ONE)
        assert row is not None and (row.children, row.by) == (1, "ana")
        texts = session.scalars(select(Change.text).where(Change.kind == "safeguarded")).all()
    assert list(texts) == ["Entered: 3 children safeguarded", "Entered: 1 child safeguarded"]


def test_a_number_that_cannot_be_and_a_role_that_works_on_no_case_are_refused(sqlite_store: Store) -> None:
    publish_rows(sqlite_store, assessments=[assessment(1)])
    with pytest.raises(UsageError, match="from 0 to 1,000"):
        enter(sqlite_store, 1_001)
    with pytest.raises(PermissionDeniedError):
        enter(sqlite_store, 1, DMI)
