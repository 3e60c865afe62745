"""Each vector primitive against its plain Python twin, on values at and around every threshold."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from pipeline.matching.core.compiled import vectors
from pipeline.matching.core.compiled.jit import JIT
from pipeline.matching.core.compiled.vectors import LANES, TILE
from pipeline.matching.core.driver import _aligned
from pipeline.matching.core.index.reduced import kept_lanes
from pipeline.matching.core.plan import plan

pytestmark = pytest.mark.skipif(not JIT, reason="without the JIT the twins are what runs")


def words(count: int, seed: int) -> np.ndarray:
    out = _aligned(count)
    out[:] = np.random.default_rng(seed).integers(0, 2**32, count, dtype=np.uint32)
    return out


def test_words_within_a_limit() -> None:
    any_within, within = vectors.any_within, vectors.within

    @numba.njit
    def all_of(stored, asked, at, limit):  # type: ignore[no-untyped-def]
        one = any_within(stored, 1, 4, asked[at], np.uint32(limit))
        return one, within(stored, 2, asked[at], np.uint32(limit))

    stored, asked = words(5 * LANES, 1), words(16, 2)
    seen = set()
    for limit in range(33):
        for at in range(12):
            query = int(asked[at])
            wanted = vectors._any_within(stored, 1, 4, query, limit), vectors._within(stored, 2, query, limit)
            assert all_of(stored, asked, at, limit) == wanted
            seen.add(wanted[0])
    assert seen == {False, True}


def test_queries_that_a_word_is_near_to() -> None:
    near_queries = vectors.near_queries

    @numba.njit
    def asked_of(stored, low, high, asked, bounds, at, filled):  # type: ignore[no-untyped-def]  # noqa: PLR0917
        return near_queries(stored, low, high, asked, bounds, at, filled)

    stored, asked = words(5 * LANES, 1), words(256, 2)
    seen = set()
    for filled in (1, 16, 17, 32, 33, 48, 49, 64, 65, 130):
        for low, high in ((0, 1), (3, 3), (7, 40), (0, 80)):
            bounds = np.random.default_rng(filled).integers(5, 14, 256).astype(np.uint8)
            bounds[filled:] = 0
            for at in range(0, filled, 64):
                found = asked_of(stored, low, high, asked, bounds, at, filled)
                assert found & 2**64 - 1 == vectors._near_queries(stored, low, high, asked, bounds, at, filled)
                seen.add(found != 0)
    assert seen == {False, True}


@pytest.mark.parametrize(("m", "radius"), [(16, 31), (16, 47), (4, 8)])
def test_tiles(m: int, radius: int) -> None:
    near, admitted = getattr(vectors, f"lanes_near{m}"), getattr(vectors, f"lanes_admitted{m}")
    beyond, ones = vectors.lanes_beyond, vectors.ones

    @numba.njit
    def all_of(columns, queries, query, radius, rules, bits):  # type: ignore[no-untyped-def]  # noqa: PLR0917
        masks = np.zeros(2 + rules.shape[1], np.int64)
        masks[0] = near(columns, 1, queries, query, radius, bits)
        masks[1] = beyond(columns, 3, queries[query, 2], np.uint16(2))
        for table in range(rules.shape[1]):
            masks[2 + table] = admitted(bits, table, rules)
        return masks, ones(masks[0])

    rng = np.random.default_rng(3)
    centre = rng.integers(0, 2**16, m, dtype=np.uint16)
    share = radius / (32 * m)

    def noisy(count: int) -> np.ndarray:
        return centre ^ np.packbits(rng.random((count, m * 16)) < share, axis=1).view(np.uint16)

    columns = _aligned(2 * m * TILE // 2).view(np.uint16)
    columns[:] = np.concatenate([noisy(TILE).T.ravel(), noisy(TILE).T.ravel()])
    queries, rules = noisy(20), plan(radius, m).rules
    bits, twin = (_aligned((m + 1) * TILE // 2).view(np.uint16) for _ in range(2))
    near_pairs = 0
    for query in range(20):
        masks, count = all_of(columns, queries, query, radius, rules, bits)
        assert masks[0] == vectors._lanes_near(columns, 1, queries, query, radius, twin)
        assert (bits == twin).all() and count == int(masks[0]).bit_count()
        assert masks[1] == vectors._lanes_beyond(columns, 3, int(queries[query, 2]), 2)
        assert [*masks[2:]] == [vectors._lanes_admitted(twin, table, rules) for table in range(m)]
        near_pairs += count
    assert 0 < near_pairs < 20 * TILE


def test_numbers_from_any_byte_and_bits_by_their_rank() -> None:
    word64, put64, nth, xor_column = vectors.word64, vectors.put64, vectors.nth, vectors.xor_column

    @numba.njit
    def all_of(array, byte, value, mask, k, columns):  # type: ignore[no-untyped-def]  # noqa: PLR0917
        before = word64(array, byte)
        put64(array, byte, value)
        xor_column(columns, 2, 1)
        return before, word64(array, byte), nth(mask, k)

    rng = np.random.default_rng(5)
    for dtype in (np.uint8, np.uint16, np.int64):
        array = rng.integers(0, 2**64, 9, dtype=np.uint64).view(dtype)
        columns = _aligned(3 * TILE // 2).view(np.uint16)
        columns[:] = rng.integers(0, 2**16, 3 * TILE)
        for byte in range(60):
            value, mask = (int(v) for v in rng.integers(-(2**63), 2**63 - 1, 2))
            k = int(rng.integers(0, mask.bit_count() if mask > 0 else (mask & 2**64 - 1).bit_count()))
            twin, other = array.copy(), columns.copy()
            wanted = vectors._word64(twin, byte)
            vectors._put64(twin, byte, value)
            vectors._xor_column(other, 2, 1)
            assert all_of(array, byte, value, mask, k, columns) == (wanted, value, vectors._nth(mask, k))
            assert (array == twin).all() and (columns == other).all() and vectors._word64(twin, byte) == value


@pytest.mark.parametrize(("m", "radius", "held"), [(16, 31, 13), (16, 47, 16), (4, 8, 1), (4, 8, 4)])
def test_hashes_that_are_stored_in_part(m: int, radius: int, held: int) -> None:
    distance, verdict = getattr(vectors, f"distance{m}"), getattr(vectors, f"verdict{m}")

    @numba.njit
    def all_of(hashes, row, kept, last, queries, query, rules):  # type: ignore[no-untyped-def]  # noqa: PLR0917
        return distance(hashes, row, kept, last, queries, query), verdict(
            hashes, row, kept, last, queries, query, rules
        )

    rng = np.random.default_rng(6)
    rules, kept = plan(radius, m).rules, kept_lanes(m, held)
    hashes = rng.integers(0, 2**16, (12, held), dtype=np.uint16)
    seen = set()
    for row in range(10):
        last = int(rng.integers(-(2**63), 2**63)) if held < m else 0
        whole = vectors._whole(hashes, row, kept, last)
        noise = np.packbits(rng.random((10, m * 16)) < rng.choice([0.02, 0.05, 0.5]), axis=1).view(np.uint16)
        queries = whole ^ noise
        for query in range(10):
            found = all_of(hashes, row, kept, last, queries, query, rules)
            bits = int(np.bitwise_count(noise[query]).sum())
            assert found == (bits, vectors._verdict(hashes, row, kept, last, queries, query, rules))
            assert bits == vectors._distance(hashes, row, kept, last, queries, query)
            seen.add(found[1] & 0xFFFF)
    assert len(seen) > 1
