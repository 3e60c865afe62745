"""The plot of docs/matching.md from bench/results/matching.json: `python -m bench.matching_plot`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

from bench.common import RESULTS

TARGET = Path(__file__).parent.parent / "docs" / "matching.svg"
PEERS = {
    "faiss_flat": "faiss IndexBinaryFlat",
    "faiss_multihash": "faiss MultiHash(256, 16, 16)",
    "faiss_multihash_tuned": "faiss MultiHash(256, 11, 23), 2 flips",
    "faiss_binary_hash": "faiss IndexBinaryHash, exact",
    "usearch_exact": "usearch, exact, one nearest",
    "duckdb_pigeonhole": "DuckDB, equi-join on chunks",
    "duckdb_brute": "DuckDB, brute force",
}


def lines(result: dict[str, Any]) -> dict[str, list[tuple[int, float]]]:
    """Points (known hashes, queries per core-second) of each engine, at radius 31 on uniform hashes."""
    points: dict[str, list[tuple[int, float]]] = {"this project": []} | {name: [] for name in PEERS.values()}
    for name in ("tenth", "small", "uniform", "huge"):
        entry = result.get(name)
        if entry is None:
            continue
        points["this project"].append((entry["rows"], entry["rate"]))
        peers = entry.get("peers") or {"faiss_flat": entry["faiss_flat"]["best"]} if "faiss_flat" in entry else {}
        for key, rate in peers.items():
            points[PEERS[key]].append((entry["rows"], rate))
    return points


def draw(result: dict[str, Any], target: Path = TARGET) -> None:
    """Write the plot, by default docs/matching.svg."""
    mpl.rcParams["svg.hashsalt"] = "matching"  # the same figures give the same file
    figure, axes = plt.subplots(figsize=(7.5, 4.5))
    for (name, points), marker in zip(lines(result).items(), "os^Dv<>P", strict=True):
        if points:
            axes.loglog(*zip(*points, strict=True), marker=marker, label=name)
    axes.set_xlabel("known hashes (256 bits, uniform)")
    axes.set_ylabel("queries per core-second")
    axes.set_title("All pairs within 31 bits, exact")
    axes.grid(True, which="major", alpha=0.4)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(json.loads((RESULTS / "matching.json").read_text()))
