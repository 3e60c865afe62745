"""How many shards one task of an orchestrator does, one after the other in one process.

A process costs a few seconds before it does anything: imports, policies, a verified release, kernels, a media worker. A bundle
holds so much work that this is little of it, by what a shard of the stage has cost in the runs before; and there are never more
bundles than an orchestrator maps over. A shard stays the unit that is committed: a bundle that is killed goes on with the next.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pipeline import contract as nights
from pipeline.lake import Lake
from pipeline.lake.run_rows import REPORT
from pipeline.settings import Settings

LOOKED_AT = 5
"""Newest runs whose reports say what a shard costs."""


def cut(shards: Sequence[str], seconds_each: float, wanted: float, at_most: int) -> list[list[str]]:
    """The shards in order, in bundles of equal numbers (to one) of about `wanted` seconds of work; never more than `at_most`.

    The obvious form of it: as many bundles as the work holds, at least one, and none without a shard.
    """
    if not shards:
        return []
    number = round(len(shards) * seconds_each / wanted) if wanted > 0 else len(shards)
    number = min(max(1, number), len(shards), at_most)
    edges = [round(i * len(shards) / number) for i in range(number + 1)]
    return [list(shards[a:b]) for a, b in itertools.pairwise(edges)]


def measured(settings: Settings, stage: str, otherwise: float) -> float:
    """Mean wall seconds of a shard of the stage in the newest runs that have one; `otherwise` where none was done yet.

    A repeat of a shard is left out: it finds the work done and costs nothing.
    """
    last = Lake.of(settings).run_rows.newest(REPORT)
    newest = sorted(last, key=lambda run: last[run], reverse=True)[:LOOKED_AT]
    found: list[float] = []
    for reports in nights.reports_of(settings, newest).values():
        first: dict[str | None, float] = {}
        for report in reports:
            if report.stage == stage and report.read:
                first.setdefault(report.shard, report.seconds)
        found += first.values()
    return sum(found) / len(found) if found else otherwise
