"""How far a run is: per stage done of planned, rate and time left; and its stages by attempt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.contract import StageReport
from pipeline.night import failures, plans
from pipeline.night import stages as nightly
from pipeline.settings import Settings


@dataclass(frozen=True)
class StageProgress:
    """`done` of `planned` shards (a stage that is not cut has one; None: not planned yet), `rows` that went on, rows `a_second`
    and `seconds_left` (None where nothing can be said). `state` is done, running, failed or to come."""

    stage: str
    title: str
    state: str
    done: int
    planned: int | None
    rows: int
    a_second: float | None
    seconds_left: int | None


def of_run(settings: Settings, run_id: str, now: datetime) -> list[StageProgress]:
    """Every stage of the night in order. The rate is that since the stage was last planned."""
    reports = nightly.reports(settings, run_id)
    planned = plans.newest(settings, run_id)
    failed = failures.of_run(settings, run_id)
    found: list[StageProgress] = []
    for which in nightly.STAGES:
        own = [report for report in reports if report.stage == which.name]
        earlier_done = all(stage.state == "done" for stage in found)
        found.append(_one(which, own, planned.get(which.name), now, earlier_done))
    if failed is not None:
        found = [_failed(stage) if stage.stage == failed.stage else stage for stage in found]
    return found


def _one(
    which: nightly.Stage, own: Sequence[StageReport], plan: plans.Planned | None, now: datetime, earlier_done: bool
) -> StageProgress:
    done = len({report.shard for report in own})
    total: int | None = 1 if not which.sharded else None
    rate: float | None = None
    left: int | None = None
    if which.sharded and plan is not None:
        before = len({report.shard for report in own[: plan.reported]})
        total = max(before + plan.left, done)
        since = own[plan.reported :]
        elapsed = (now - datetime.fromisoformat(plan.at)).total_seconds()
        if since and elapsed > 0 and done < total:
            rate = round(sum(report.kept for report in since) / elapsed, 1)
            left = round(elapsed / len(since) * (total - done))
    state = "done" if total is not None and done >= total else "running" if earlier_done else "to come"
    return StageProgress(which.name, which.title, state, done, total, sum(r.kept for r in own), rate, left)


def _failed(stage: StageProgress) -> StageProgress:
    return StageProgress(stage.stage, stage.title, "failed", stage.done, stage.planned, stage.rows, None, None)


def sentence(stages: Iterable[StageProgress]) -> str:
    """Where a run that is not finished stands, for a line of `triage status`; empty when every stage is done."""
    stage = next((s for s in stages if s.state != "done"), None)
    if stage is None:
        return ""
    text = f"at {stage.stage}"
    if stage.planned is not None and stage.planned > 1:
        text += f", {stage.done} of {stage.planned} done"
    if stage.a_second:
        text += f", {stage.a_second:g} a second"
    if stage.seconds_left is not None:
        text += f", about {max(1, round(stage.seconds_left / 60))} minutes left"
    return text


def attempts(reports: Sequence[StageReport]) -> list[list[dict[str, Any]]]:
    """Stage reports by attempt: another one begins where a stage comes again, or an earlier one."""
    order = {stage.name: 2 * place for place, stage in enumerate((*nightly.STAGES, *nightly.EXTRA), 1)}
    order |= {part: order[stage] - 1 for part, stage in nightly.BEFORE.items()}
    found: list[list[dict[str, Any]]] = []
    seen: set[tuple[str, str | None]] = set()
    last = -1
    for report in reports:
        place = order.get(report.stage, last)
        if not found or place < last or (report.stage, report.shard) in seen:
            found.append([])
            seen.clear()
        found[-1].append(report.as_dict())
        seen.add((report.stage, report.shard))
        last = place
    return found
