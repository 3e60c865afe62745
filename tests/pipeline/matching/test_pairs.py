"""Reduction of pairs in columns against the obvious way: one dict per pair."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.matching.pairs import Pairs, codes, first_of, spans


def some(seed: int, rows: int = 4000) -> tuple[np.ndarray, Pairs]:
    chance = np.random.default_rng(seed)
    place, media = chance.integers(0, 60, rows), chance.integers(0, 15, rows)
    keep = np.unique(np.stack([place, media], 1), axis=0, return_index=True)[1]  # one row per query and media item
    place, media = place[keep], media[keep]
    distance = chance.integers(0, 5, len(place))
    owner = place // 7
    return owner, Pairs(place, media, distance, np.ones(len(place), np.int64))


def test_the_nearest_of_each_owner_and_media_item() -> None:
    for seed in range(5):
        owner, pairs = some(seed)
        best: dict[tuple[int, int], tuple[int, int, int]] = {}
        for at, (o, m, d, p) in enumerate(
            zip(owner.tolist(), pairs.media.tolist(), pairs.distance.tolist(), pairs.place.tolist(), strict=True)
        ):
            best[o, m] = min(best.get((o, m), (99, 99, 0)), (d, p, at))
        chosen = first_of(owner, pairs.media, pairs.distance, pairs.place)
        assert sorted(chosen.tolist()) == sorted(at for _, _, at in best.values())


def test_frames_of_a_video_near_to_a_media_item() -> None:
    for seed in range(5):
        owner, pairs = some(seed)
        seconds = pairs.place * 0.5
        hits: dict[tuple[int, int], list[tuple[int, int, float, int]]] = {}
        for at in range(len(owner)):
            row = (int(pairs.distance[at]), int(pairs.place[at]), float(seconds[at]), at)
            hits.setdefault((int(owner[at]), int(pairs.media[at])), []).append(row)
        found = [x.tolist() for x in spans(owner, pairs, seconds)]
        expected = [
            (min(rows)[3], len(rows), min(r[2] for r in rows), max(r[2] for r in rows))
            for _, rows in sorted(hits.items())
        ]
        assert list(zip(*found, strict=True)) == expected


def test_nothing_gives_nothing() -> None:
    empty = np.zeros(0, np.int64)
    assert len(first_of(empty, empty, empty)) == 0
    assert [len(x) for x in spans(empty, Pairs.none(), np.zeros(0))] == [0, 0, 0, 0]


def test_equal_values_have_equal_codes() -> None:
    values = pa.chunked_array([pa.array([b"b" * 32, b"a" * 32]), pa.array([b"b" * 32])])
    assert codes(values).tolist() == [2, 1, 2]
