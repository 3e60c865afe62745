"""The dashboard, each of its figures on its own (also as CSV), and how the runs went."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from markupsafe import Markup

from pipeline import contract as night
from pipeline.cases import words as spoken
from pipeline.cases.views import supervision
from pipeline.console import pages, wording
from pipeline.console.context import actor, settings, store
from pipeline.console.dashboard import figures
from pipeline.console.gate.identity import NotFoundError
from pipeline.contract import StageReport
from pipeline.night import failures, progress
from pipeline.night import stages as nightly

router = APIRouter()

NEWEST = 100
"""Runs on the page of runs."""

CODED = {"kind", "strength", "state", "what", "stage", "origin"}
"""Columns of figures that hold codes, which the page says as words; CSV and JSON keep the codes."""

LISTS = (
    ("flags", "flags nobody has acknowledged", "flags"),
    ("past_target", "cases past their target", "overdue"),
    ("notifications", "notifications not made", "notifications"),
    ("lowerings", "lowerings to approve", "lowerings"),
    ("second_looks", "second looks", "second"),
    ("reviews", "reviews due", "reviews"),
)
"""The work lists of the supervisor's page: name of the count, words, and the list's place on that page."""


@router.get("/dashboard", name="dashboard")
def dashboard(request: Request) -> Response:
    """All figures with their charts and data tables."""
    held = request.app.state.dashboard.figures()
    data: dict[str, Any] = {"as_of": None, "run_id": None, "reports": {}}
    reports = None
    if held is not None:
        data = {"as_of": held.as_of, "run_id": held.run_id, "reports": held.rows}
        reports = _page_of(request, held)
    with store(request).reader() as session:
        data["work_lists"] = supervision.counts(session, actor(request))
    return pages.answer(
        request,
        "dashboard.html",
        data,
        reports_shown=reports,
        lists=[(data["work_lists"][name], text, place) for name, text, place in LISTS],
        headline=_headline(data["reports"], store(request).clock(), failed=_failed(request)),
        formats=pages.formats(request, csv=False),
    )


@router.get("/dashboard/partners", name="partners")
def partners(request: Request) -> Response:
    """The partner view: figures without personal data, rounded, with small numbers not said."""
    held = request.app.state.dashboard.figures()
    rows = {r.name: held.rows[r.name] for r in figures.PARTNERS} if held else {}
    data = {"as_of": held.as_of if held else None, "reports": rows}
    shown = [_drawn(request, held, r) for r in figures.PARTNERS] if held else []
    return pages.answer(request, "partners.html", data, shown=shown, formats=pages.formats(request, csv=False))


@router.get("/dashboard/{name}", name="report")
def report(request: Request, name: str) -> Response:
    """One figure with the SQL behind it."""
    found = figures.BY_NAME.get(name)
    held = request.app.state.dashboard.figures()
    if found is None:
        raise NotFoundError("There is no such report.")
    rows = held.rows[name] if held else []
    data = {"name": name, "title": found.title, "as_of": held.as_of if held else None, "rows": rows}
    return pages.answer(
        request,
        "report.html",
        data,
        rows=rows,
        name=name,
        shown=_drawn(request, held, found) if held else _shown(request, found, rows),
        sql=figures.sql(name),
        formats=pages.formats(request),
    )


@router.get("/runs", name="runs")
def runs(request: Request, every: Annotated[bool, Query(alias="all")] = False) -> Response:
    """The newest runs (`?all=yes`: every one), newest first: when, whether it reconciles, how much went through."""
    names = night.begun(settings(request))
    earlier = 0 if every else max(0, len(names) - NEWEST)
    reports = night.reports_of(settings(request), names[earlier:])
    rows = [_run(request, name, reports.get(name, [])) for name in reversed(names[earlier:])]
    data = {"runs": rows, "earlier": earlier}
    return pages.answer(request, "runs.html", data, rows=rows, name="runs", formats=pages.formats(request))


@router.get("/runs/{run_id}", name="run")
def run(request: Request, run_id: str) -> Response:
    """One run: stages with their counts, reconciliation checks, quarantine reasons."""
    named = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", run_id)
    if not named or not (night.run_dir(settings(request), run_id) / "run.json").is_file():
        raise NotFoundError("There is no such run.")
    summary = _report(request, run_id)
    reports = nightly.reports(settings(request), run_id)
    stages = [s.as_dict() for s in reports]
    data = {**_run(request, run_id, reports), "stages": stages, "checks": summary.get("checks", []) if summary else [],
            "quarantine_reasons": summary.get("quarantine_reasons", {}) if summary else {}}  # fmt: skip
    failed = failures.of_run(settings(request), run_id)
    data["failure"] = vars(failed) if failed else None
    data["attempts"] = progress.attempts(reports)
    data["progress"] = (
        progress.of_run(settings(request), run_id, datetime.now(UTC))
        if summary is None and not data["hash_sets"]
        else []
    )
    return pages.answer(request, "run.html", data, rows=stages, name=f"run-{run_id}", formats=pages.formats(request))


def _report(request: Request, run_id: str) -> dict[str, Any] | None:
    path = night.run_dir(settings(request), run_id) / "report.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found


def _run(request: Request, run_id: str, stages: Sequence[StageReport]) -> dict[str, Any]:
    started = night.load(settings(request), run_id)
    summary = _report(request, run_id)
    failed = failures.of_run(settings(request), run_id)
    return {
        "run_id": run_id,
        "as_of": started.as_of,
        "failed": f"{failed.stage}: {failed.message}" if failed else None,
        "finished": summary is not None,
        "hash_sets": night.of_hash_sets(settings(request), run_id, stages),
        "reconciles": summary["reconciles"] if summary else None,
        "checks_that_differ": sum(not c["holds"] for c in summary["checks"]) if summary else None,
        "parts_verified": summary["parts_verified"] if summary else None,
        "canary_indexes": summary["indexes_with_canaries_checked"] if summary else None,
        "rejected": sum(sum(s.rejected.values()) for s in stages),
        "seconds": round(sum(s.seconds for s in stages), 1),
    }


def _page_of(request: Request, held: figures.Figures) -> Markup:
    """All reports as the dashboard shows them. They are the same for everybody who may see them until the tables are written
    anew: drawn once, not for each person."""
    if held.page is None:
        held.page = pages.part("reports.html", {"shown": [_drawn(request, held, r) for r in figures.REPORTS]})
    return held.page


def _drawn(request: Request, held: figures.Figures, found: figures.Figure) -> dict[str, Any]:
    if found.name not in held.drawn:
        held.drawn[found.name] = _shown(request, found, held.rows[found.name])
    return held.drawn[found.name]


def _shown(request: Request, found: figures.Figure, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A report as the page needs it: chart, legend, columns, which of them are numbers."""
    chart, legend = figures.draw(found, rows)
    names = list(rows[0]) if rows else []
    rules = store(request).rules
    if "outcome" in names:
        rows = [{**r, "outcome": spoken.outcome(rules, r["outcome"])} for r in rows]
    rows = [{**r, **{n: wording.words(r[n]) for n in CODED & r.keys() if isinstance(r[n], str)}} for r in rows]
    if "reason" in names and found.name == "returned":
        rows = [{**r, "reason": spoken.reason(rules, "request_information", r["reason"])} for r in rows]
    if "year" in names:
        rows = [{**r, "year": str(r["year"])} for r in rows]  # a year is a name: no separator of thousands
    numeric = [
        n
        for n in names
        if all(isinstance(r[n], int | float) or r[n] is None for r in rows) and any(r[n] is not None for r in rows)
    ]
    return {"name": found.name, "title": found.title, "group": found.group, "chart": chart, "legend": legend,
            "names": names, "numeric": numeric, "rows": rows, "definition": figures.definition(found.name)}  # fmt: skip


def _failed(request: Request) -> bool:
    """Whether the newest run stopped, or does not reconcile."""
    found = request.app.state.nights.standing()
    return found.failure is not None or found.differs is not None


def _headline(rows: dict[str, list[dict[str, Any]]], now: datetime, *, failed: bool) -> list[dict[str, str]]:
    """The figures that a chief officer asks for first."""
    if not rows:
        return []
    cases = rows["open_cases"]
    oldest = min((r["oldest"] for r in cases if r["oldest"]), default=None)
    checks = rows["reconciliation"][:1]
    run = next((r["newest"] for r in rows["freshness"] if r["what"] == "run"), None)
    waiting = rows["quarantine"][0]["packages_in_all"] if rows["quarantine"] else 0
    return [
        {"value": f"{sum(r['cases'] for r in cases):,}", "text": "open cases"},
        {"value": wording.moment(oldest).split(",")[0], "text": "oldest clock start of an open case"},
        {"value": f"{waiting:,}", "text": "packages returned and not put right"},
        {"value": wording.duration(now - run) if run else "–", "text": "since the last run"},
        {
            "value": "no" if failed or (checks and checks[0]["differ"]) else "yes" if checks else "–",
            "text": "last run reconciles",
        },
    ]
