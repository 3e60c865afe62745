"""Stage reports and reconciliation checks of runs, as the statements of the reporting tables read them."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

import pyarrow as pa

from pipeline import contract as nights
from pipeline.settings import Settings

RECONCILIATION = "report.json"
"""File of a run's folder that has its checks."""


def read(settings: Settings, runs: Collection[str] | None) -> tuple[pa.Table, pa.Table]:
    """Stage reports and reconciliation checks of some runs (None: of every run), as two tables."""
    stages: list[dict[str, Any]] = []
    checks: list[dict[str, Any]] = []
    paths = settings.runs_dir.glob("*/run.json") if runs is None else (settings.runs_dir / r / "run.json" for r in runs)
    begun = {path.parent.name: json.loads(path.read_text()) for path in sorted(p for p in paths if p.is_file())}
    reports = nights.reports_of(settings, begun)
    for name, run in begun.items():
        head = {"run_id": run["run_id"], "as_of": datetime.fromisoformat(run["as_of"])}
        for line, stage in enumerate(reports.get(name, [])):
            stages.append(
                {**head, "line": line, "stage": stage.stage, "read": stage.read, "kept": stage.kept,
                 "rejected": sum(stage.rejected.values()), "seconds": stage.seconds, "cpu_seconds": stage.cpu_seconds}
            )  # fmt: skip
        report = nights.run_dir(settings, name) / RECONCILIATION
        if report.is_file():
            data = json.loads(report.read_text())
            for line, check in enumerate(data["checks"]):
                checks.append(
                    {**head, "line": line, "check": check["name"], "into": check["into"], "out": check["out"],
                     "holds": check["holds"], "canary_indexes": data["indexes_with_canaries_checked"],
                     "parts_verified": data["parts_verified"]}
                )  # fmt: skip
    return pa.Table.from_pylist(stages, schema=_RUN_STAGES), pa.Table.from_pylist(checks, schema=_RUN_CHECKS)


_RUN_STAGES = pa.schema(
    [("run_id", pa.string()), ("as_of", pa.timestamp("us", tz="UTC")), ("line", pa.int32()), ("stage", pa.string()),
     ("read", pa.int64()), ("kept", pa.int64()), ("rejected", pa.int64()), ("seconds", pa.float64()),
     ("cpu_seconds", pa.float64())]
)  # fmt: skip
_RUN_CHECKS = pa.schema(
    [("run_id", pa.string()), ("as_of", pa.timestamp("us", tz="UTC")), ("line", pa.int32()), ("check", pa.string()),
     ("into", pa.int64()), ("out", pa.int64()), ("holds", pa.bool_()), ("canary_indexes", pa.int64()),
     ("parts_verified", pa.int64())]
)  # fmt: skip
