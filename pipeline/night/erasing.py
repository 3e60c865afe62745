"""Erasure beyond the case store: what the lake and the reports still hold of erased cases."""

from __future__ import annotations

from pipeline.cases.views import case as views
from pipeline.export import stage as reporting
from pipeline.lake import Lake
from pipeline.settings import Settings
from pipeline.store.opening import open_store


def erase(settings: Settings, run_id: str) -> dict[str, int]:
    """Empty the personal values of every erased case's referrals in the lake, and write the reporting tables without them.

    Returns the files that were written anew by table; doing it again changes nothing. The audit log keeps that a case
    was erased, by whom and why.
    """
    store = open_store(settings)
    try:
        with store.reader() as session:
            referrals = views.erased_referrals(session)
    finally:
        store.close()
    counts = Lake.of(settings).erase(referrals, run_id)
    if counts:
        reporting.write(settings, None)
    return counts
