"""Which buckets a query has to visit for a radius, and whether visiting them beats a linear scan.

Let d_i be the differing bits of chunk i, with sum(d_i) <= r. Give every chunk a whole budget c_i >= 0 with
sum(c_i) = r + 1. Then sum(d_i - c_i) < 0, and by the cycle lemma some chunk i has d_i + ... + d_(i+l-1) <=
c_i + ... + c_(i+l-1) - 1 for EVERY run length l, indices modulo m (Qin and Xiao, "Pigeonring", VLDB 2018, with
budgets that may differ between chunks). So table i is asked for d_i <= c_i - 1, and its 32-bit word, chunks i+1 and
i+2, for at most c_i + c_(i+1) + c_(i+2) - 1 - d_i differing bits, of them c_i + c_(i+1) - 1 - d_i in chunk i+1. A chunk with
budget 0 needs no table.

If chunk i satisfies this and d_(i-1) <= c_(i-1) - 1, chunk i-1 satisfies it too. So a pair is emitted by the first
table i that admits it and, for i > 0, has d_(i-1) >= c_(i-1): every pair once, without comparing results.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

VISIT = 14.0
"""Cost of a visit besides its words, in units of one vector of 16 words (measured by bench/matching.py)."""
CHECK = 60.0
"""Cost of one full distance of a pair that the words let pass: two reads from memory."""
ROW = 4.0
"""Cost of one pair in the linear scan."""


@dataclass(frozen=True)
class Plan:
    """What to do for one radius. `budgets` are the c_i; `tables` those with c_i > 0.

    `masks[t]` are all differences of at most c_i - 1 bits for the largest c_i, `levels` where each number of bits begins.
    """

    radius: int
    budgets: tuple[int, ...]
    masks: NDArray[np.int64]
    levels: NDArray[np.int64]
    rules: NDArray[np.uint16]
    limits: tuple[NDArray[np.uint32], ...]

    @property
    def tables(self) -> list[int]:
        return [i for i, c in enumerate(self.budgets) if c > 0]

    @property
    def too_deep(self) -> bool:
        """Whether a chunk may differ by more bits than are ever probed: only a linear scan is exact then."""
        return max(self.budgets) - 1 > DEEPEST

    @property
    def probes(self) -> int:
        """Buckets that one query visits, all tables together."""
        return sum(_neighbours(c - 1) for c in self.budgets if c > 0)

    def candidates(self, rows: int) -> float:
        """Expected words compared for one query against `rows` uniformly distributed hashes."""
        return self.probes * rows / 65536

    def survivors(self, rows: int) -> float:
        """Expected pairs whose words pass by chance, for one query against `rows` uniformly distributed hashes."""
        total = 0.0
        for i in self.tables:
            for bits, limit in enumerate(self.limits[i]):
                most = max(int(limit) - self.budgets[(i + 2) % len(self.budgets)], 0)
                passing = sum(comb(16, a) * comb(16, b) for a in range(most + 1) for b in range(int(limit) - a + 1))
                total += comb(16, bits) * passing / 2**32
        return total * rows / 65536

    def cost(self, rows: int, queries: int) -> float:
        """Expected cost of one query by buckets; see VISIT. Buckets without entries cost next to nothing."""
        filled = -np.expm1(-rows / 65536)
        visits = self.probes * filled
        # Walking the buckets costs the same however few queries there are.
        walk = len(self.tables) * min(65536.0, rows) * 2.0 / max(queries, 1)
        return float(visits * (VISIT + rows / 65536 / 16 / filled) + self.survivors(rows) * CHECK + walk)

    def scan(self, rows: int, queries: int) -> bool:
        """Whether a linear scan is expected to be cheaper."""
        return rows > 0 and rows * ROW <= self.cost(rows, queries)


@cache
def plan(radius: int, chunks: int) -> Plan:
    """The plan for a radius (bits) on hashes of `chunks` chunks of 16 bits."""
    budgets = _budgets(radius, chunks)
    deepest = max(budgets) - 1
    masks, levels = _masks(min(deepest, DEEPEST))
    three = [budgets[i] + budgets[(i + 1) % chunks] + budgets[(i + 2) % chunks] - 1 for i in range(chunks)]
    rules = np.zeros((4, chunks), np.uint16)
    # A chunk without budget can be admitted by no table: no sum of three chunks is above 48, so 0 bits and a
    # least number of bits in the chunk before that never occurs rule it out.
    for i in range(chunks):
        usable = budgets[i] > 0
        rules[0, i] = budgets[i] - 1 if usable else 0
        rules[1, i] = max(three[i], 0)
        rules[3, i] = max(budgets[i] + budgets[(i + 1) % chunks] - 1, 0)
        rules[2, i] = (0 if i == 0 else budgets[i - 1]) if usable else 99
    limits = tuple(np.array([three[i] - t for t in range(budgets[i])], np.uint32).clip(max=32) for i in range(chunks))
    return Plan(radius, budgets, masks, levels, rules, limits)


DEEPEST = 4
"""More differing bits in a chunk than this are never probed: a linear scan is cheaper by far."""


def _budgets(radius: int, chunks: int) -> tuple[int, ...]:
    """radius + 1 shared out as evenly as possible: the number of probes grows faster than linearly in a budget."""
    share, rest = divmod(radius + 1, chunks)
    # The larger budgets are spread over the ring, so that no run of three collects them.
    extra = {k * chunks // rest for k in range(rest)} if rest else set()
    return tuple(share + (i in extra) for i in range(chunks))


def _neighbours(bits: int) -> int:
    return sum(comb(16, t) for t in range(min(bits, 16) + 1))


def most_masks() -> int:
    """Most differences of a chunk that are ever probed."""
    return sum(comb(16, bits) for bits in range(DEEPEST + 1))


def _masks(bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    masks: list[int] = []
    levels = [0]
    for t in range(bits + 1):
        masks += [sum(1 << b for b in chosen) for chosen in combinations(range(16), t)]
        levels.append(len(masks))
    return np.array(masks, np.int64), np.array(levels, np.int64)
