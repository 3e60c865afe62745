"""When a match was found: with the content's first comparison, or later, by a release that knew more.

A file that no source knew when its case came in stays possibly new for that case when it is found known later: the
suspect had it before it was known, so it is no sign that the suspect is further from the child. That is why a match can
only add to a case. Moments are numbers of runs in the order of the lake's commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from pipeline.lake import Lake
from pipeline.lake.parts import Where

AT_ONCE = 0
"""The number of what a content's first comparison found (the match stage)."""
LAST = 2**62
"""The number of a run that has published nothing yet: it comes after all that have."""


def later(lake: Lake, where: Where | None) -> pa.Table:
    """Columns match_id and since (int64, a number of a run): the matches that retro-matching found."""
    rows = lake.read("matches", ["match_id", "run_id"], stage="retro", where=where)
    numbers = lake.runs() if rows.num_rows else {}
    since = [numbers.get(run, LAST) for run in rows["run_id"].to_pylist()]
    return pa.table({"match_id": rows["match_id"], "since": pa.array(since, pa.int64())})


def received(lake: Lake, referrals: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Columns referral_id, force_received_at and arrived (int64, the number of the run that took the referral in)."""
    rows, numbers = list(referrals), lake.runs()
    return pa.table(
        {
            "referral_id": pa.array([r["referral_id"] for r in rows], pa.string()),
            "force_received_at": pa.array([r["force_received_at"] for r in rows], pa.timestamp("us", tz="UTC")),
            "arrived": pa.array([numbers.get(r["run_id"], AT_ONCE) for r in rows], pa.int64()),
        }
    )
