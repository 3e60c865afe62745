"""A night that touches a few thousand of a million cases: CPU seconds and peak memory of linking and assessing it.

    python -m bench.touched [--cases 1000000] [--touched 5000] [--no-save]

The cases come in nights of `--step`, each linked and assessed by a process of its own, so that the indexes that are kept are made
as an installation makes them. Then half of the touched ones are new and half are old cases of which a fact has come. Every case
has three facts, three media files (one of them known) and some two identifiers. Bar: 2 GiB. Whole processes are measured, so that
what loading the program takes is in the figures; the same night among the first step alone stands beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.progress import track

from bench import common
from bench.assess import T0, case_tables, identifiers
from pipeline import policy, records
from pipeline.lake import Lake
from pipeline.settings import ROOT, Settings

FILES, IDENTIFIERS = 3, 3

NIGHT = """
import json, re, resource, sys
from datetime import datetime
from pathlib import Path
from pipeline import contract
from pipeline.assess import stage
from pipeline.settings import Settings
settings = Settings.load()
report = stage.run(settings, contract.start(settings, sys.argv[1], datetime.fromisoformat(sys.argv[2])))
own = resource.getrusage(resource.RUSAGE_SELF)
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
counts = {name: report.counts[name] for name in ("looked_at", "new", "raised", "lowered", "changed")}
print("RESULT" + json.dumps({"cases": report.read, **counts, "cpu_seconds": round(own.ru_utime + own.ru_stime, 2), "peak_mib": peak}))
"""


class Growing:
    """An installation to which cases are added, night by night."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home, threads=0, force="42")
        self.lake = Lake(self.settings.lake_dir)
        self.cases = self.night = 0
        links = {"policy": policy.load(self.settings, "linking").digest, "through": self.lake.last()}
        self.lake.commit("link", "first", {"links": records.empty("links")}, run_id="night-0", meta=links)

    def arrive(self, cases: int, touching: int = 0) -> dict[str, Any]:
        """A night of new cases, and of new facts of as many old ones, spread over all; what assessing it took."""
        tables = case_tables(cases, FILES, self.cases)
        seed = 100 + self.night
        tables["identifiers"] = self._identifiers(cases, seed)
        if touching:
            old = [f"R{n:07d}" for n in range(0, self.cases, self.cases // touching)][:touching]
            facts = [
                {"fact_id": f"n{self.night}-{r}", "referral_id": r, "name": "incitement", "value": "yes", "source_path": "/x"}
                for r in old
            ]  # fmt: skip
            tables["facts"] = records.build("facts", [*tables["facts"].to_pylist(), *facts])
        self.night += 1
        self.cases += cases
        self.lake.commit("ingest", f"night-{self.night}", tables, run_id=f"night-{self.night}")
        self.lake.merge(f"night-{self.night}")
        return self._assessed()

    def _identifiers(self, cases: int, seed: int) -> pa.Table:
        """Of the new cases, addresses left out; a value that several hold is held by those of the night before or after too,
        and not by all cases: every night would touch most cases otherwise."""
        found = identifiers(cases * IDENTIFIERS, cases, self.cases, seed)
        found = found.filter(pc.not_equal(found["kind"], "ip"))
        pair = f"-{self.night // 2}"
        values = [v if f"-{seed}-" in v else v + pair for v in found["value"].to_pylist()]
        place = found.column_names.index("value")
        return found.set_column(place, found.schema.field(place), pa.array(values, pa.string()))

    def _assessed(self) -> dict[str, Any]:
        words = [f"night-{self.night}", (T0 + timedelta(days=self.night)).isoformat()]
        environment = {"TRIAGE_HOME": str(self.settings.home), "TRIAGE_FORCE": "42", "TRIAGE_LOG_LEVEL": "ERROR"}
        done = subprocess.run(
            [sys.executable, "-c", NIGHT, *words],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])
        found: dict[str, Any] = json.loads(done.stdout.split("RESULT")[-1])
        return found


def main() -> None:
    """Grow, measure and write bench/results/touched.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--touched", type=int, default=5_000)
    parser.add_argument("--step", type=int, default=100_000, help="new cases of a night before")
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    half = options.touched // 2
    result: dict[str, Any] = {
        "machine": common.machine(),
        "versions": common.versions("deltalake", "duckdb", "pyarrow"),
        "touched": options.touched,
    }
    with tempfile.TemporaryDirectory(prefix="triage-touched-") as folder:
        growing = Growing(Path(folder))
        for step in track(range(-(-options.cases // options.step)), "growing"):
            grown = growing.arrive(options.step)
            print(json.dumps(grown), file=sys.stderr)
            if not step:
                result["among_the_first_step"] = growing.arrive(half, half)
                print(json.dumps(result["among_the_first_step"]), file=sys.stderr)
        result["step"] = grown
        result["among_all"] = growing.arrive(half, half)
    print(json.dumps(result, indent=1))
    if not options.no_save:
        common.save("touched", result)


if __name__ == "__main__":
    main()
