"""Which frames are worth asking, and how far: the radii of `variants.families` chosen by measurement instead of by hand.

    TRIAGE_CORPORA=... python -m bench.recall_choose collect FILE.npz --every 2 --from 0   # distances, some minutes of one core
    python -m bench.recall_choose choose FILE.npz...                                       # radii under the budget

`collect` edits photographs as bench/recall.py does, with other random positions, themes and sizes, hashes each file in far more
frames than the policy asks (`CANDIDATES` over policy/fingerprint.yaml), as they are, mirrored and turned, and keeps for each group
of queries the nearest that it comes to the picture's own known hash. A group is what a policy can name: one padding on all four corners,
one angle either way, a family in one flip. `choose` gives each group the radius that brings most at a price for a microsecond, the
others as they are, until nothing changes, and finds the price at which the budget is spent; what counts is the share that was
asked for, and a little what is found beyond. It chooses on half of the pictures and says what that gives on the other half.
policy/matching.yaml follows the choice on all, with groups that are asked nearly alike put together.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.common import machine, save
from bench.recall import bar
from bench.recall_collect import BETWEEN, Collected, chosen_edits, collect
from bench.recall_report import BARS
from pipeline.validation import composed, edits

RADII = (31, 33, 35, 39, 43, 47)
PRICES = {31: 6.65, 33: 10.79, 35: 14.17, 39: 23.29, 43: 35.54, 47: 51.07}
"""CPU microseconds of one query at ten million known hashes (bench/results/recall.json)."""

BUDGET = 13_400.0
"""Microseconds of one file: 1.5 times the grid of before is 13,560."""

FOR_THOSE_BETWEEN = 0.9
"""Share wanted of the edits between those of the bench."""

KEPT = {
    "picture as it is": 43, "mirrored": 47, "upside down": 31, "rotated 180": 31, "rotated 90": 35, "rotated 270": 35,
    "border trimmed": 47, "border trimmed above and below": 47, "border trimmed at the sides": 47, "trimmed to edges": 47,
    "trimmed to edges above and below": 47, "trimmed to what is sharp": 39, "opened to 9.16": 43, "opened to 3.4": 47,
    "opened to 2.3": 47, "opened to 16.9": 43, "opened to 4.3": 47, "opened to 3.2": 47, "part | mirrored": 31,
}  # fmt: skip
"""Groups asked whatever the edits of the bench say, at least so far: the flips, borders in them, and shapes that photographs
have upright as often as lying, though the corpora hold few of them."""

REPEATED = 4
"""How often each file is taken with its distances moved at random."""


def read(paths: list[Path]) -> Collected:
    """The files of `collect`, together."""
    parts = [np.load(path) for path in paths]
    groups = sorted({str(label) for part in parts for label in part["groups"]})
    places = [np.searchsorted(groups, part["groups"]) for part in parts]
    nearest = [np.full((len(part["edit"]), len(groups)), 255, np.uint8) for part in parts]
    queries = [np.zeros(table.shape, np.uint16) for table in nearest]
    for k, part in enumerate(parts):
        nearest[k][:, places[k]], queries[k][:, places[k]] = part["nearest"], part["queries"]
    together = {name: np.concatenate([part[name] for part in parts]) for name in ("edit", "place", "plain", "refined")}
    return Collected(groups, np.concatenate(nearest), np.concatenate(queries), **together)


class Search:
    """Radii of groups under a price for a microsecond, by coordinate descent: one group after another takes its best radius."""

    def __init__(self, data: Collected, files: NDArray[np.bool_], repeated: int = 1, jitter: float = 0.0) -> None:
        """`repeated` times the files, each distance moved at random (standard deviation `jitter` bits, never nearer on average):
        other pictures lie elsewhere, so that a choice has to have something in hand."""
        names, self.edit = np.unique(np.tile(data.edit[files], repeated), return_inverse=True)
        self.bars = np.array([asked_for(name) for name in names])
        self.size = np.bincount(self.edit).astype(float)
        nearest = np.tile(data.nearest[files].astype(np.float32), (repeated, 1))
        refined = np.minimum(np.tile(data.refined[files], repeated), nearest.min(axis=1))
        if jitter:
            nearest += np.random.default_rng(3).normal(jitter / 2, jitter, nearest.shape).astype(np.float32)
        usable = refined <= 43
        self.plain = np.tile(data.plain[files], repeated) <= RADII[0]
        self.hits = np.stack([(nearest <= r) & ((nearest <= RADII[0]) | usable[:, None]) for r in RADII])
        self.price = np.outer(PRICES_OF, data.queries.mean(axis=0))
        self.least = np.array([RADII.index(KEPT[name]) if name in KEPT else -1 for name in data.groups])
        self.names = names

    def value(self, found: NDArray[np.bool_]) -> float:
        """Shares found up to what was asked for, and a seventh of what is found beyond."""
        shares = np.bincount(self.edit, found) / self.size
        return float(np.minimum(shares, self.bars).sum() + shares.sum() / 7)

    def descend(self, level: NDArray[np.int64], worth: float, passes: int = 6) -> NDArray[np.int64]:
        """Levels (groups,) of RADII, -1 not asked; `worth` is the value that a microsecond has to bring."""
        level = level.copy()
        count = self.plain.astype(int) + sum(self.hits[r, :, g] for g, r in enumerate(level) if r >= 0)
        order = np.argsort(self.price[0])[::-1]
        for _ in range(passes):
            before = level.copy()
            for g in order:
                if level[g] >= 0:
                    count = count - self.hits[level[g], :, g]
                others = count > 0
                net = [self.value(others)] + [
                    self.value(others | self.hits[r, :, g]) - worth * self.price[r, g] for r in range(len(RADII))
                ]
                level[g] = max(int(np.argmax(net)) - 1, self.least[g])
                if level[g] >= 0:
                    count = count + self.hits[level[g], :, g]
            if (before == level).all():
                break
        return level

    def cost(self, level: NDArray[np.int64]) -> float:
        return float(sum(self.price[r, g] for g, r in enumerate(level) if r >= 0))

    def shares(self, level: NDArray[np.int64]) -> dict[str, float]:
        found = self.plain.copy()
        for g, r in enumerate(level):
            if r >= 0:
                found |= self.hits[r, :, g]
        return dict(zip(self.names.tolist(), (np.bincount(self.edit, found) / self.size).tolist(), strict=True))

    def best(self, budget: float) -> NDArray[np.int64]:
        """Levels within a budget of microseconds: the price of one is found by halving."""
        low, high, kept = 1e-6, 1e-1, None
        level = self.descend(np.full(self.price.shape[1], len(RADII) - 1), low, 2)
        for _ in range(14):
            worth = (low * high) ** 0.5
            tried = self.descend(level, worth)
            if self.cost(tried) > budget:
                low, level = worth, tried
            else:
                high, kept = worth, tried
        if kept is None:
            raise ValueError("no choice fits the budget")
        return kept


PRICES_OF = [PRICES[r] for r in RADII]


def asked_for(name: str) -> float:
    """Least share asked for an edit; 0.03 beyond it, since other pictures differ."""
    if name in BETWEEN:
        return FOR_THOSE_BETWEEN
    kind = (edits.EDITS.get(name) or composed.EDITS[name])[0]
    return min(1.0, BARS.get(name, bar(name, kind)) + 0.03)


def choose(data: Collected, budget: float, jitter: float) -> None:
    """What halves of the pictures give on each other, then groups and radii chosen on all: printed and saved."""
    half, every = data.place % 8 < 4, np.ones(len(data.place), bool)
    first, second, whole = (Search(data, files) for files in (half, ~half, every))
    level = Search(data, half, REPEATED, jitter).best(budget)
    final = Search(data, every, REPEATED, jitter).best(budget)
    ceiling = np.full(len(data.groups), len(RADII) - 1)
    columns = {
        "chosen_on": first.shares(level),
        "other_half": second.shares(level),
        "other_half_all_at_47": second.shares(ceiling),
        "all": whole.shares(final),
        "all_at_47": whole.shares(ceiling),
    }
    shares = {
        name: {
            "wanted": round(asked_for(name) - 0.03, 3),
            **{key: round(found[name], 3) for key, found in columns.items()},
        }
        for name in whole.names.tolist()
    }
    chosen = {data.groups[g]: RADII[final[g]] for g in np.flatnonzero(final >= 0)}
    save(
        "recall_choose",
        {
            "machine": machine(),
            "photographs": len(np.unique(data.place)),
            "files": len(data.place),
            "groups_tried": len(data.groups),
            "microseconds": round(whole.cost(final)),
            "microseconds_all_at_47": round(whole.cost(ceiling)),
            "budget": budget,
            "mean": {key: round(float(np.mean(list(found.values()))), 3) for key, found in columns.items()},
            "shares": shares,
            "chosen": chosen,
        },
    )
    for name, row in shares.items():
        print(f"{name:45} {row}{'' if row['all'] >= row['wanted'] else '  missed'}")
    print(f"microseconds of a file: {whole.cost(final):.0f} of {budget:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=["collect", "choose"])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--between", action="store_true", help="collect the edits between those of the bench")
    parser.add_argument("--every", type=int, default=2)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--budget", type=float, default=BUDGET)
    parser.add_argument("--jitter", type=float, default=4.0)
    given = parser.parse_args()
    if given.what == "collect":
        names = list(BETWEEN) if given.between else chosen_edits()
        collect(given.files[0], Path(os.environ["TRIAGE_CORPORA"]), names, given.every, given.first)
    else:
        choose(read(given.files), given.budget, given.jitter)


if __name__ == "__main__":
    main()
