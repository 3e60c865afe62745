"""The console under load: 20 analysts for 60 seconds on 100,000 cases, over real HTTP on the loopback address.

    python -m bench.console [--cases 100000] [--analysts 20] [--seconds 60] [--think 1.0] [--workers 2]

Each analyst signs in and then works: looks at the queue with filters, opens cases, claims the next one, notes, starts
enquiries, closes, looks at the dashboard. Between two requests he thinks for `--think` seconds on average
(exponential), which is many times faster than a person. A latency is from sending a request to its whole answer; a
redirect counts as its own request. Then 40 people sign in at once, while one who is signed in looks at the queue again
and again. Bars: 95 in 100 requests under 100 ms, of the queue under 60 ms, no error, a queue page of at most 60 kB, and
95 in 100 queue pages under 200 ms while the 40 sign in. Passwords are hashed as the shipped policy has it. The load
generator runs on the same cores as the server. Cases, files and matches are synthetic.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import re
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from bench import common
from pipeline import records
from pipeline.cases.publishing.stage import publish
from pipeline.console.casepage.evidence import Evidence
from pipeline.contract import Night
from pipeline.export import stage as reporting_stage
from pipeline.lake import Lake
from pipeline.people import users
from pipeline.settings import ROOT, Settings
from pipeline.store.opening import open_store
from tests.pipeline.cases import samples
from tests.pipeline.console import world

BATCH = 20_000
CROWD = 40
"""People who sign in at once."""
SETTLE = 15
"""Seconds before the clock starts: the first server process answers while the others still load."""
LABELS = (
    "Access to children",
    "Grooming",
    "Unknown files",
    "Earlier allegation",
    "Distribution",
    "Infant",
    "Viewed by the provider",
)
SOURCES = ("NCA_NCMEC", "NCA_DRB", "UCOL", "OCAG", "OTHER")
MIX = {"queue": 36, "case": 40, "next": 6, "note": 6, "decide": 5, "dashboard": 3, "texts": 2, "outcomes": 2}
"""What an analyst does, in shares of 100."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--analysts", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--think", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-save", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder) / "home", policy=ROOT / "policy", force="ZZ")
        start = common.cpu_seconds()
        numbers = fill(settings, given.cases, given.analysts)
        filled = common.cpu_seconds() - start
        print(f"{given.cases:,} cases made and published in {filled:.0f} CPU seconds", flush=True)
        print(f"{given.analysts} analysts for {given.seconds:.0f} s", flush=True)
        with world.server(settings, given.workers) as address:
            time.sleep(SETTLE)
            before = server_cpu(address)
            load = asyncio.run(work(address, numbers, given))
            spent = server_cpu(address) - before
            page = asyncio.run(queue_page(address))
            crowd = asyncio.run(sign_ins(address, given.analysts))
    result = {
        "machine": common.machine(),
        "versions": common.versions("fastapi", "starlette", "uvicorn", "sqlalchemy", "jinja2"),
        "cases": given.cases, "analysts": given.analysts, "seconds": given.seconds, "think_seconds": given.think,
        "server_processes": given.workers, "network": "loopback", "queue_page_bytes": page, "sign_ins_at_once": crowd,
        "server_cpu_milliseconds_per_request": round(spent * 1000 / max(load["requests"], 1), 1),
        "load_average_of_machine": os.getloadavg()[0], **load,
    }  # fmt: skip
    show(result)
    if not given.no_save:
        print(common.save("console", result).name)


def fill(settings: Settings, count: int, analysts: int) -> list[str]:
    """Cases with reasons, files, identifiers, facts and matches; accounts; the reporting tables."""
    now = datetime.now(UTC).replace(microsecond=0)
    night = Night("bench", now - timedelta(hours=3))
    lake = Lake(settings.lake_dir)
    dice = random.Random(8)
    for first in range(0, count, BATCH):
        rows = range(first, min(first + BATCH, count))
        tables = [_case(n, dice, now, night) for n in rows]
        merged: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for one in tables:
            for name, found in one.items():
                merged[name] += found
        for stage, names in (
            ("ingest", ("referrals", "media_files", "identifiers", "subjects", "facts")),
            ("fingerprint", ("fingerprints",)),
            ("match", ("matches",)),
            ("assess", ("assessments",)),
        ):
            built = {name: _build(name, merged[name]) for name in names}
            lake.commit(stage, f"bench-{first}", built, run_id=night.run_id)
    store = open_store(settings)
    publish(store, lake, night)
    with store.session() as session:
        users.first(session, "admin", "Admin", world.PASSWORD)
        for n in range(analysts):
            users.add(session, world.ADMIN, f"analyst{n}", f"Analyst {n}", roles=["analyst"], password=world.PASSWORD)
    store.close()
    reporting_stage.write(settings, None)
    Evidence(settings).refresh()
    return [samples.case_of(n) for n in range(count)]


def _build(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    known = set(records.arrow_schema(name).names)
    return records.build(name, [{k: v for k, v in row.items() if k in known} for row in rows])


def _case(n: int, dice: random.Random, now: datetime, night: Night) -> dict[str, list[dict[str, Any]]]:
    """All rows of one case: two to six files, one in three of them known."""
    band = dice.choices(("very_high", "high", "medium", "low"), (2, 18, 40, 40))[0]
    source = dice.choice(SOURCES)
    clock = now - timedelta(hours=dice.uniform(0, 1.4 * samples.HOURS[band]))
    referral = samples.referral(n)
    files = dice.randint(2, 6)
    contents = [hashlib.sha256(f"{n}/{i}".encode()).digest() for i in range(files)]
    fact_rows = [
        {"fact_id": f"F-{n}-{i}", "referral_id": referral, "name": name, "value": "yes", "source_path": f"/facts/{i}"}
        for i, name in enumerate(("access_to_children", "grooming", "distribution"))
    ]
    reasons = [
        samples.reason(
            f"f{i}", round(dice.uniform(0, 20), 2), [("facts", f"F-{n}-{i % 3}"), ("media_files", f"M-{n}-0")]
        )
        | {"label": label}
        for i, label in enumerate(dice.sample(LABELS, 5))
    ]
    summary = {
        "source": source,
        "provider": f"Provider {n % 12}",
        "oldest_at": clock.isoformat(),
        "unknown_files": dice.randint(0, 9),
    }
    assessment = samples.assessment(
        n, band, at=night, clock_start=clock, reasons=reasons, score=round(dice.uniform(0, 99), 2), summary=summary
    )
    assessment["unknowns"] = [
        {"feature": f"u{i}", "question": f"Is question {i} answered?", "band_if_yes": "very_high"} for i in range(12)
    ]
    return {
        "assessments": [assessment],
        "referrals": [samples.referral_row(n, source=source, force_received_at=clock, incident_at=clock - timedelta(days=9), provider_reported_at=clock - timedelta(days=5), narrative_count=0)],
        "subjects": [{"subject_id": f"S-{n}", "referral_id": referral, "role": "suspect", "name": f"Synthetic person {n}"}],
        "identifiers": [
            {"identifier_id": f"I-{n}-{i}", "referral_id": referral, "subject_id": f"S-{n}", "kind": kind, "value": f"{kind}-{n}", "original": f"{kind}-{n}", "time_ambiguous": False}
            for i, kind in enumerate(("email", "ip", "username", "phone"))
        ],
        "facts": fact_rows,
        "media_files": [
            {"file_id": f"M-{n}-{i}", "referral_id": referral, "package_id": f"P-{n}", "name": f"file_{i}.jpg", "state": "present", "sha256": c, "size": 100_000 + i, "viewed_by_provider": "unknown", "publicly_available": "no", "annotations": []}
            for i, c in enumerate(contents)
        ],
        "fingerprints": [
            {"sha256": c, "size": 100_000, "state": "hashed", "media_type": "image/jpeg", "width": 800, "height": 600, "pdq": hashlib.sha256(c).digest(), "pdq_quality": 100, "low_information": False, "algorithm_version": "1", "decoder_version": "1", "sandbox": "none", "run_id": "bench"}
            for c in contents
        ],
        "matches": [
            {"match_id": f"X-{n}-{i}", "sha256": c, "media_key": n * 10 + i, "kind": "near", "algorithm": "pdq", "distance": dice.randint(0, 31), "threshold": 31, "low_information": False, "total_hits": 1, "release": 1, "grade": "TRUSTED", "category": "B", "sources": ["demo"], "victim_identified": "unknown", "offender_identified": "unknown", "distributed": "yes", "series": [], "tags": [], "query_hash": c.hex(), "known_hash": c.hex(), "algorithm_version": "1", "code_version": "1", "run_id": "bench"}
            for i, c in enumerate(contents)
            if i % 3 == 0
        ],
    }  # fmt: skip


async def work(address: str, numbers: list[str], given: argparse.Namespace) -> dict[str, Any]:
    """All analysts at once for the given time; latencies by kind of request, errors by kind."""
    latencies: dict[str, list[float]] = defaultdict(list)
    errors: Counter[str] = Counter()
    people = [
        Analyst(address, n, numbers, think=given.think, latencies=latencies, errors=errors)
        for n in range(given.analysts)
    ]
    for person in people:
        await person.sign_in()
    until = time.monotonic() + given.seconds
    await asyncio.gather(*(person.run(until) for person in people))
    for person in people:
        await person.http.aclose()
    every = sorted(x for found in latencies.values() for x in found)
    kinds = {kind: {"requests": len(v), **_points(sorted(v))} for kind, v in sorted(latencies.items())}
    return {"requests": len(every), "errors": dict(errors), "milliseconds": _points(every), "by_kind": kinds}


class Analyst:
    """One person at work."""

    def __init__(
        self, address: str, number: int, numbers: list[str], *, think: float, latencies: Any, errors: Any
    ) -> None:
        self.http = httpx.AsyncClient(base_url=address, timeout=30)
        self.name, self.numbers, self.think = f"analyst{number}", numbers, think
        self.latencies, self.errors = latencies, errors
        self.dice = random.Random(number)
        self.csrf = ""
        self.held: list[str] = []

    async def try_to_sign_in(self) -> int:
        """The status of the answer: 303 when it went well."""
        form = (await self.http.get("/sign-in")).text
        answer = await self.http.post(
            "/sign-in", data={"name": self.name, "password": world.PASSWORD, "csrf": _value(form, "csrf")}
        )
        return answer.status_code

    async def sign_in(self) -> None:
        status = await self.try_to_sign_in()
        if status != 303:
            raise SystemExit(f"{self.name} cannot sign in: {status}")
        self.csrf = _value((await self.http.get("/account")).text, "csrf")

    async def run(self, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(self.dice.expovariate(1 / self.think) if self.think else 0)
            await getattr(self, self.dice.choices(list(MIX), list(MIX.values()))[0])()

    async def call(self, kind: str, method: str, path: str, **kwargs: Any) -> httpx.Response:
        start = time.perf_counter()
        answer = await self.http.request(method, path, **kwargs)
        self.latencies[kind].append((time.perf_counter() - start) * 1000)
        if answer.status_code not in {200, 303}:
            self.errors[f"{kind} {answer.status_code}"] += 1
        return answer

    async def queue(self) -> None:
        query = self.dice.choice(
            (
                "",
                "?band=very_high&band=high",
                "?holder=nobody",
                "?source=UCOL&attention=unknown_files",
                "?urgency=overdue",
                "?holder=me",
                "?attention=new_for_me",
                "?band=low&source=OCAG",
            )
        )
        await self.call("queue", "GET", f"/queue{query}")

    async def case(self) -> None:
        await self.call("case", "GET", f"/cases/{self.dice.choice(self.numbers)}")

    async def next(self) -> None:
        answer = await self.call("claim next", "POST", "/queue/next", data={"csrf": self.csrf})
        where = answer.headers.get("location", "")
        if where.startswith("/cases/"):
            self.held.append(where.split("?")[0])
            await self.call("case", "GET", where)

    async def note(self) -> None:
        await self._change("note", lambda page: {"note": "[synthetic note]"})

    async def decide(self) -> None:
        def form(page: str) -> dict[str, str]:
            if 'value="start_enquiry"' in page:
                return {"decision": "start_enquiry", "reason": "enquiry_opened"}
            return {"decision": "close", "reason": "enquiry_complete", "outcome": "intelligence_only"}

        await self._change("decide", form)

    async def _change(self, kind: str, form: Any) -> None:
        if not self.held:
            await self.next()
            return
        path = self.held[-1]
        page = (await self.call("case", "GET", path)).text
        data = {"csrf": self.csrf, "version": _value(page, "version"), **form(page)}
        await self.call(kind, "POST", f"{path}/{kind}", data=data)
        if data.get("decision") == "close":
            self.held.pop()

    async def dashboard(self) -> None:
        await self.call("dashboard", "GET", "/dashboard")

    async def texts(self) -> None:
        await self.call("texts", "GET", f"/cases/{self.dice.choice(self.numbers)}/texts")

    async def outcomes(self) -> None:
        await self.call("outcomes", "GET", "/outcomes")


def server_cpu(address: str) -> float:
    """CPU seconds of the server's processes so far."""
    return sum(family(address).values())


def family(address: str) -> dict[int, float]:
    """The server's processes, the one with this port in its command line and its descendants, and the CPU seconds of each so far."""
    port, tick = address.rsplit(":", 1)[1], os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    found: set[int] = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rsplit(")", 1)[1].split()
            words = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        number = int(path.name)
        parents[number], seconds[number] = int(fields[1]), (int(fields[11]) + int(fields[12])) / tick
        if b"console" in words and port.encode() in words:
            found.add(number)
    while more := {n for n, parent in parents.items() if parent in found} - found:
        found |= more
    return {n: seconds[n] for n in found}


async def queue_page(address: str) -> int:
    """Bytes of the first queue page, not compressed."""
    person = Analyst(address, 0, [], think=0, latencies=defaultdict(list), errors=Counter())
    await person.sign_in()
    size = len((await person.http.get("/queue")).content)
    await person.http.aclose()
    return size


async def sign_ins(address: str, accounts: int, number: int = CROWD) -> dict[str, Any]:
    """What the queue costs somebody who works while so many sign in at once, and what became of those who did."""
    worker = Analyst(address, 0, [], think=0, latencies=defaultdict(list), errors=Counter())
    await worker.sign_in()
    people = [
        Analyst(address, n % accounts, [], think=0, latencies=defaultdict(list), errors=Counter())
        for n in range(number)
    ]
    answers: Counter[str] = Counter()

    async def enter(person: Analyst) -> None:
        answers[str(await person.try_to_sign_in())] += 1

    start = time.perf_counter()
    crowd = asyncio.gather(*(enter(person) for person in people))
    while not crowd.done():
        await worker.call("queue", "GET", "/queue")
        await asyncio.sleep(0.02)
    await crowd
    took = time.perf_counter() - start
    for person in (worker, *people):
        await person.http.aclose()
    waited = sorted(worker.latencies["queue"])
    return {"people": number, "seconds": round(took, 2), "answers": dict(answers), "queue_pages": len(waited), "queue_milliseconds": _points(waited)}  # fmt: skip


def _value(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', page)
    return found[1] if found else ""


def _points(sorted_values: list[float]) -> dict[str, float]:
    if not sorted_values:
        return {}
    cut = statistics.quantiles(sorted_values, n=100) if len(sorted_values) > 1 else sorted_values * 99
    return {
        "median": round(cut[49], 1),
        "p95": round(cut[94], 1),
        "p99": round(cut[98], 1),
        "largest": round(sorted_values[-1], 1),
    }


def show(result: dict[str, Any]) -> None:
    print(f"{'request':12} {'number':>7} {'median':>8} {'p95':>8} {'p99':>8} {'largest':>8}  ms")
    rows = {**result["by_kind"], "all": {"requests": result["requests"], **result["milliseconds"]}}
    for kind, row in rows.items():
        print(f"{kind:12} {row['requests']:7} {row['median']:8} {row['p95']:8} {row['p99']:8} {row['largest']:8}")
    print(
        f"server CPU {result['server_cpu_milliseconds_per_request']} ms per request, "
        f"load average of the machine {result['load_average_of_machine']:.1f}"
    )
    crowd = result["sign_ins_at_once"]
    print(
        f"{crowd['people']} sign-ins at once: {crowd['seconds']} s, {crowd['answers']}; queue {crowd['queue_milliseconds']} ms"
    )
    print(
        f"errors {sum(result['errors'].values())} {result['errors']}; queue page {result['queue_page_bytes']:,} bytes"
    )


if __name__ == "__main__":
    main()
