"""How long the console takes to start, and how much memory, at a million media files.

    python -m bench.console_start [--cases 5000] [--files 200] [--home FOLDER]

The lake is written by the lake's own writer, its cases assessed and published, the reporting tables and the console's index
written, each by its stage. Then a server process is started: seconds and CPU seconds until it answers, its memory at its peak until
then, and what it holds once it has answered the queue, a case and the dashboard to somebody who is signed in. Bars: 3 s, and
300 MiB both times. Its peak of all includes the memory that hashing the password of that somebody takes for a moment
(`passwords.memory_kib` of policy/cases.yaml, 64 MiB); it is told beside. With `--home` the installation is kept, or taken from there.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import tempfile
import time
from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench import assess, common
from bench.console import Analyst, family, server_cpu
from pipeline import contract, policy, records
from pipeline.assess import stage as assessing
from pipeline.cases.publishing import stage as publishing
from pipeline.console.casepage.evidence import Evidence
from pipeline.export import stage as reporting
from pipeline.lake import Lake
from pipeline.people import users
from pipeline.settings import ROOT, Settings
from pipeline.store.opening import open_store
from tests.pipeline.console import world

SECONDS, MEBIBYTES = 3.0, 300
"""Bars."""
PAGES = ("/queue", "/dashboard")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=5_000)
    parser.add_argument("--files", type=int, default=200, help="media files of a case")
    parser.add_argument("--home", type=Path, help="keep the installation here, or take it from here")
    parser.add_argument("--no-save", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="triage-console-") as folder:
        settings = Settings(home=given.home or Path(folder) / "home", policy=ROOT / "policy", force="ZZ", threads=1)
        if not settings.home.exists():
            fill(settings, given.cases, given.files)
        result = {
            "machine": common.machine(),
            "versions": common.versions("duckdb", "fastapi", "pyarrow", "uvicorn"),
            "cases": given.cases,
            "media_files": given.cases * given.files,
            **measured(settings),
        }
    print(result)
    if not given.no_save:
        common.save("console_start", result)


def fill(settings: Settings, cases: int, files: int) -> None:
    """An installation with so many cases, each through the stages from assess on."""
    lake, made = Lake(settings.lake_dir), assess.case_tables(cases, files)
    for first, names in (
        ("ingest", ("referrals", "facts", "media_files")),
        ("fingerprint", ("fingerprints",)),
        ("match", ("matches",)),
    ):
        lake.commit(first, "first", {name: made[name] for name in names}, run_id="night-1")
    meta = {"policy": policy.load(settings, "linking").digest, "through": lake.last()}  # nothing here is to be linked
    lake.commit("link", "first", {"links": records.empty("links")}, run_id="night-1", meta=meta)
    night = contract.start(settings, "night-1", assess.T0 + timedelta(days=25))
    for stage in (assessing, publishing, reporting):
        began = common.cpu_seconds()
        stage.run(settings, night)
        print(f"{stage.__name__}: {common.cpu_seconds() - began:.0f} CPU s", flush=True)
    store = open_store(settings)
    with store.session() as session:
        users.first(session, "admin", "Admin", world.PASSWORD)
        users.add(session, world.ADMIN, "analyst0", "Analyst 0", roles=["analyst"], password=world.PASSWORD)
    store.close()
    began = common.cpu_seconds()
    Evidence(settings).refresh()
    print(f"index: {common.cpu_seconds() - began:.0f} CPU s", flush=True)


def measured(settings: Settings) -> dict[str, Any]:
    """Start of one server process, and its peak memory before and after its pages were looked at."""
    began = time.perf_counter()
    with world.server(settings, 1) as address:
        seconds, spent, start = time.perf_counter() - began, server_cpu(address), memory(address, "VmHWM")
        asyncio.run(looked_at(address))
        held, most = memory(address, "VmRSS"), memory(address, "VmHWM")
    return {
        "seconds_until_it_answers": round(seconds, 2),
        "cpu_seconds_until_it_answers": round(spent, 2),
        "peak_mib_when_it_answers": start,
        "resident_mib_after_pages": held,
        "peak_mib_after_pages": most,
        "bars_met": seconds < SECONDS and max(start, held) < MEBIBYTES,
    }


def memory(address: str, which: str) -> int:
    """Resident memory in MiB of the server's processes together: now (`VmRSS`), or at its peak (`VmHWM`)."""
    status = [Path(f"/proc/{number}/status").read_text() for number in family(address)]
    return sum(int(re.findall(rf"{which}:\s+(\d+)", text)[0]) for text in status) // 1024


async def looked_at(address: str) -> None:
    """Somebody signs in and looks at the queue, its first case and the dashboard. Raises SystemExit for a page with an error."""
    person = Analyst(address, 0, [], think=0, latencies=defaultdict(list), errors=Counter())
    await person.sign_in()
    pages = {path: await person.call(path, "GET", path) for path in PAGES}
    case = re.findall(r'href="(/cases/C-\w+)', pages["/queue"].text)[0]
    await person.call("case", "GET", case)
    await person.http.aclose()
    if person.errors:
        raise SystemExit(str(dict(person.errors)))


if __name__ == "__main__":
    main()
