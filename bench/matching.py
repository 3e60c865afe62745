"""Matching core against its peers: `python -m bench.matching [--quick]`.

Everything is measured in one run, exact, as queries per CPU second of one core; the median of several rounds. Writes
bench/results/matching.json and prints a table. Clustered data needs TRIAGE_CORPORA (hashes of video frames). The full
run takes 12 GB of disk in a temporary folder and about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench import common, matching_limits, matching_peers, matching_plot
from pipeline.matching import core
from pipeline.matching.core.compiled import processor
from pipeline.matching.core.compiled.jit import compiled_signatures
from pipeline.matching.core.plan import plan

Hashes = NDArray[np.uint8]
SHARE = 2**18
"""Rows made at a time."""


def uniform(rows: int, width: int, seed: int) -> Iterator[tuple[NDArray[np.int64], Hashes]]:
    """Batches of uniformly random hashes."""
    rng = np.random.default_rng(seed)
    for start in range(0, rows, SHARE):
        count = min(SHARE, rows - start)
        yield np.arange(start, start + count), rng.integers(0, 256, (count, width), dtype=np.uint8)


def frames() -> Hashes | None:
    """The distinct real PDQ hashes of video frames among the corpora, or None where there are none."""
    folder = os.environ.get("TRIAGE_CORPORA")
    if not folder:
        return None
    lines = (
        line.split(",")
        for path in sorted(Path(folder, "vectors", "vpdq_frames").glob("*.txt"))
        for line in path.read_text().splitlines()
    )
    values = sorted({bytes.fromhex(fields[2]) for fields in lines if len(fields) > 2})
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, 32)


def perturbed(hashes: Hashes, most: int, seed: int) -> Hashes:
    """Each hash with 0 to `most` of its bits flipped."""
    rng = np.random.default_rng(seed)
    bits = np.unpackbits(hashes, axis=1)
    for start in range(0, len(bits), 10_000):
        part = bits[start : start + 10_000]
        order = rng.random(part.shape).argsort(axis=1)
        part ^= (order < rng.integers(0, most + 1, (len(part), 1))).astype(np.uint8)
    return np.packbits(bits, axis=1)


def clustered(rows: int, seed: int, real: Hashes) -> Iterator[tuple[NDArray[np.int64], Hashes]]:
    """The frame hashes, ten perturbed copies of each, filled up with uniform hashes."""
    near = np.concatenate([perturbed(real, 8, seed + k) for k in range(10)])
    yield np.arange(len(near)), near
    for ids, hashes in uniform(rows - len(near), 32, seed):
        yield ids + len(near), hashes


class Bench:
    """One run: where indexes are kept, and what was measured."""

    def __init__(self, folder: Path, rounds: int) -> None:
        self.folder, self.rounds = folder, rounds
        self.builds: dict[str, Any] = {}

    def index(self, name: str, batches: Any, algorithm: str, rows: int) -> core.Index:
        """Build (timed apart from making the hashes) and open."""
        print(f"{time.strftime('%H:%M:%S')} {name}: {rows:,} known hashes", flush=True)
        spent = 0.0

        def timed() -> Iterator[Any]:
            nonlocal spent
            source = iter(batches)
            while True:
                start = time.process_time()
                batch = next(source, None)
                spent += time.process_time() - start
                if batch is None:
                    return
                yield batch

        compiled = compiled_signatures()
        start = time.process_time()
        manifest = core.build_index(
            timed(), self.folder / name, algorithm=algorithm, hasher_version="bench", release="bench"
        )
        seconds = time.process_time() - start - spent
        assert compiled_signatures() == compiled, "compiling was measured as building"
        start = time.perf_counter()
        index = core.open_index(self.folder / name)
        self.builds[name] = {
            "rows": rows,
            "cpu_seconds": seconds,
            "hashes_per_core_second": rows / seconds,
            "bytes_per_hash": manifest.bytes / rows,
            "open_milliseconds": (time.perf_counter() - start) * 1000,
        }
        return index

    def ours(self, index: core.Index, queries: Hashes, radius: int, *, threads: int = 1, rounds: int = 0) -> Any:
        """Median rate of a join with cap 100, and counters against the cost model."""
        ids = np.arange(len(queries))
        joins = [
            core.join(index, queries, ids, radius=radius, cap=100, threads=threads)
            for _ in range((rounds or self.rounds) + 1)
        ]
        reports = [j.report for j in joins]
        report = reports[-1]
        the_plan = plan(radius, index.form.chunks)
        cpu = float(np.median([r.match_cpu_seconds for r in reports[1:]]))
        return {
            "rate": len(queries) / cpu,
            "cpu_seconds": cpu,
            "wall_seconds": min(r.match_seconds for r in reports[1:]),
            "path_cpu_seconds": min(r.path_cpu_seconds for r in reports[1:]),
            "first": {"compile_seconds": reports[0].compile_seconds, "check_seconds": reports[0].check_seconds},
            "queries": len(queries),
            "rows": index.rows,
            "radius": radius,
            "plan": report.plan,
            "pairs_per_query": report.pairs / len(queries),
            "candidates_per_query": report.candidates / len(queries),
            "candidates_predicted": the_plan.candidates(index.rows),
            "survivors_per_query": report.survivors / len(queries),
            "survivors_predicted": the_plan.survivors(index.rows),
            "totals": joins[-1].totals["pairs"].to_numpy(),
        }


def against_flat(  # noqa: PLR0917 - one call per workload
    bench: Bench, index: core.Index, known: Hashes, queries: Hashes, radius: int, asked: int
) -> Any:
    """Ours and faiss flat on the same data, with the pair counts of the peer's queries compared."""
    own = bench.ours(index, queries, radius)
    peer = matching_peers.flat(known, queries[:asked], radius, rounds=min(3, bench.rounds))
    assert own.pop("totals")[:asked].tolist() == peer.pop("pairs"), "the peer finds other pairs"
    plain = own["rate"] / peer["rates"]["range_search"]
    return {**own, "faiss_flat": peer, "times_faiss_flat": own["rate"] / peer["best"], "times_range_search": plain}


def everything(batches: Any) -> Hashes:
    return np.concatenate([hashes for _, hashes in batches])


def every_peer(bench: Bench, name: str, rows: int, queries: Hashes) -> Any:
    """Against every peer."""
    known = everything(uniform(rows, 32, 1))
    index = bench.index(name, uniform(rows, 32, 1), "pdq", rows)
    result = against_flat(bench, index, known, queries, 31, 300)
    result["peers"] = {
        "faiss_flat": result["faiss_flat"]["best"],
        "faiss_multihash": matching_peers.multihash(known, queries[:300], 31)["best"],
        "faiss_multihash_tuned": matching_peers.multihash(known, queries[:1000], 31, *matching_peers.TUNED)["best"],
        "faiss_binary_hash": matching_peers.binary_hash(known, queries[:50], 31)["best"],
        "usearch_exact": matching_peers.usearch_exact(known, queries[:50])["best"],
        "duckdb_brute": matching_peers.duckdb_brute(known, queries[:50], 31)["best"],
        "duckdb_pigeonhole": matching_peers.duckdb_pigeonhole(known, queries[:200], 31)["best"],
    }
    result["times_best_peer"] = result["rate"] / max(result["peers"].values())
    return result


def ten_million(bench: Bench, rows: int, queries: Hashes, result: dict[str, Any]) -> None:
    """Uniform at radius 31 and 47, and threads."""
    index = bench.index("uniform", uniform(rows, 32, 1), "pdq", rows)
    known = everything(uniform(rows, 32, 1))
    result["uniform"] = against_flat(bench, index, known, queries, 31, 64)
    result["wide"] = against_flat(bench, index, known, queries[: max(1, len(queries) // 5)], 47, 64)
    # Once a run: it takes 8 GB, and looks up scalars, which no family of vector instructions makes faster.
    if "FAISS_OPT_LEVEL" in os.environ:
        return
    tuned = matching_peers.multihash(known, queries[:1000], 31, *matching_peers.TUNED, rounds=2)
    result["uniform"]["faiss_multihash_tuned"] = tuned["best"]
    result["uniform"]["times_best_peer"] = result["uniform"]["rate"] / max(
        tuned["best"], result["uniform"]["faiss_flat"]["best"]
    )
    del known
    spent: dict[str, dict[str, list[float]]] = {"1": {}, "2": {}}
    for _ in range(bench.rounds):  # in turn, so that what else the machine does falls on both
        for threads, seconds in spent.items():
            own = bench.ours(index, queries, 31, threads=int(threads), rounds=1)
            for key in ("wall_seconds", "path_cpu_seconds"):
                seconds.setdefault(key, []).append(own[key])
    times = {k: min(spent["1"][k]) / min(spent["2"][k]) for k in ("wall_seconds", "path_cpu_seconds")}
    result["two_threads"] = {"times_one": times, "spent": spent}


def fifty_million(bench: Bench, rows: int, queries: int, result: dict[str, Any]) -> None:
    index = bench.index("huge", uniform(rows, 32, 5), "pdq", rows)
    asked = everything(uniform(queries, 32, 6))
    own = bench.ours(index, asked, 31, rounds=1)
    own.pop("totals")
    result["huge"] = {**own, "share_of_ten_million": own["rate"] / result["uniform"]["rate"]}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {
        "machine": common.machine(),
        "compiled_for": common.compiled_for(),
        "limits": matching_limits.measure(),
        "versions": common.versions("numba", "numpy", "faiss-cpu", "usearch", "duckdb", "pyarrow"),
    }
    small, large, huge = (1_000_000, 10_000_000, 50_000_000) if not arguments.quick else (100_000, 1_000_000, 0)
    asked = 100_000 if not arguments.quick else 20_000
    real = frames()
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="bench-matching-") as place:
        bench = Bench(Path(place), arguments.rounds)
        result["build_compile_seconds"] = sum(core.warm_build(algorithm) for algorithm in ("pdq", "phash64"))
        result["builds"] = bench.builds
        queries = everything(uniform(asked, 32, 2))
        result["small"] = every_peer(bench, "small", small, queries)
        if arguments.family is None:
            result["tenth"] = every_peer(bench, "tenth", small // 10, queries)
        ten_million(bench, large, queries, result)
        shutil.rmtree(bench.folder / "uniform")
        if real is not None:
            index = bench.index("clustered", clustered(large, 3, real), "pdq", large)
            chosen = np.random.default_rng(4).integers(0, len(real), asked)
            near = perturbed(real[chosen], 8, 9)
            result["clustered"] = against_flat(bench, index, everything(clustered(large, 3, real)), near, 31, 64)
            shutil.rmtree(bench.folder / "clustered")
        if arguments.family is None:
            narrow = everything(uniform(asked, 8, 2))
            index = bench.index("narrow", uniform(large, 8, 1), "phash64", large)
            result["narrow"] = against_flat(bench, index, everything(uniform(large, 8, 1)), narrow, 8, 64)
            shutil.rmtree(bench.folder / "narrow")
        if huge and not arguments.no_huge:
            fifty_million(bench, huge, 1_000_000, result)
    for name in ("small", "uniform", "wide", "clustered"):
        if name in result:
            result[name]["words_a_second"] = result[name]["candidates_per_query"] * result[name]["rate"]
    return result


def other_family(family: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The same in a process whose kernels, and faiss, are compiled for another family of this processor."""
    with tempfile.TemporaryDirectory() as place:
        target = Path(place) / "result.json"
        words = ["--family", family, "--into", str(target), "--rounds", str(arguments.rounds), "--no-huge"]
        words += ["--quick"] if arguments.quick else []
        words += ["--folder", arguments.folder] if arguments.folder else []
        changed = {**processor.environment(family), "FAISS_OPT_LEVEL": family}
        subprocess.run([sys.executable, "-m", "bench.matching", *words], env={**os.environ, **changed}, check=True)
        found: dict[str, Any] = json.loads(target.read_text())
    return found


def table(result: dict[str, Any]) -> Table:
    shown = Table("workload", "queries per core-second", "against", "plain range_search", "bar", "stretch")
    lines = [
        ("uniform", "times_faiss_flat", "x faiss flat", "1,200", "2,500"),
        ("clustered", "times_faiss_flat", "x faiss flat", "400", "1,000"),
        ("small", "times_best_peer", "x the best peer", "300", "600"),
        ("huge", "share_of_ten_million", "of the 10 M rate", "0.2", "0.33"),
        ("wide", "times_faiss_flat", "x faiss flat", "80", "250"),
        ("narrow", "times_faiss_flat", "x faiss flat, 64 bits", "500", "-"),
    ]
    for name, key, unit, bar, stretch in lines:
        if name in result:
            entry = result[name]
            title = f"{name}: {entry['queries']:,} x {entry['rows']:,}, r = {entry['radius']}"
            plain = f"{entry['times_range_search']:,.0f} x" if "times_range_search" in entry else ""
            shown.add_row(title, f"{entry['rate']:,.0f}", f"{entry[key]:,.2f} {unit}", plain, bar, stretch)
    for key, times in result["two_threads"]["times_one"].items():
        shown.add_row(f"two threads, {key}", "", f"{times:.2f} x one thread", "", "1.8", "1.95")
    for name, build in result["builds"].items():
        rate = f"{build['hashes_per_core_second']:,.0f} hashes"
        shown.add_row(
            f"build {name}", rate, f"{build['bytes_per_hash']:.1f} bytes per hash", "", "1 M; 168", "3 M; 120"
        )
    return shown


def cost_model(result: dict[str, Any]) -> Table:
    """What the cost model says beside what was counted. It is made for uniform hashes; clusters have more survivors."""
    shown = Table("a query of", "candidates: model", "counted", "survivors: model", "counted")
    for name in ("tenth", "small", "uniform", "huge", "wide", "narrow", "clustered"):
        if name in result:
            entry = result[name]
            values = [
                entry[f"{what}_{of}"] for what in ("candidates", "survivors") for of in ("predicted", "per_query")
            ]
            title = f"{name}: {entry['rows']:,}, r = {entry['radius']}"
            shown.add_row(title, *(f"{value:,.3f}" for value in values))
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the sizes; neither result file nor plot is kept"
    )
    parser.add_argument("--no-huge", action="store_true", help="leave out 1 M x 50 M")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", default=None, help="where temporary indexes are written")
    parser.add_argument("--family", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--into", default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    result = run(arguments)
    if arguments.into:
        Path(arguments.into).write_text(json.dumps(result))
        return
    if result["compiled_for"]["family"] == "avx512":
        result["avx2"] = other_family("avx2", arguments)
    if not arguments.quick:
        common.save("matching", result)
    with tempfile.TemporaryDirectory() as place:
        matching_plot.draw(result, Path(place) / "quick.svg" if arguments.quick else matching_plot.TARGET)
    console = Console(width=140)
    console.print(table(result), cost_model(result))
    console.print(f"builds were compiled in {result['build_compile_seconds']:.1f} s, which no figure contains")


if __name__ == "__main__":
    main()
