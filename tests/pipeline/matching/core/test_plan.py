"""The pigeonhole plan: budgets, probes, and that every pair is emitted by exactly one table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.matching.core.plan import plan


@given(st.integers(0, 64), st.sampled_from([4, 16]), st.integers(0, 2**32))
def test_exactly_one_table_emits_a_pair_within_the_radius(radius: int, chunks: int, seed: int) -> None:
    the_plan = plan(radius, chunks)
    assert sum(the_plan.budgets) == radius + 1
    rng = np.random.default_rng(seed)
    for _ in range(20):
        spread = rng.multinomial(int(rng.integers(0, radius + 1)), rng.dirichlet(np.full(chunks, 0.5)))
        d = np.minimum(spread, 16)
        admits = [
            i
            for i in range(chunks)
            if d[i] <= the_plan.budgets[i] - 1
            and d[i] + d[(i + 1) % chunks] + d[(i + 2) % chunks] <= the_plan.rules[1, i]
            and d[i - 1] >= the_plan.rules[2, i]
            and d[i] + d[(i + 1) % chunks] <= the_plan.rules[3, i]
        ]
        assert admits, "no table finds the pair"


@pytest.mark.parametrize(("radius", "probes"), [(0, 1), (15, 16), (31, 16 * 17), (47, 16 * 137)])
def test_buckets_visited(radius: int, probes: int) -> None:
    assert plan(radius, 16).probes == probes


def test_budgets_of_64_bits_are_shared_out_unevenly() -> None:
    assert sorted(plan(8, 4).budgets) == [2, 2, 2, 3]
    assert plan(8, 4).probes == 3 * 17 + 137


def test_prediction_of_candidates_and_survivors() -> None:
    the_plan = plan(31, 16)
    assert the_plan.candidates(10_000_000) == pytest.approx(41_504, rel=1e-3)
    assert the_plan.survivors(10_000_000) == pytest.approx(0.392, rel=0.01)


def test_a_small_store_or_a_wide_radius_is_scanned() -> None:
    assert plan(31, 16).scan(100, 1)
    assert not plan(31, 16).scan(100, 1000)
    assert not plan(31, 16).scan(10_000_000, 100_000)
    assert not plan(47, 16).scan(10_000_000, 20_000)
    assert plan(90, 16).too_deep
