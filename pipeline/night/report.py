"""The report of one night: JSON for machines, text for the operator. Counts only, no personal data."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from hashsets.release import building
from pipeline import __version__
from pipeline.britishtime import moment
from pipeline.contract import Night, StageReport
from pipeline.ingest import quarantine, returned
from pipeline.lake import Lake
from pipeline.lake.upkeep import Checked
from pipeline.night import stages as nightly
from pipeline.settings import Settings

RETURNED = 20
"""Packages returned for information that a report names, those that wait longest; the others are counted."""


def build(
    settings: Settings, night: Night, checks: list[dict[str, Any]], checked: Checked, canaries: int, *, whole: date
) -> dict[str, Any]:
    """Everything the operator needs to know of a run. `checks` are reconcile's, as dicts with `holds`; `whole` is the day on
    which everything was last counted anew."""
    stages = stage_rows(nightly.reports(settings, night.run_id))
    lake = Lake.of(settings)
    own = lake.commits("ingest", run_id=night.run_id)
    packages = lake.read("packages", ["state", "reasons"], commits=own).to_pylist()
    quarantined = [p for p in packages if p["state"] == "quarantined"]
    reasons = Counter(reason for package in quarantined for reason in package["reasons"])
    index = returned.ReturnedIndex(settings, lake)
    return {
        "run_id": night.run_id,
        "as_of": night.as_of.isoformat(),
        "version": __version__,
        "checks": checks,
        "reconciles": all(c["holds"] for c in checks),
        "parts_verified": checked.parts,
        "lake_checked_whole_since": checked.whole_since.isoformat(),
        "counted_whole_on": whole.isoformat(),
        "indexes_with_canaries_checked": canaries,
        "stages": stages,
        "packages_quarantined": len(quarantined),
        "quarantine_reasons": dict(sorted(reasons.items())),
        "hash_set_pages_waiting": [page.text for page in building.waiting_pages(settings)],
        "returned_for_information": [
            {
                "package_id": p.package_id,
                "landing_folder": p.landing_folder,
                "hours": p.hours(night.as_of),
                "times": p.returned,
            }
            for p in quarantine.longest(index, RETURNED)
        ],
        "returned_for_information_in_all": index.waiting()[0],
    }


def stage_rows(reports: Iterable[StageReport]) -> dict[str, dict[str, Any]]:
    """One row per stage, in the order in which they first ran. Time is that of every run of it. Rows are those of its last
    run, since a stage that is run again counts its whole work again; the shards of a stage add up.
    """
    stages: dict[str, dict[str, Any]] = {}
    last: dict[tuple[str, str | None], StageReport] = {}
    for report in reports:
        row = stages.setdefault(report.stage, {"runs": 0, "seconds": 0.0, "cpu_seconds": 0.0})
        row["runs"] += 1
        row["seconds"] = round(row["seconds"] + report.seconds, 3)
        row["cpu_seconds"] = round(row["cpu_seconds"] + report.cpu_seconds, 3)
        last[report.stage, report.shard] = report
    for name, row in stages.items():
        found = [report for (stage, _), report in last.items() if stage == name]
        rejected: Counter[str] = Counter()
        counts: dict[str, Any] = {}
        for report in found:
            rejected.update(report.rejected)
            for figure, value in report.counts.items():
                summed = not isinstance(value, str) and not isinstance(counts.get(figure, 0), str)
                counts[figure] = counts.get(figure, 0) + value if summed else value
        row |= {"read": sum(r.read for r in found), "kept": sum(r.kept for r in found)}
        row |= {"rejected": dict(sorted(rejected.items())), "counts": counts}
    return stages


def text(summary: dict[str, Any], width: int = 140) -> str:
    """The report as text in lines of at most `width` characters."""
    sink = io.StringIO()
    console = Console(file=sink, width=width)
    console.print(f"Run {summary['run_id']}, clock {moment(summary['as_of'])}, version {summary['version']}")
    console.print(
        "Everything that came in is accounted for."
        if summary["reconciles"]
        else "DOES NOT RECONCILE: do not work the queue from it."
    )
    console.print(
        f"{summary['parts_verified']} lake parts verified by SHA-256, every part at least once since "
        f"{summary['lake_checked_whole_since']}. "
        f"Indexes in which every canary was found: {summary['indexes_with_canaries_checked']}."
    )
    console.print(f"Everything was last counted from the first night on {summary['counted_whole_on']}.")
    console.print(checks_table(summary))
    stages = Table(title="Stages", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("stage", "runs", "in", "out", "rejected", "seconds", "CPU seconds"):
        stages.add_column(name, justify="left" if name in {"stage", "rejected"} else "right")
    for name, row in summary["stages"].items():
        rejected = ", ".join(f"{reason} {count}" for reason, count in row["rejected"].items())
        stages.add_row(
            name,
            str(row["runs"]),
            str(row["read"]),
            str(row["kept"]),
            rejected,
            f"{row['seconds']:.1f}",
            f"{row['cpu_seconds']:.1f}",
        )
    console.print(stages)
    if summary["quarantine_reasons"]:
        console.print(f"{summary['packages_quarantined']} packages in quarantine, with every reason of each:")
    for reason, count in summary["quarantine_reasons"].items():
        console.print(f"  {count} x {reason}", markup=False)
    for page in summary["hash_set_pages_waiting"]:
        console.print(f"  {page}", markup=False)
    sink.writelines(  # plain words, which rich would break and colour
        f"  returned for information: package {row['package_id'][:16]} of {row['landing_folder']}, "
        f"{row['hours']} hours on its clock\n"
        for row in summary["returned_for_information"]
    )
    more = summary["returned_for_information_in_all"] - len(summary["returned_for_information"])
    if more:
        sink.write(f"  and {more} more returned for information, on their clocks for less long: `triage returned`\n")
    return sink.getvalue()


def checks_table(summary: dict[str, Any]) -> Table:
    """The reconciliation table: in = out, and how the right side is made up."""
    table = Table(title="Reconciliation", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("check", "in", "out", "", "made up of"):
        table.add_column(name, justify="right" if name in {"in", "out"} else "left")
    for check in summary["checks"]:
        parts = ", ".join(f"{name} {count}" for name, count in check["parts"].items())
        table.add_row(
            check["name"], str(check["into"]), str(check["out"]), "ok" if check["holds"] else "DIFFERS", parts
        )
    return table
