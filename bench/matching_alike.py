"""Queries near a hash that 100,000 known media share, beside faiss and beside queries that are near nothing.

    python -m bench.matching_alike [--alike 100000] [--others 1000000] [--queries 20000] [--no-save]

One thread, CPU time of a query by the median of three joins, radius 31, the policy's cap. The peer is faiss IndexBinaryFlat
asked for as many nearest as the cap keeps (in the same run, fewer queries): its other indexes have to list all 100,000 pairs of
every query. Pairs and totals are compared with what was put in.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bench import common
from pipeline import policy
from pipeline.matching import core
from pipeline.settings import Settings

RADIUS = 31


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alike", type=int, default=100_000)
    parser.add_argument("--others", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--no-save", action="store_true", help="do not write bench/results/matching_alike.json")
    options = parser.parse_args()
    cap = int(policy.load(Settings.load(), "matching").data["algorithms"]["pdq"]["cap"])
    chance = np.random.default_rng(20)
    shared = chance.integers(0, 256, (1, 32), dtype=np.uint8)
    others = chance.integers(0, 256, (options.others, 32), dtype=np.uint8)
    known = chance.permutation(np.concatenate([others, np.repeat(shared, options.alike, axis=0)]))
    near = np.repeat(shared, options.queries, axis=0)
    for bit in range(6):
        near[np.arange(options.queries), chance.integers(0, 32, options.queries)] ^= np.uint8(1 << bit)
    far = chance.integers(0, 256, (options.queries, 32), dtype=np.uint8)
    result: dict[str, Any] = {"alike": options.alike, "others": options.others, "queries": options.queries, "cap": cap}
    with tempfile.TemporaryDirectory(prefix="bench-alike-") as folder:
        core.warm_build("pdq")
        place = Path(folder) / "index"
        batch = (np.arange(len(known)), known)
        core.build_index([batch], place, algorithm="pdq", hasher_version="bench", release="1")
        index = core.open_index(place)
        found = asked(index, near, cap)
        if set(found.totals["pairs"].to_pylist()) != {options.alike} or found.table.num_rows != cap * options.queries:
            raise SystemExit("Not every known media item of the shared hash was counted.")
        for name, queries in (("near", near), ("far", far)):
            seconds = common.median_cpu(lambda q=queries: asked(index, q, cap))  # type: ignore[misc]
            result[f"{name}_microseconds_per_query"] = round(seconds / options.queries * 1e6, 2)
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexBinaryFlat(256)
    flat.add(known)
    few = near[:20]
    seconds = common.median_cpu(lambda: flat.search(few, cap))
    result["faiss_flat_microseconds_per_query"] = round(seconds / len(few) * 1e6, 1)
    result |= {
        "machine": common.machine(),
        "compiled_for": common.compiled_for(),
        "versions": common.versions("faiss-cpu"),
    }
    for name, value in result.items():
        print(f"{name:34} {value}")
    if not options.no_save:
        common.save("matching_alike", result)


def asked(index: core.Index, queries: NDArray[np.uint8], cap: int) -> core.Join:
    """The join on one thread."""
    return core.join(index, queries, np.arange(len(queries)), radius=RADIUS, cap=cap)


if __name__ == "__main__":
    main()
