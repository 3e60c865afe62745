"""Every order of the queue: sorted as it says, and its pages follow each other without gap or repeat."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.cases.views import ordering, queue
from pipeline.errors import UsageError
from pipeline.store.opening import Store
from pipeline.store.types import BANDS
from tests.pipeline.cases.conftest import ANALYST
from tests.pipeline.cases.samples import assessment, publish_rows

KEYS: dict[str, Any] = {
    "target": lambda r: r.due_at,
    "age": lambda r: r.clock_start,
    "source": lambda r: (r.source, BANDS.index(r.band)),
    "state": lambda r: (r.state, BANDS.index(r.band)),
    "case": lambda r: r.case_id,
    "risk": lambda r: BANDS.index(r.place),
}


@pytest.mark.parametrize("order", ordering.ORDERS)
def test_pages_of_each_order_are_one_sorted_list(sqlite_store: Store, order: str) -> None:
    publish_rows(sqlite_store, assessments=[assessment(n, BANDS[n % 4]) for n in range(11)])
    with sqlite_store.reader() as session:
        whole = queue.page(session, ANALYST, order=order, size=50)
        found, after = [], None
        while True:
            page = queue.page(session, ANALYST, order=order, size=3, after=after)
            found += page.rows
            after = page.next_after
            if after is None:
                break
        assert [r.case_id for r in found] == [r.case_id for r in whole.rows]
        assert [KEYS[order](r) for r in found] == sorted(KEYS[order](r) for r in found)
        first = queue.page(session, ANALYST, order=order, size=3).next_after
        other = "case" if order != "case" else "age"
        with pytest.raises(UsageError, match="cannot be found"):
            queue.page(session, ANALYST, order=other, after=first)


def test_changed_is_said_only_of_what_somebody_had_looked_at(sqlite_store: Store) -> None:
    publish_rows(sqlite_store, assessments=[assessment(1)])
    with sqlite_store.reader() as session:
        row = queue.page(session, ANALYST).rows[0]
    assert (row.new_for_me, row.changed_for_me) == (True, False)
