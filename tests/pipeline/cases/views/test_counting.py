"""Counts against an obvious twin: the rows of all pages, counted."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.cases.views import counting, queue
from pipeline.cases.views.queue import QueueFilters
from pipeline.cases.work import claims
from pipeline.store.actors import Actor
from pipeline.store.opening import Store
from pipeline.store.types import BANDS
from tests.pipeline.cases.conftest import ANALYST, OTHER, UCOL, Clock
from tests.pipeline.cases.samples import case_of
from tests.pipeline.cases.test_queue import CASES, fill

FILTERS = (
    QueueFilters(),
    QueueFilters(new_for_me=True),
    QueueFilters(new_for_me=False),
    QueueFilters(holder="nobody"),
    QueueFilters(holder="nobody", new_for_me=True, band=("high", "low")),
    QueueFilters(holder="nobody", urgency=("overdue", "not_yet_due"), unknown_files=True),
    QueueFilters(unknown_files=False, reopened=False, flagged=True),
    QueueFilters(state=("allocated",), new_for_me=True),
)


def twin(store: Store, actor: Actor, filters: QueueFilters) -> dict[str, int]:
    with store.reader() as session:
        rows = queue.page(session, actor, filters, size=CASES).rows
    found = Counter([*(row.place for row in rows), *(row.urgency for row in rows)])
    groups = [*BANDS, *(filters.urgency or queue.URGENCIES)]
    return {name: found[name] for name in groups} | {"total": len(rows)}


@pytest.mark.parametrize("actor", [ANALYST, UCOL], ids=["open", "cleared"])
def test_each_number_is_that_of_the_rows(store: Store, clock: Clock, actor: Actor) -> None:
    """Before and after claims lapsed: who holds a case no longer counts as holding it."""
    fill(store)
    with store.session() as session:
        claims.claim(session, OTHER, case_of(12))
    for _ in range(2):
        for filters in FILTERS:
            with store.reader() as session:
                assert counting.counts(session, actor, filters) == twin(store, actor, filters), filters
        clock.forward(days=3)
