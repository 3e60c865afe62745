"""What one more night costs after 0, 30, 365 and 1,000 nights: CPU seconds and peak memory of every stage.

Past nights are one real night's rows with changed identities, as files of the lake's own writer and a ledger row for every
commit, with the folder and the stage reports of each run, settled and merged by the week; then one assess and one publish bring the case store up to them. The night
that is measured is a real one, in a process of its own a stage. Bar: every stage after 1,000 nights at most 1.3 times what it
costs after 30, the sum under 1.2 times. `--referrals 40 --files 3` for a smaller night; `--nights 0,30` for a quick look;
`--homes FOLDER` keeps the grown installations, so that the next measurement starts from them; files of the lake are then
shared between the copies, as far as the file system can.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from bench import common, growth_asked
from bench.nightly import env, triage
from deploy.embedded import ROOT
from pipeline import records
from pipeline.lake import Lake
from pipeline.lake.run_rows import REPORT

STAGES = ("ingest", "fingerprint", "match", "flood", "assess", "publish", "reporting", "reconcile")
NAMED = ("referral_id", "package_id", "file_id", "identifier_id", "subject_id", "fact_id", "narrative_id", "match_id",
         "supplements", "container", "report_sha256", "source_reference")  # fmt: skip
"""Text columns that name something: they get the night's number, so that no night repeats another."""
CONTENTS = ("sha256", "md5", "sha1", "claimed_sha256", "claimed_md5", "claimed_sha1")
COPIED = ("ingest", "fingerprint", "match")
"""Stages whose commits make up a past night."""
FIRST_DAY = date(2024, 1, 1)
MONTH = 5
"""Weeks after which files that were merged away are removed."""
LAST = 1001
"""Number of the night that is as the sample makes it: those with smaller numbers lie as many days before it."""
WEEK = 7
"""Past nights that are settled and merged together."""

ONE_STAGE = """
import json, re, resource, sys
from pathlib import Path
from pipeline import contract as nights
from pipeline.night import stages as nightly
from pipeline.settings import Settings
settings = Settings.load()
run, which = nights.load(settings, sys.argv[1]), nightly.find(sys.argv[2])
shards = nightly.plan_shards(settings, which, run) if which.sharded else [None]
for shard in shards:
    nightly.run_stage(settings, which, run, shard)
own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
print("RESULT" + json.dumps({"cpu_seconds": own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime,
    "peak_mib": int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024}))
"""

NOTICES = """
from pipeline.ingest import quarantine, returned
from pipeline.lake import Lake
from pipeline.settings import Settings
settings = Settings.load()
quarantine.write_notices(settings, returned.ReturnedIndex(settings, Lake.of(settings)))
"""
"""What each past night wrote for its sender, which rows alone do not bring."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--referrals", type=int, default=200)
    parser.add_argument("--files", type=int, default=5, help="media files of a referral")
    parser.add_argument("--nights", default="0,30,365,1000")
    parser.add_argument("--homes", type=Path, help="keep grown installations here, or take them from here")
    parser.add_argument("--grow-only", action="store_true", help="grow the installations of --homes, measure nothing")
    parser.add_argument(
        "--stages-only", action="store_true", help="what people wait for stays as the committed run has it"
    )
    parser.add_argument(
        "--people-only", action="store_true", help="measure only that, and with --save add it to the committed run"
    )
    parser.add_argument("--save", action="store_true", help="write bench/results/growth.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="triage-growth-") as folder:
        homes, wanted = options.homes or Path(folder), sorted(int(n) for n in options.nights.split(","))
        grow(homes, options.referrals, options.files, wanted)
        if options.grow_only:
            return
        if options.people_only:
            people(Path(folder), homes, wanted, save=options.save)
            return
        result = measure(Path(folder), homes, options.referrals, options.files, wanted)
        for nights in map(str, wanted):
            before = common.committed("growth").get("after", {}).get(nights, {}).get("people", {})
            found = before if options.stages_only else waited(Path(folder), homes, int(nights))
            result["after"][nights]["people"] = found | result["after"][nights]["people"]
    show(result)
    if options.save:
        common.save("growth", result)


def grow(homes: Path, referrals: int, files: int, wanted: list[int]) -> None:
    """An installation after each of so many nights, `homes/after-<nights>`; those that are there are taken as they are."""
    home, standing = homes / "growing", -1
    for nights in (n for n in wanted if not (homes / f"after-{n}").exists()):
        done = max((n for n in wanted if n < nights), default=0)
        if standing != done or not nights:
            shutil.rmtree(home, ignore_errors=True)
            if (homes / f"after-{done}").exists():
                copied(homes / f"after-{done}", home)
            else:
                first_night(home, referrals, files)
        template, rows = template_of(home)
        began, lake = time.process_time(), Lake(home / "lake", cache=home / "cache" / "lake")
        for first in range(done + 1, nights + 1, WEEK):
            week = range(first, min(first + WEEK, nights + 1))
            left(home, lake, week)
            publish(lake, template, rows, week)
            if (
                first // WEEK % MONTH == 0
            ):  # as the maintenance of an installation does after the days that its policy keeps
                lake.vacuum(timedelta(0))
            if (first - done) % (WEEK * 10) == 1:
                print(f"{first} nights, {time.process_time() - began:.0f} CPU s", file=sys.stderr, flush=True)
        standing = nights
        spent = round(time.process_time() - began, 1)
        for stage in ("assess", "publish", "reporting") if nights else ():
            triage(home, "night", "stage", stage, "--run-id", "past-0")
        (home / "growing.json").write_text(json.dumps({"growing_cpu_seconds": spent}))
        copied(home, homes / f"copy-{nights}")
        (homes / f"copy-{nights}").rename(homes / f"after-{nights}")
        print(f"grown: {nights} nights, {spent} CPU s", file=sys.stderr, flush=True)


def copied(source: Path, target: Path) -> None:
    """A copy of an installation. Files that have their digest in their name are never changed: they are shared by a second link,
    where both lie on one file system that knows links."""

    def share(file: str, to: str) -> None:
        if re.search(r"\.[0-9a-f]{64}\.parquet$", file):
            try:
                os.link(file, to)
                return
            except OSError:
                pass  # another file system
        shutil.copy2(file, to)

    shutil.copytree(source, target, symlinks=True, copy_function=share)


def first_night(home: Path, referrals: int, files: int) -> None:
    """One real night, of whose rows past nights are made."""
    sample(home, referrals, files, 1)
    for stage in ("hashset_import", "hashset_release"):
        triage(home, "night", "stage", stage, "--run-id", "setup")
    triage(home, "night", "run", "--run-id", "past-0", "--as-of", f"{FIRST_DAY:%Y-%m-%d}T01:00:00+0000")


def template_of(home: Path) -> tuple[list[Any], dict[Any, dict[str, pa.Table]]]:
    """Commits of the first night, and their rows by commit and table."""
    lake = Lake(home / "lake")
    template = [c for c in lake.commits(run_id="past-0") if c.stage in COPIED]
    return template, {
        (c.stage, c.key): {t: lake.read(t, commits=[c]) for t in {p.table for p in c.parts}} for c in template
    }


def people(folder: Path, homes: Path, wanted: list[int], *, save: bool) -> None:
    """What people wait for in the installations of a run whose stages were measured before; the largest first."""
    for nights in sorted(wanted, reverse=True):
        found = waited(folder, homes, nights)
        if save:
            result = common.committed("growth")
            result["after"][str(nights)]["people"] |= found
            common.save("growth", result)


def waited(folder: Path, homes: Path, nights: int) -> dict[str, Any]:
    """What people wait for in a copy of one installation."""
    copy = folder / "asked"
    copied(homes / f"after-{nights}", copy)
    found = growth_asked.asked(copy, env(copy) | {"TRIAGE_THREADS": "1"}, folder)
    shutil.rmtree(copy)
    print(nights, json.dumps(found), file=sys.stderr, flush=True)
    return found


def measure(folder: Path, homes: Path, referrals: int, files: int, wanted: list[int]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "machine": common.machine(),
        "versions": common.versions("deltalake", "duckdb", "pyarrow"),
        "night": {"referrals": referrals, "media_files": referrals * files},
        "after": {},
    }
    for nights in wanted:
        home = homes / f"after-{nights}"
        lake = Lake(home / "lake")
        result["after"][str(nights)] = (
            one_more(folder, home, referrals, files)
            | json.loads((home / "growing.json").read_text())
            | {
                "commits": len(lake.commits()),
                "files": len(lake.everything()),
                "lake_mib": sum(p.stat().st_size for p in (home / "lake").rglob("*") if p.is_file()) // 2**20,
            }
        )
        print(nights, json.dumps(result["after"][str(nights)]), file=sys.stderr, flush=True)
    return result | {"ratios": ratios(result["after"])}


def sample(home: Path, referrals: int, files: int, seed: int) -> None:
    """Landing with sample referrals; the known-hash set of a seed other than the first is left out."""
    words = ["sample", "--seed", str(seed), "--referrals", str(referrals), "--files", str(files), "--day", "2026-11-20"]
    triage(home, *words, "--known", "100", "--unknown", "1000000")


def publish(lake: Lake, template: list[Any], rows: dict[Any, dict[str, pa.Table]], nights: range) -> None:
    """Some past nights: of each the template's commits with other identities, each a ledger row and files of the lake's own
    writer. They are put into the ledger, settled and merged together, as maintenance does once a week."""
    listed = []
    for night in nights:
        for commit in template:
            key = commit.key.replace("content-", f"content-{night}-").replace("claimed-", f"claimed-{night}-")
            key = key if commit.stage == "match" else f"{night}-{key}"
            meta = commit.meta | ({"unit": key} if commit.stage == "match" else {})
            tables = {name: changed(name, table, night) for name, table in rows[commit.stage, commit.key].items()}
            parts = [
                (name, lake._parts.write(name, f"{commit.stage}-{key}", table)[0], table.num_rows)
                for name, table in sorted(tables.items())
                if table.num_rows
            ]
            listed.append((commit.stage, key, f"past-{night}", meta, parts))
    lake.publish_all(listed)
    lake.merge(f"past-{nights[-1]}")


def left(home: Path, lake: Lake, nights: range) -> None:
    """What else a past night left: its run's folder, and its stage reports, one row of the lake's table `runs` each."""
    first = home / "runs" / "past-0"
    reports = [(row.name, json.loads(row.body)) for row in lake.run_rows.of("past-0", REPORT)]
    for night in nights:
        run, day = f"past-{night}", f"{FIRST_DAY + timedelta(days=night):%Y-%m-%d}"
        (home / "runs" / run).mkdir()
        for name in ("run.json", "report.json", "report.txt"):
            text = (first / name).read_text().replace("past-0", run).replace(f"{FIRST_DAY:%Y-%m-%d}", day)
            (home / "runs" / run / name).write_text(text)
        lake.run_rows.append(run, [(REPORT, stage, json.dumps(body | {"run_id": run})) for stage, body in reports])


def changed(name: str, table: pa.Table, night: int) -> pa.Table:
    """The rows under other names: ids with the night's number, contents with other bytes, identifiers with other values; and
    each night a day after the one before, so that targets fall due night by night and not all in the one that is measured."""
    earlier = pa.scalar(timedelta(days=night - LAST), pa.duration("us"))
    for column in sorted(table.column_names, key=lambda c: c not in NAMED):  # names first: digests are made of them
        at = table.column_names.index(column)
        field, values = table.schema.field(at), table[column]
        if column in NAMED or (name == "identifiers" and column == "value"):
            suffixed = pc.binary_join_element_wise(values.cast(pa.string()), pa.scalar(f"-{night}"), "")
            values = suffixed
            if column == "value":  # what is behind a postcode is no part of an address
                values = pc.if_else(pc.equal(table["kind"], "address"), numbered(table[column], night), suffixed)
        elif name == "subjects" and column == "name":
            values = numbered(values, night)
        elif column == "prior_references":
            values = pa.chunked_array(
                [pa.array([v and [f"{one}-{night}" for one in v] for v in values.to_pylist()], field.type)]
            )
        elif column in CONTENTS:
            claimed = name == "matches" and column == "sha256"
            values = pa.chunked_array([contents(values, night, table["file_id"] if claimed else None, field.type)])
        elif pa.types.is_timestamp(field.type):
            values = pc.add(values, earlier)
        elif column == "run_id":
            values = pa.chunked_array([pa.array([f"past-{night}"] * table.num_rows)])
        else:
            continue
        table = table.set_column(at, field, values.cast(field.type))
    return table.cast(records.arrow_schema(name))


def numbered(values: pa.ChunkedArray, night: int) -> pa.ChunkedArray:
    """Texts whose first number has the night's before it: a house, or a person, of which no other night has any."""
    return pc.replace_substring_regex(values, r"(\d)", rf"{night}\1", max_replacements=1)


def contents(values: pa.ChunkedArray, night: int, files: pa.ChunkedArray | None, kind: pa.DataType) -> pa.Array:
    """Digests with the night's number worked in; that of a claimed match is made from its file's id, as the stage does."""
    values = values.combine_chunks()
    width = values.type.byte_width
    held = np.frombuffer(values.buffers()[1], np.uint8)[values.offset * width :][: len(values) * width]
    marked = held.reshape(-1, width).copy()
    marked[:, :8] ^= np.frombuffer(night.to_bytes(8, "little"), np.uint8)
    found = pa.FixedSizeBinaryArray.from_buffers(values.type, len(values), [None, pa.py_buffer(marked)])
    found = pc.if_else(values.is_valid(), found, pa.scalar(None, values.type))
    if files is None:
        return found.cast(kind)
    claimed = [None if f is None else hashlib.sha256(f"{f}".encode()).digest() for f in files.to_pylist()]
    return pc.coalesce(pa.array(claimed, kind), found.cast(kind))


def one_more(folder: Path, home: Path, referrals: int, files: int) -> dict[str, Any]:
    """The measured night on a copy of the home: CPU seconds and peak memory of each stage, and what `triage status` takes. The night
    before it is a real one too: what is kept beside the lake is then as this version's nights leave it, whatever grew the past."""
    copy = folder / "measured"
    copied(home, copy)
    environment = env(copy) | {"TRIAGE_THREADS": "1"}
    subprocess.run([sys.executable, "-c", NOTICES], env=environment, cwd=ROOT, check=True)
    stages: dict[str, Any] = {}
    for run, day, seed in (("before", 20, 98), ("measured", 21, 99)):
        shutil.rmtree(copy / "landing")
        sample(copy, referrals, files, seed)
        begin = f"from pipeline.night import stages; stages.begin('{run}', '2026-11-{day}T01:00:00+00:00')"
        subprocess.run([sys.executable, "-c", begin], env=environment, cwd=ROOT, check=True)
        stages = {stage: timed(environment, ["-c", ONE_STAGE, run, stage]) for stage in STAGES}
        print(f"the night {run!r}: {json.dumps(stages)}", file=sys.stderr, flush=True)
    status = {"status_cpu_seconds": growth_asked.spent(environment, "status")}
    shutil.rmtree(copy)
    total = sum(row["cpu_seconds"] for row in stages.values())
    return {
        "stages": stages,
        "sum_cpu_seconds": round(total, 2),
        "people": status,
    }


def timed(environment: dict[str, str], words: list[str]) -> dict[str, Any]:
    flag, code, *given = words
    done = subprocess.run(
        [sys.executable, flag, growth_asked.COMMAND + code, *given],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found = json.loads(next(x for x in done.stdout.splitlines() if x.startswith("RESULT"))[6:])
    return {"cpu_seconds": round(found["cpu_seconds"], 2), "peak_mib": found["peak_mib"]}


def ratios(after: dict[str, Any]) -> dict[str, Any]:
    """Cost after the most nights divided by that after 30, for every stage and the sum, and whether the bars are met."""
    most = max(after, key=int)
    if "30" not in after or most == "30":
        return {}
    first, last = after["30"], after[most]
    each = {
        stage: round(last["stages"][stage]["cpu_seconds"] / first["stages"][stage]["cpu_seconds"], 2)
        for stage in STAGES
    }
    total = round(last["sum_cpu_seconds"] / first["sum_cpu_seconds"], 2)
    met = most == "1000" and all(ratio <= 1.3 for ratio in each.values()) and total < 1.2
    return {"nights": int(most), "stages": each, "sum": total, "bars_met": met}


def show(result: dict[str, Any]) -> None:
    table = Table(title="CPU seconds (peak MiB) of one more night after so many")
    table.add_column("stage")
    for nights in result["after"]:
        table.add_column(nights, justify="right")
    for stage in STAGES:
        rows = [result["after"][n]["stages"][stage] for n in result["after"]]
        table.add_row(stage, *(f"{r['cpu_seconds']:.1f} ({r['peak_mib']})" for r in rows))
    for name in result["after"]["0" if "0" in result["after"] else min(result["after"], key=int)]["people"]:
        table.add_row(name, *(str(row["people"][name]) for row in result["after"].values()))
    table.add_row("sum", *(f"{row['sum_cpu_seconds']:.1f}" for row in result["after"].values()))
    Console().print(table)
    Console().print(result["ratios"])


if __name__ == "__main__":
    main()
