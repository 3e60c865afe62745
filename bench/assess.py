"""Assessment of 100,000 open cases, and incremental linking of 10,000 new identifiers among a million.

Run by hand: `python -m bench.assess`. Figures are CPU seconds of all threads of this process. The peers run in the same
process on the same lake: one query per case (what a page that assembles its case by itself would do), measured on a
sample, and linking everything anew.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from rich.console import Console
from rich.table import Table

from bench import common
from pipeline import contract as night
from pipeline import policy, records
from pipeline.assess import database, stage
from pipeline.assess.evidence.case_file import Bulk
from pipeline.assess.links import keys, linking, naming, similar, stored
from pipeline.assess.links.linking import find
from pipeline.assess.models.model import Model
from pipeline.ingest.geography import forces
from pipeline.lake import Lake
from pipeline.settings import ROOT, Settings

T0 = datetime(2026, 1, 1, tzinfo=UTC)
FACTS = (
    "access_to_children",
    "lives_with_children",
    "grooming",
    "previous_allegation",
    "distribution",
    "contact_offer",
)


def table(record: str, /, **columns: Any) -> pa.Table:
    """A lake table from columns; columns that are not given are null."""
    schema = records.arrow_schema(record)
    rows = len(next(iter(columns.values())))
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(rows, f.type) for f in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def digests(numbers: np.ndarray) -> list[bytes]:
    """Distinct 32-byte values, one a number."""
    wide = np.zeros((len(numbers), 4), dtype="<u8")
    wide[:, 0] = numbers
    wide[:, 3] = numbers * 2654435761 + 1
    return [row.tobytes() for row in wide]


def referrals(cases: int, start: int = 0) -> pa.Table:
    """Referrals R<start>.. of five sources, a minute apart."""
    n = range(start, start + cases)
    return table(
        "referrals",
        referral_id=[f"R{i:07d}" for i in n],
        package_id=[f"p{i}" for i in n],
        source=[("NCA_NCMEC", "NCA_DRB", "UCOL", "OCAG", "OTHER")[i % 5] for i in n],
        force_code=["42"] * cases,
        provider_reported_at=[T0 + timedelta(minutes=i % 500_000) for i in n],
        force_received_at=[T0 + timedelta(days=20, minutes=i % 500_000) for i in n],
        narrative_count=[i % 4 for i in n],
        completeness=[0.5] * cases,
        report_sha256=["0" * 64] * cases,
        run_id=["night-1"] * cases,
    )


def case_tables(cases: int, files: int, start: int = 0) -> dict[str, pa.Table]:
    """Referrals R<start>.. with three facts and `files` media files each, three of ten files known, one of twenty a near match."""
    rng = np.random.default_rng(7)
    owner = np.repeat(np.arange(start, start + cases), 3)
    chosen = rng.integers(0, len(FACTS), len(owner))
    said = rng.integers(0, 3, len(owner))
    total = cases * files
    file_owner = np.repeat(np.arange(start, start + cases), files)
    content = digests(np.arange(start * files, start * files + total))
    known = np.flatnonzero(rng.random(total) < 0.35)
    near = rng.random(len(known)) < 1 / 7
    return {
        "referrals": referrals(cases, start),
        "facts": table(
            "facts",
            fact_id=[f"f{start * 3 + i}" for i in range(len(owner))],
            referral_id=[f"R{i:07d}" for i in owner],
            name=[FACTS[i] for i in chosen],
            value=[("yes", "no", "unknown")[i] for i in said],
            source_path=["/x"] * len(owner),
        ),
        "media_files": table(
            "media_files",
            file_id=[f"m{start * files + i}" for i in range(total)],
            referral_id=[f"R{i:07d}" for i in file_owner],
            package_id=["p"] * total,
            state=["present"] * total,
            sha256=content,
            viewed_by_provider=["unknown"] * total,
            publicly_available=["unknown"] * total,
            annotations=[["viral"] if i % 50 == 0 else [] for i in range(total)],
        ),
        "fingerprints": table(
            "fingerprints",
            sha256=content,
            size=[1] * total,
            state=["rejected" if i % 200 == 0 else "hashed" for i in range(total)],
            low_information=[False] * total,
            algorithm_version=["1"] * total,
            decoder_version=["1"] * total,
            sandbox=["x"] * total,
            run_id=["night-1"] * total,
        ),
        "matches": table(
            "matches",
            match_id=[f"x{start * files + i}" for i in known],
            sha256=[content[i] for i in known],
            media_key=start * files + known,
            kind=["near" if n else "exact" for n in near],
            algorithm=["pdq" if n else "sha256" for n in near],
            distance=[20 if n else 0 for n in near],
            threshold=[31 if n else 0 for n in near],
            low_information=[False] * len(known),
            total_hits=[1] * len(known),
            release=[1] * len(known),
            grade=[("TRUSTED", "INDICATIVE", "DISPUTED", "BENIGN")[i % 4] for i in known],
            category=[("A", "B", "C", None)[i % 4] for i in known],
            sources=[["caid"]] * len(known),
            victim_identified=[("yes", "no", "unknown")[i % 3] for i in known],
            offender_identified=["unknown"] * len(known),
            distributed=[("yes", "no", "unknown")[i % 3] for i in known],
            series=[[]] * len(known),
            tags=[[]] * len(known),
            algorithm_version=["1"] * len(known),
            code_version=["1"] * len(known),
            run_id=["night-1"] * len(known),
        ),
    }


def identifiers(number: int, holders: int, start: int, seed: int) -> pa.Table:
    """Identifiers of seven kinds, ten a referral; about one in a hundred values is held by more than one referral, and
    one IP address in twenty stands in a carrier's range that thousands share."""
    rng = random.Random(seed)
    kinds = ("email", "phone", "username", "user_id", "device", "ip", "ip", "ip", "url", "vehicle")
    columns: dict[str, list[Any]] = {c: [] for c in ("kind", "service", "value", "port", "seen_at", "referral_id")}
    for i in range(number):
        kind = kinds[i % len(kinds)]
        shared = rng.random() < 0.01
        value = f"{kind}-{rng.randrange(number // 200) if shared else f'{seed}-{i}'}"
        if kind == "ip":
            at = rng.randrange(2**24)
            value = (
                f"100.64.{at % 64}.{at % 251}"
                if rng.random() < 0.05
                else f"{81 + at % 9}.{at >> 16}.{at >> 8 & 255}.{at & 255}"
            )
        columns["kind"].append(kind)
        columns["service"].append("service-a" if kind in ("username", "user_id") else None)
        columns["value"].append(value)
        columns["port"].append(rng.randrange(1024, 65535) if kind == "ip" else None)
        columns["seen_at"].append(T0 + timedelta(minutes=rng.randrange(500_000)) if kind == "ip" else None)
        columns["referral_id"].append(f"R{start + i * holders // number:07d}")
    ids = [f"i{seed}-{i}" for i in range(number)]
    return table(
        "identifiers", identifier_id=ids, original=columns["value"], time_ambiguous=[False] * number, **columns
    )


def assess_cases(home: Path, cases: int, files: int) -> dict[str, Any]:
    """CPU seconds of the first assessment, of a new model over everything, and of a night in which 5 % changed."""
    settings = Settings(home=home, threads=0, force="42", policy=home / "policy")
    shutil.copytree(ROOT / "policy", settings.policy)
    lake = Lake(settings.lake_dir)
    tables = case_tables(cases, files)
    lake.commit("ingest", "first", tables, run_id="night-1")
    digest = policy.load(settings, "linking").digest
    lake.commit(
        "link",
        "first",
        {"links": records.empty("links")},
        run_id="night-1",
        meta={"policy": digest, "through": lake.last()},
    )
    result: dict[str, Any] = {"cases": cases, "media_files": cases * files, "matches": tables["matches"].num_rows}
    del tables

    def run(name: str, day: int) -> None:
        start = common.cpu_seconds()
        report = stage.run(settings, night.start(settings, name, T0 + timedelta(days=day)))
        result[name] = {
            "cpu_seconds": round(common.cpu_seconds() - start, 2),
            **{k: report.counts[k] for k in ("new", "raised", "lowered", "changed", "unchanged")},
        }

    run("first-assessment", 1)
    model = settings.policy / "risk-model.yaml"
    data = yaml.safe_load(model.read_text())
    data["version"], data["features"]["grooming"]["weight"] = "2", 40
    model.write_text(yaml.safe_dump(data, sort_keys=False))
    run("everything-re-assessed", 2)
    some = [f"R{i:07d}" for i in range(0, cases, 20)]
    facts = [
        {"fact_id": f"n{r}", "referral_id": r, "name": "incitement", "value": "yes", "source_path": "/x"} for r in some
    ]
    lake.commit("ingest", "second", {"facts": records.build("facts", facts)}, run_id="night-3")
    run("five-per-cent-changed", 3)
    run("nothing-changed", 4)
    result["peer_one_query_a_case"] = peer(settings, lake, cases)
    return result


def peer(settings: Settings, lake: Lake, cases: int) -> dict[str, Any]:
    """The same case files one at a time, each from the lake with a filter on its referral, on a sample."""
    model, links, size = Model.load(settings), stored.current(lake), 5
    whole = {
        name: lake.read(name)
        for name in ("referrals", "facts", "media_files", "fingerprints", "matches", "subjects", "packages")
    }
    start = common.cpu_seconds()
    for i in range(0, cases, cases // size):
        referral = f"R{i:07d}"
        with database.connection(settings, whole) as con:
            part = {
                n: con.table(n).filter(f"referral_id = '{referral}'").to_arrow_table()
                for n in ("referrals", "facts", "media_files")
            }
            con.register("mine", part["media_files"])
            for n in ("fingerprints", "matches"):
                part[n] = con.table(n).filter("sha256 IN (SELECT sha256 FROM mine)").to_arrow_table()
        model.assess(next(Bulk(settings, model, One(lake, part), links).cases()))
    each = (common.cpu_seconds() - start) / size
    return {"cpu_seconds_a_case": round(each, 4), "cpu_seconds_extrapolated": round(each * cases)}


class One(Lake):
    """A lake in which only the given tables have rows."""

    def __init__(self, lake: Lake, tables: dict[str, pa.Table]) -> None:
        super().__init__(lake.root)
        self.tables = tables

    def read(self, table: str, columns: Any = None, **_: Any) -> pa.Table:
        """The given rows of the table, or none."""
        rows = self.tables.get(table, records.empty(table))
        return rows.select(columns) if columns else rows


def link_identifiers(home: Path, old: int, new: int) -> dict[str, Any]:
    """CPU seconds of linking `new` identifiers among `old` that are linked already, and of linking all of them anew."""
    settings = Settings(home=home, threads=0)
    lake = Lake(settings.lake_dir)
    rules = policy.load(settings, "linking")
    holders, arriving = old // 10, new // 10
    first = {"referrals": referrals(holders), "identifiers": identifiers(old, holders, 0, 1)}
    lake.commit("ingest", "first", first, run_id="night-1")
    start = common.cpu_seconds()
    linked = linking.link(settings, night.start(settings, "night-1", T0), lake)
    everything = common.cpu_seconds() - start
    before = linked.current.num_rows
    second = {"referrals": referrals(arriving, holders), "identifiers": identifiers(new, arriving, holders, 2)}
    lake.commit("ingest", "second", second, run_id="night-2")
    start = common.cpu_seconds()
    more = linking.link(settings, night.start(settings, "night-2", T0 + timedelta(days=1)), lake)
    incremental = common.cpu_seconds() - start
    with database.connection(settings, {}) as con:
        keys.views(con, lake, 0, keys.fresh(lake, 0))
        naming.register(con, rules.data)
        similar.register(con, forces.counties(settings))
        members = {r: r for r in lake.read("referrals", ["referral_id"])["referral_id"].to_pylist()}
        start = common.cpu_seconds()
        again = sum(len(part.links) for part in find(con, rules.data, members).parts)
        anew = common.cpu_seconds() - start
    return {
        "identifiers": old,
        "new_identifiers": new,
        "links_before": before,
        "links_after": more.current.num_rows,
        "links_found_anew": again,
        "cpu_seconds_first": round(everything, 2),
        "cpu_seconds_incremental": round(incremental, 2),
        "cpu_seconds_everything_anew": round(anew, 2),
    }


def main() -> None:
    """Run both and write bench/results/assess.json."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=100_000)
    options.add_argument("--part", choices=["link", "assess", "both"], default="both")
    options.add_argument("--files", type=int, default=10, help="media files per case")
    options.add_argument("--identifiers", type=int, default=1_000_000)
    chosen = options.parse_args()
    kept = common.RESULTS / "assess.json"
    result: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    result |= {"machine": common.machine(), "versions": common.versions("duckdb", "pyarrow", "orjson")}
    shown = Table("work", "CPU seconds", "bar")
    with tempfile.TemporaryDirectory() as folder:
        if chosen.part in ("link", "both"):
            result["link"] = linked = link_identifiers(Path(folder), chosen.identifiers, chosen.identifiers // 100)
            what = f"{linked['new_identifiers']} new among {linked['identifiers']} identifiers"
            shown.add_row(what, str(linked["cpu_seconds_incremental"]), "5")
            shown.add_row("peer: everything linked anew", str(linked["cpu_seconds_everything_anew"]), "")
            linked["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    with tempfile.TemporaryDirectory() as folder:
        if chosen.part in ("assess", "both"):
            result["assess"] = assessed = assess_cases(Path(folder), chosen.cases, chosen.files)
            bar = "60" if chosen.cases == 100_000 else "(60 for 100,000 cases)"
            for name in ("first-assessment", "everything-re-assessed", "five-per-cent-changed", "nothing-changed"):
                shown.add_row(f"{chosen.cases} cases: {name}", str(assessed[name]["cpu_seconds"]), bar)
            peer_seconds = assessed["peer_one_query_a_case"]["cpu_seconds_extrapolated"]
            shown.add_row("peer: one query per case (extrapolated)", str(peer_seconds), "")
            assessed["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    Console().print(shown)
    common.save("assess", result)


if __name__ == "__main__":
    main()
