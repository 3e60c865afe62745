"""What people wait for after so many nights: the console's start, its first queue page and a case, a look-up, and what a release
with 10,000 new hashes changes about the past. CPU seconds and peak memory of processes of their own.

Part of `bench/growth.py`, which gives it an installation after so many past nights.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from deploy.embedded import ROOT
from tests.hashsets import samples

NEW_HASHES = 10_000
COMMAND = "import sys; from pipeline.cli import WithoutPandas; sys.meta_path.insert(0, WithoutPandas())\n"
"""As every command begins: where something else has brought pandas, as here, the product does without it all the same."""
ACCOUNTS = """
import sys
from pipeline.people import users
from pipeline.settings import Settings
from pipeline.store.opening import open_store
from tests.pipeline.console import world
store = open_store(Settings.load())
with store.session() as session:
    users.first(session, "admin", "Admin", world.PASSWORD)
    users.add(session, world.ADMIN, "analyst0", "Analyst 0", roles=["analyst"], password=world.PASSWORD)
    users.add(session, world.ADMIN, sys.argv[1], "Bench", roles=["dmi"], password=world.PASSWORD)
"""
INDEX = """
import time
began = time.process_time()
from pipeline.console.casepage.evidence import Evidence
from pipeline.settings import Settings
Evidence(Settings.load()).refresh()
print("RESULT" + str(time.process_time() - began))
"""
"""Brings the console's index up to the lake: made of everything on the first time, of what is new afterwards."""
CONSOLE = """
import asyncio, json, re, statistics, time
from collections import Counter, defaultdict
from pathlib import Path
import httpx
from bench.console import Analyst
from pipeline.console import serve
made = serve.app()
started = time.process_time()
spent = -1.0
while time.process_time() - spent > 0.02:  # what it does beside, drawing the dashboard and taking in the lake, is no page's work
    spent = time.process_time()
    time.sleep(1)
person = Analyst("http://127.0.0.1", 0, [], think=0, latencies=defaultdict(list), errors=Counter())
person.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=made), base_url="http://127.0.0.1")
async def asked():
    await person.sign_in()
    queue = await cost("/queue")
    case = re.findall(r'href="(/cases/C-[0-9A-Z]+)', (await person.http.get("/queue")).text)[0]
    return {"first_queue_page_cpu_seconds": queue, "case_page_cpu_seconds": await cost(case)}
async def cost(path):
    spent = []
    for _ in range(5):
        began = time.process_time()
        answer = await person.call("page", "GET", path)
        spent.append(time.process_time() - began)
    return round(statistics.median(spent), 4)
found = asyncio.run(asked())
assert not person.errors, person.errors
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
print("RESULT" + json.dumps({"console_start_cpu_seconds": round(started, 2), "console_peak_mib": peak, **found}))
"""
"""A server process of the console without the network: started, signed in to, and asked for its pages, each five times."""
RETRO = """
import json, re, resource, time
from pathlib import Path
from pipeline import contract as nights
from pipeline.night import stages
from pipeline.settings import Settings
settings = Settings.load()
run = stages.begin("asked", "2026-11-22T01:00:00+00:00")
began = time.process_time()
report = stages.run_stage(settings, stages.find("retro_match"), nights.load(settings, run))
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
print("RESULT" + json.dumps({"retro_match_cpu_seconds": round(time.process_time() - began, 2), "retro_match_peak_mib": peak,
    "retro_match_units": report.read}))
"""


def asked(home: Path, environment: dict[str, str], scratch: Path) -> dict[str, Any]:
    """All of it on an installation, which is changed by it."""
    name = pwd.getpwuid(os.getuid()).pw_name
    child(environment, "-c", COMMAND + ACCOUNTS, name)
    result = {"console_index_cpu_seconds": round(float(child(environment, "-c", COMMAND + INDEX)), 2)}
    result |= json.loads(child(environment, "-c", COMMAND + CONSOLE))
    text = "".join(p.read_text(errors="replace") for p in (home / "landing" / "hashsets").rglob("*.json"))
    digest = re.findall(r'"MD5": *"([0-9A-Fa-f]{32})"', text)[0]
    result["look_up_cpu_seconds"] = spent(environment, "lookup", digest, "--reason", "bench")
    items = [
        samples.media(
            f"new {n}",
            MediaID=n,
            AlternativeHashes=[{"HashName": "PDQ", "HashValue": samples.digest("pdq", f"new {n}")}],
        )
        for n in range(1, NEW_HASHES + 1)
    ]
    file = samples.vics(scratch / "new-hashes.json", items, country="UK")
    imported = spent(environment, "hashset", "import", "--source", "caid", str(file))  # and says which cases would move
    result["new_hashes_import_cpu_seconds"] = round(imported + spent(environment, "hashset", "build"), 2)
    spent(environment, "hashset", "approve", "2", "--reason", "bench")  # more than half of so small a store is new
    return result | json.loads(child(environment, "-c", COMMAND + RETRO))


def child(environment: dict[str, str], *words: str) -> str:
    """What a Python process says behind the word RESULT. Raises SystemExit with its errors when it fails."""
    done = subprocess.run(
        [sys.executable, *words], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return next((line[6:] for line in done.stdout.splitlines() if line.startswith("RESULT")), "")


def spent(environment: dict[str, str], *words: str) -> float:
    """CPU seconds of a command of `triage`."""
    before = os.times()
    child(environment, "-m", "pipeline", *words)
    after = os.times()
    return round(after.children_user + after.children_system - before.children_user - before.children_system, 2)
