"""The compiled primitives agree with their plain twins, whichever family they are compiled for."""

# ruff: noqa: PLR0917 - compiled functions take their arrays by position

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.matching.core.compiled import nibbles
from pipeline.matching.core.compiled.jit import JIT, bare
from pipeline.matching.core.groups import comparing

pytestmark = pytest.mark.skipif(not JIT, reason="nothing is compiled")


@bare
def _primitives(centres: Any, reach: Any, first: Any, radius: Any, columns: Any, look_up: Any, found: Any) -> None:
    found[0] = comparing.next_centre(centres, reach, first, np.int64(len(reach)), radius, columns, look_up)
    for group in range(len(reach)):
        found[1 + group] = comparing.near_centre(centres, reach, group, radius, columns, look_up)


@bare
def _tiles(tiles: Any, tile: Any, queries: Any, query: Any, limit: Any, bits: Any, slot: Any, found: Any) -> None:
    found[0] = comparing.tile_within(tiles, tile, queries, query, limit, bits, slot)
    found[1] = comparing.lanes_at_most(bits, slot, limit - 1)


@bare
def _laid_out(chunks: Any, count: Any, columns: Any, planes: Any) -> None:
    comparing.lay_out(chunks, np.int64(0), count, columns, planes)


def aligned(count: int, dtype: Any) -> np.ndarray:
    size = count * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    return raw[-raw.ctypes.data % 64 :][:size].view(dtype)


@pytest.mark.parametrize("radius", [0, 8, 31, 120, 200, 255, 256])
def test_centres(radius: int) -> None:
    rng = np.random.default_rng(radius)
    queries = rng.integers(0, 65536, (64, 16)).astype(np.uint16)
    centres = rng.integers(0, 2**32, (20, 8), dtype=np.uint64).astype(np.uint32)
    centres[3] = queries[5].view(np.uint32)
    centres[7] = ~queries[9].view(np.uint32)  # 256 bits away
    centres[11] = queries[63].view(np.uint32) ^ np.uint32(0x11111111)
    reach = rng.integers(0, 45, 20).astype(np.uint16)
    columns, planes = aligned(512, np.uint32), aligned(4096, np.uint8)
    _laid_out(queries, np.int64(64), columns, planes)
    assert (columns.reshape(8, 64) == queries.view(np.uint32).T).all()
    given = planes if nibbles.USED else columns
    look_up, found = nibbles.look_up(), np.zeros(21, np.int64)
    flat = centres.reshape(-1)
    for first in (0, 4, 12, 20):
        _primitives(flat, reach, np.int64(first), np.int64(radius), given, look_up, found)
        assert found[0] == comparing._next_centre(flat, reach, first, 20, radius, given, look_up)
        wanted = [comparing._near_centre(flat, reach, group, radius, given, look_up) for group in range(20)]
        assert found[1:].view(np.uint64).tolist() == wanted
    bits = np.bitwise_count(queries.view(np.uint32)[None] ^ centres[:, None]).sum(axis=2)
    assert (
        (bits <= radius + reach[:, None])
        <= (np.array(wanted, np.uint64)[:, None] >> np.arange(64, dtype=np.uint64) & 1)
    ).all()
    assert wanted[3] >> 5 & 1


@pytest.mark.parametrize("limit", [1, 31, 128, 256])
def test_tiles(limit: int) -> None:
    rng = np.random.default_rng(limit)
    tiles = aligned(3 * 512, np.uint16)
    tiles[:] = rng.integers(0, 65536, 3 * 512)
    queries = rng.integers(0, 65536, (4, 16)).astype(np.uint16)
    tiles.reshape(3, 16, 32)[1, :, 9] = queries[2]
    tiles.reshape(3, 16, 32)[1, :, 10] = ~queries[2]
    bits, wanted, found = aligned(64, np.uint16), np.zeros(64, np.uint16), np.zeros(2, np.int64)
    for tile in range(3):
        for slot in (0, 1):
            _tiles(tiles, np.int64(tile), queries, np.int64(2), np.int64(limit), bits, np.int64(slot), found)
            assert found[0] == comparing._tile_within(tiles, tile, queries, 2, limit, wanted, slot)
            assert found[1] == comparing._lanes_at_most(wanted, slot, limit - 1)
            assert (bits == wanted).all()
