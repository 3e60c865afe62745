"""Assessing in shards beside each other, where a night concerns many cases: which there are, and which are done.

    runs/<run>/assess/<shard>.json    the first referral of every case of the shard, the commit and the rules at which it was planned

A shard commits its rows like the whole stage does, and then an empty commit `assess_part` with its counts. The stage `assess` comes
after all of them and does what is left: nothing of them, unless something new came meanwhile. Its result does not depend on
how many shards there were (tests compare).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import files
from pipeline.assess import touched
from pipeline.contract import Night, run_dir
from pipeline.lake import Lake
from pipeline.settings import Settings

COMMIT = "assess_part"


@dataclass(frozen=True)
class CaseShard:
    """A shard: `roots` are the first referrals of its cases. `counts` and `written` say what it did, once it is done."""

    name: str
    roots: tuple[str, ...]
    through: int
    rules: str
    counts: Mapping[str, int] = field(default_factory=dict)
    written: int = 0


def folder(settings: Settings, night: Night) -> Path:
    """Where the run's shards are written down."""
    return run_dir(settings, night.run_id) / "assess"


def cut(settings: Settings, night: Night, work: touched.Work, roots: Sequence[str], size: int) -> list[str]:
    """Write down shards of `size` cases; returns their names. The same cases at the same commit are the same shards."""
    names = []
    for start in range(0, len(roots), size):
        chosen = list(roots[start : start + size])
        name = hashlib.sha256("\n".join([night.run_id, work.rules, *chosen]).encode()).hexdigest()[:24]
        made = {"roots": chosen, "through": work.through, "rules": work.rules}
        files.write_json(folder(settings, night) / f"{name}.json", made)
        names.append(name)
    return names


def planned(settings: Settings, night: Night, name: str) -> CaseShard:
    """A shard as it was written down. Raises FileNotFoundError for one that was never planned."""
    made = json.loads((folder(settings, night) / f"{name}.json").read_bytes())
    return CaseShard(name, tuple(made["roots"]), int(made["through"]), made["rules"])


def done(settings: Settings, night: Night, lake: Lake, work: touched.Work) -> list[CaseShard]:
    """Shards of this run that are committed and were planned by the rules of `work`, with what they did."""
    found = []
    for path in files.finished(folder(settings, night), "*.json"):
        part = planned(settings, night, path.stem)
        if part.rules == work.rules and lake.committed(COMMIT, part.name):
            [commit] = lake.named(COMMIT, [part.name])
            found.append(
                CaseShard(
                    part.name, part.roots, part.through, part.rules, commit.meta["counts"], commit.meta["written"]
                )
            )
    return found


def left(lake: Lake, work: touched.Work, finished: Sequence[CaseShard]) -> frozenset[str] | None:
    """Referrals of the cases that are to be assessed yet; None for every case.

    What came after the shards were planned concerns its cases again, done or not.
    """
    if not finished:
        return work.referrals
    late = touched.since(lake, min(part.through for part in finished))
    if late is None:
        return work.referrals
    covered = {root for part in finished for root in part.roots}
    root = touched.Chains.read(lake).root
    return frozenset(r for r in everyone(lake, work) if root.get(r, r) not in covered) | late


def everyone(lake: Lake, work: touched.Work) -> frozenset[str]:
    """The referrals of the work, all that there are where it is every case."""
    if work.referrals is not None:
        return work.referrals
    return frozenset(lake.read("referrals", ["referral_id"])["referral_id"].to_pylist())
