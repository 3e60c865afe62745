"""A whole night: small files against known hashes, CPU ms per content by stage, Airflow's own share apart.

    python -m bench.nightly [--files 1000] [--known 1000000] [--no-save]

The same night is run three times over equal homes: by the plain command line; through the DAG in one process, after a small night
has loaded all code, so that its stages do nothing but the work; and through the DAG with each task's work in a new process that
loads the DAG file first, as Airflow's workers do. What the last one takes beyond the work of the second is Airflow's share and that
of starting, together. CPU seconds: a busy machine falsifies elapsed ones. One size a run: its result takes its place among those of
other sizes in bench/results/nightly.json, and docs/nightly.svg is drawn anew. Sizes asked for: 1,000 and 10,000 files, 1 M and 10 M
known hashes.
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
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("svg")
from matplotlib import pyplot as plt

from bench.common import RESULTS, machine, save, versions
from deploy.embedded import ROOT, environment

DISTINCT = ("--known", "1500", "--unknown", "1000000")
"""Hardly a picture comes twice: each file is decoded and hashed."""

STEP = 100_000
"""Known media written at a time."""

AS_OF = "2026-11-21T01:00:00+00:00"

WARM = """
import time, os, sys
from pathlib import Path
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.matching.core.compiled.warm import warm
from pipeline.settings import Settings
began = time.monotonic()
warm(16)
with Pool(Settings.load()) as pool:
    pool.start()
print(time.monotonic() - began)
"""
"""Compiles the kernels of matching and fingerprints, or loads them where that was done: once an installation."""

THROUGH_AIRFLOW = """
import json, os, pickle, sys, time
from pipeline import cputime
from pipeline.night import stages

def spent():  # media workers are no children of this process: they are counted by themselves
    used = cputime.spent()
    return used.own + used.children + used.workers

def apart(function):
    def in_a_process_of_its_own(*given, **named):
        here, there = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(here)
                before = cputime.Spent(0.0, 0.0, cputime.spent().workers)
                assert not DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"] + "/nightly_triage.py").import_errors
                said = function(*given, **named)
                with os.fdopen(there, "wb") as pipe:
                    pickle.dump((said, cputime.since(before)), pipe)
                os._exit(0)
            finally:
                os._exit(1)
        os.close(there)
        with os.fdopen(here, "rb") as pipe:
            told = pipe.read()
        assert os.waitpid(child, 0)[1] == 0, function
        said, used = pickle.loads(told)
        apart.used.append(used)
        return said
    return in_a_process_of_its_own

apart.used = []
how, as_of, small = sys.argv[1:]
began = time.monotonic(); cpu = spent()
from deploy.embedded import prepare, run_dag
from airflow.dag_processing.dagbag import DagBag
prepare()
ready = time.monotonic(); ready_cpu = spent()
if how == "apart":
    for name in ("begin", "plan", "bundle", "stage"):
        setattr(stages, name, apart(getattr(stages, name)))
else:
    home = os.environ["TRIAGE_HOME"]
    os.environ["TRIAGE_HOME"] = small
    assert run_dag("nightly_triage", {"run_id": "small", "as_of": as_of}) == "success"
    os.environ["TRIAGE_HOME"] = home
before, before_cpu = time.monotonic(), os.times()
before_cpu = before_cpu.user + before_cpu.system if how == "apart" else spent()
state = run_dag("nightly_triage", {"run_id": "bench", "as_of": as_of})
assert state == "success", state
now = os.times()
used = now.user + now.system + sum(apart.used) if how == "apart" else spent()
print("RESULT" + json.dumps({"prepare_seconds": ready - began, "prepare_cpu_seconds": ready_cpu - cpu, "processes": len(apart.used),
    "dag_seconds": time.monotonic() - before, "dag_cpu_seconds": used - before_cpu}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000)
    parser.add_argument("--known", type=int, default=1_000_000)
    parser.add_argument(
        "--no-save", action="store_true", help="leave bench/results/nightly.json and the plot as they are"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="triage-bench-") as folder:
        result = measure(Path(folder), options.files, options.known)
    print_table(result)
    if not options.no_save:
        path = RESULTS / "nightly.json"
        nights = json.loads(path.read_text()) if path.is_file() else {}
        nights[f"{options.files} files, {options.known} known"] = result
        save("nightly", nights)
        draw(nights)


TARGET = RESULTS.parents[1] / "docs" / "nightly.svg"


def draw(nights: dict[str, Any], target: Path = TARGET) -> None:
    """The plot of docs/operations.md: CPU ms per content, one bar for each size, one colour for each stage."""
    mpl.rcParams["svg.hashsalt"] = "nightly"  # the same figures give the same file
    sizes = sorted(nights.values(), key=lambda n: (n["files"], n["known_hashes"]))
    stages = dict.fromkeys(name for night in sizes for name in night["stages"])
    names = [f"{n['files']:,} files\n{n['known_hashes'] / 1e6:g} M known" for n in sizes]
    figure, axes = plt.subplots(figsize=(7.5, 4))
    bottom = np.zeros(len(sizes))
    for stage in stages:
        spent = np.array([night["cpu_ms_a_content"].get(stage, 0.0) for night in sizes])
        axes.bar(names, spent, bottom=bottom, label=stage, width=0.5)
        bottom += spent
    axes.set_ylabel("CPU ms per content")
    axes.set_title("A night by stage")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def measure(folder: Path, files: int, known: int) -> dict[str, object]:
    start = folder / "start"
    prepare(start, files, known)
    plain, through, apart, small = (folder / name for name in ("plain", "airflow", "apart", "small"))
    for home in (plain, through, apart):
        shutil.copytree(start, home)
    few(small, start)
    compiling = subprocess.run(
        [sys.executable, "-c", WARM], env=env(start), cwd=ROOT, check=True, capture_output=True, text=True
    )
    began = time.monotonic()
    triage(plain, "night", "run", "--run-id", "bench", "--as-of", AS_OF.replace("+00:00", "+0000"))
    plain_seconds = time.monotonic() - began
    airflow, forked = by_airflow(through, "together", small), by_airflow(apart, "apart", small)
    report = json.loads((plain / "runs" / "bench" / "report.json").read_text())
    inside, started = (json.loads((home / "runs" / "bench" / "report.json").read_text()) for home in (through, apart))
    stages = {
        name: {k: row[k] for k in ("runs", "read", "kept", "seconds", "cpu_seconds")}
        for name, row in report["stages"].items()
    }
    contents = next(c["out"] for c in report["checks"] if c["name"].startswith("distinct contents"))
    in_stages = sum(row["seconds"] for row in inside["stages"].values())
    cpu_in_stages = sum(row["cpu_seconds"] for row in inside["stages"].values())
    own, beyond = airflow["dag_cpu_seconds"] - cpu_in_stages, forked["dag_cpu_seconds"] - cpu_in_stages
    return {
        "machine": machine(),
        "versions": versions("apache-airflow", "duckdb", "pyarrow", "pillow", "numba"),
        "files": files,
        "distinct_contents": contents,
        "known_hashes": known,
        "referrals": next(c["out"] for c in report["checks"] if c["name"] == "referrals = referrals of a case"),
        "matches": next(c["out"] for c in report["checks"] if c["name"].startswith("matches written")),
        "kernels_ready_seconds": round(float(compiling.stdout.splitlines()[-1]), 1),
        "stages": stages,
        "cpu_ms_a_content": milliseconds(stages, contents),
        "command_line_seconds": round(plain_seconds, 1),
        "airflow": {
            "database_and_import_seconds": round(airflow["prepare_seconds"], 1),
            "dag_seconds": round(airflow["dag_seconds"], 1),
            "inside_stages_seconds": round(in_stages, 1),
            "dag_cpu_seconds": round(airflow["dag_cpu_seconds"], 1),
            "inside_stages_cpu_seconds": round(cpu_in_stages, 1),
            "own_share_seconds": round(airflow["dag_seconds"] - in_stages, 1),
            "own_share_of_dag": round(1 - in_stages / airflow["dag_seconds"], 3),
            "own_cpu_seconds": round(own, 1),
            "own_share_of_cpu": round(own / airflow["dag_cpu_seconds"], 3),
            "processes": forked["processes"],
            "dag_of_processes_cpu_seconds": round(forked["dag_cpu_seconds"], 1),
            "inside_their_stages_cpu_seconds": round(sum(r["cpu_seconds"] for r in started["stages"].values()), 1),
            "own_and_start_cpu_seconds": round(beyond, 1),
            "own_and_start_share_of_cpu": round(beyond / forked["dag_cpu_seconds"], 3),
        },
    }


def by_airflow(home: Path, how: str, small: Path) -> dict[str, float]:
    """The night through its DAG over `home`, its tasks "together" in one process or "apart": what it took."""
    words = [sys.executable, "-c", THROUGH_AIRFLOW, how, AS_OF, str(small)]
    done = subprocess.run(words, env=env(home), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(next(x for x in done.stdout.splitlines() if x.startswith("RESULT"))[6:])
    return found


def few(home: Path, start: Path) -> None:
    """A home with the release of `start` and a handful of referrals: its night loads what every night loads once."""
    triage(home, "sample", "--seed", "2", "--referrals", "5", "--files", "4", "--day", "2026-11-20", *DISTINCT)
    shutil.copytree(start / "releases", home / "releases", dirs_exist_ok=True)


def milliseconds(stages: dict[str, dict[str, float]], contents: int) -> dict[str, float]:
    """CPU ms of each stage, all processes, for each distinct content of the night; and all together."""
    each = {name: round(1000 * row["cpu_seconds"] / contents, 2) for name, row in stages.items()}
    return {**each, "all stages": round(sum(each.values()), 2)}


def prepare(home: Path, files: int, known: int) -> None:
    """Landing with sample referrals of small pictures, and a release that holds their known set and many others."""
    triage(
        home,
        "sample",
        "--seed",
        "1",
        "--referrals",
        str(files // 20),
        "--files",
        "20",
        "--day",
        "2026-11-20",
        *DISTINCT,
    )
    write_known(home / "landing" / "hashsets" / "demo" / "others.json", known)
    for stage in ("hashset_import", "hashset_release"):
        triage(home, "night", "stage", stage, "--run-id", "setup")


def write_known(path: Path, known: int) -> None:
    """A VICS file of so many media with digests and a PDQ, half of whose bits are set as PDQ's own; written piece by piece."""
    rng = np.random.default_rng(1)
    context = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/Default/$metadata#Media"
    with path.open("w") as file:
        file.write(f'{{"@odata.context": "{context}", "value": [')
        for start in range(0, known, STEP):
            count = min(STEP, known - start)
            digests = rng.bytes(36 * count).hex().upper()
            bits = np.zeros((count, 256), np.uint8)
            chosen = rng.random((count, 256), np.float32).argpartition(128, axis=1)[:, :128]
            np.put_along_axis(bits, chosen, 1, axis=1)
            hashes = np.packbits(bits, axis=1).tobytes().hex()
            media = []
            for place in range(count):
                digest, pdq = digests[72 * place : 72 * (place + 1)], hashes[64 * place : 64 * (place + 1)]
                number, md5 = start + place, digest[:32]
                media.append(
                    {
                        "MediaID": 1_000_000 + number,
                        "Category": number % 3 + 1,
                        "MD5": md5,
                        "SHA1": digest[32:],
                        "AlternativeHashes": [{"MD5": md5, "HashName": "PDQ", "HashValue": pdq}],
                    }
                )
            file.write(("," if start else "") + json.dumps(media)[1:-1])
        file.write("]}")


def env(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRIAGE", "AIRFLOW"))}
    return {**kept, **environment(home), "TRIAGE_LOG_LEVEL": "ERROR", "PYTHONPATH": str(ROOT)}


def triage(home: Path, *words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pipeline", *words], env=env(home), cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )


def print_table(result: dict[str, object]) -> None:
    print(
        f"{result['files']} files, {result['referrals']} referrals, {result['known_hashes']} known hashes, {result['matches']} matches"
    )
    print(f"{'stage':<14}{'in':>8}{'out':>8}{'seconds':>10}{'CPU s':>10}")
    for name, row in result["stages"].items():  # type: ignore[attr-defined]
        print(f"{name:<14}{row['read']:>8}{row['kept']:>8}{row['seconds']:>10.1f}{row['cpu_seconds']:>10.1f}")
    airflow = result["airflow"]
    print(f"kernels compiled or loaded before: {result['kernels_ready_seconds']} s")
    print(f"command line, whole: {result['command_line_seconds']} s")
    print(f"Airflow's own share: {airflow['own_cpu_seconds']} of {airflow['dag_cpu_seconds']} CPU s")  # type: ignore[index]
    print(
        f"with the start of {airflow['processes']} processes: {airflow['own_and_start_cpu_seconds']} of "  # type: ignore[index]
        f"{airflow['dag_of_processes_cpu_seconds']} CPU s"  # type: ignore[index]
    )


if __name__ == "__main__":
    main()
