"""The dashboard's figures: each is one SQL file in `pipeline/console/dashboard/reports/` over the reporting tables.

The tables are written by the night and on demand (`triage export reporting`); the dashboard, its CSV, `triage query
@name` and Power BI therefore show the same numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa
from markupsafe import Markup

from pipeline.console import wording
from pipeline.console.dashboard import charts
from pipeline.export import reporting
from pipeline.export.sql.moments import plain_schema, zoned
from pipeline.settings import ROOT, Settings

FOLDER = ROOT / "pipeline" / "console" / "dashboard" / "reports"
MEMORY = "256MiB"
"""What DuckDB may take while the figures are computed; beyond it goes to disk."""
BANDS = ("very_high", "high", "medium", "low")


@dataclass(frozen=True)
class Figure:
    """One figure of the dashboard: its SQL file, its title, its group and how it is drawn (None: a table only)."""

    name: str
    title: str
    group: str
    chart: str | None = None


REPORTS = (
    Figure("open_cases", "Open cases by band and source", "Cases", "bands"),
    Figure("age_profile", "Open cases against their target", "Cases", "targets"),
    Figure("yearly", "Cases opened year on year, by origin", "Cases", "years"),
    Figure("high_risk_in_time", "Very high and high cases acted on in time", "Cases", "in_time"),
    Figure("outcomes", "Outcomes of closed cases", "Cases"),
    Figure("children", "Children safeguarded", "Cases"),
    Figure("backlog", "Backlog by band and age", "Cases", "backlog"),
    Figure("forecast", "Backlog in four and twelve weeks", "Cases"),
    Figure("weekly", "Cases opened and closed each week", "Cases", "weeks"),
    Figure("stage_times", "Median time per stage, from the incident to the first action", "Cases", "stages"),
    Figure("reviews_due", "Supervisor reviews due", "Cases"),
    Figure("force_links", "Links found between forces", "Links"),
    Figure("all_links", "All links by kind and strength", "Links", "links"),
    Figure("match_rates", "Files known, near or unknown, by source", "Matching", "rates"),
    Figure("release_matches", "Files matched, by source and known-hash release", "Matching"),
    Figure("packages", "Packages by landing folder and state", "Intake", "packages"),
    Figure("quarantine", "Packages returned for information and not put right, by reason", "Intake"),
    Figure("returned", "Requests for information by reason", "Intake"),
    Figure("freshness", "Freshness", "Intake"),
    Figure("throughput", "Throughput of the last runs", "Runs"),
    Figure("reconciliation", "Reconciliation and canaries of the last runs", "Runs"),
)
PARTNERS = (
    Figure("partner_yearly", "Cases opened year on year, by origin", "Partners"),
    Figure("partner_bands", "Open cases by band", "Partners"),
    Figure("partner_in_time", "Very high and high cases acted on in time", "Partners"),
    Figure("partner_outcomes", "Outcomes of closed cases", "Partners"),
    Figure("partner_children", "Children safeguarded", "Partners"),
)
"""The partner view: no numbers of cases or persons, counts rounded, small ones not said."""
BY_NAME = {report.name: report for report in (*REPORTS, *PARTNERS)}


@dataclass
class Figures:
    """Answers of all reports over one set of reporting tables, computed once per set; so is `drawn`, each report as the page
    needs it, and `page`, all of them as HTML, when they are first asked for. None of it depends on who asks."""

    as_of: Any
    run_id: str
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    drawn: dict[str, dict[str, Any]] = field(default_factory=dict)
    page: Markup | None = None


class Dashboard:
    """Holds the figures of the newest reporting tables. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._figures: Figures | None = None

    def figures(self) -> Figures | None:
        """The figures, or None when no reporting tables were written yet. Raises IntegrityError for damaged tables."""
        path = reporting.reporting_dir(self.settings) / "manifest.json"
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        with self._lock:
            if self._stamp != (stat.st_ino, stat.st_mtime_ns):
                found = reporting.checked(self.settings)
                self._figures = compute(found) if found else None
                self._stamp = (stat.st_ino, stat.st_mtime_ns)
            return self._figures


def compute(found: reporting.ReportingFiles) -> Figures:
    """Run every report over the files of the tables, which are read as each needs them: a million rows are never held at once."""
    with _connection() as connection:
        for name, paths in found.files.items():
            schema = plain_schema(reporting.arrow_schema(name))
            if not paths:
                connection.register(name, schema.empty_table())
                continue
            columns = [_MOMENT if pa.types.is_timestamp(f.type) else _COLUMN for f in schema]
            chosen = ", ".join(c.format(name=f.name) for c, f in zip(columns, schema, strict=True))
            connection.read_parquet([str(path) for path in paths]).project(chosen).create_view(name)
        return Figures(found.as_of, found.run_id, _answers(connection))


_COLUMN, _MOMENT = '"{name}"', 'make_timestamp(epoch_us("{name}")) AS "{name}"'
"""How a column of a file is read: moments as UTC without a zone (`moments.plain`)."""


@contextmanager
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(
        ":memory:", config={"python_enable_replacements": False, "threads": 1, "memory_limit": MEMORY}
    )
    try:
        yield connection
    finally:
        connection.close()


def _answers(connection: duckdb.DuckDBPyConnection) -> dict[str, list[dict[str, Any]]]:
    return {r.name: zoned(connection.sql(sql(r.name)).to_arrow_table()).to_pylist() for r in BY_NAME.values()}


def sql(name: str) -> str:
    """The statement behind a report."""
    return (FOLDER / f"{name}.sql").read_text()


@cache
def definition(name: str) -> str:
    """What a report counts, in words: the comment above its statement."""
    lines = sql(name).splitlines()
    end = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return " ".join(line.removeprefix("--").strip() for line in lines[:end])


def draw(report: Figure, rows: list[dict[str, Any]]) -> tuple[Markup | None, list[tuple[str, int]]]:
    """The chart of a report, for wide and for narrow screens, and its legend (name, tone); None where a table says it
    better or there is nothing."""
    if report.chart is None or not rows:
        return None, []
    labels, series = _SHAPES[report.chart](rows)
    if report.chart == "weeks":
        picture = charts.both(charts.lines, report.title, labels, series)
    else:
        picture = charts.both(charts.bars, report.title, labels, series, " h" if report.chart == "stages" else "")
    return picture, [(s.name, s.tone) for s in series] if len(series) > 1 else []


def _bands(rows: list[dict[str, Any]]) -> tuple[list[str], list[charts.Series]]:
    sources = sorted({r["source"] for r in rows})
    value = {(r["source"], r["band"]): r["cases"] for r in rows}
    series = [
        charts.Series(wording.words(b), [value.get((s, b), 0) for s in sources], tone)
        for tone, b in enumerate(BANDS, 1)
    ]
    return [wording.words(s) for s in sources], series


def _columns(label: str, names: tuple[str, ...], first_tone: int = 1) -> Any:
    """A shape: one bar per row, one series per column."""

    def shape(rows: list[dict[str, Any]]) -> tuple[list[str], list[charts.Series]]:
        series = [
            charts.Series(wording.words(n), [float(r[n] or 0) for r in rows], tone)
            for tone, n in enumerate(names, first_tone)
        ]
        return [wording.words(r[label]) for r in rows], series

    return shape


def _packages(rows: list[dict[str, Any]]) -> tuple[list[str], list[charts.Series]]:
    folders = sorted({r["landing_folder"] for r in rows})
    value = {(r["landing_folder"], r["state"]): r["packages"] for r in rows}
    tones = {"quarantined": 1, "supplement": 3, "accepted": 4, "duplicate": 5}
    series = [
        charts.Series(wording.words(state), [value.get((f, state), 0) for f in folders], tone)
        for state, tone in tones.items()
    ]
    return [wording.words(f) for f in folders], series


def _links(rows: list[dict[str, Any]]) -> tuple[list[str], list[charts.Series]]:
    kinds = sorted({r["kind"] for r in rows})
    value = {(r["kind"], r["strength"]): r["links"] for r in rows}
    series = [
        charts.Series(wording.words(s), [value.get((k, s), 0) for k in kinds], tone)
        for s, tone in (("strong", 1), ("medium", 3), ("weak", 4))
    ]
    return [wording.words(k) for k in kinds], series


def _in_time(rows: list[dict[str, Any]]) -> tuple[list[str], list[charts.Series]]:
    named = (("in_time", 4), ("late", 1), ("not_due_yet", 5))
    return [r["month"] for r in rows], [charts.Series(wording.words(n), [r[n] for r in rows], t) for n, t in named]


def _years(rows: list[dict[str, Any]]) -> tuple[list[str], list[charts.Series]]:
    years = sorted({r["year"] for r in rows})
    value = {(r["year"], r["origin"]): r["cases"] for r in rows}
    series = [
        charts.Series(wording.words(origin), [value.get((y, origin), 0) for y in years], tone)
        for origin, tone in (("reactive_referral", 4), ("proactive_investigation", 2))
    ]
    return [str(y) for y in years], series


def _weeks(rows: list[dict[str, Any]]) -> tuple[list[str], list[charts.Series]]:
    opened = charts.Series("Opened", [r["opened"] for r in rows], 4)
    closed = charts.Series("Closed", [r["closed"] for r in rows], 2)
    return [f"{date.fromisoformat(r['week_beginning']):%-d %b}" for r in rows], [opened, closed]


_SHAPES: dict[str, Any] = {
    "bands": _bands,
    "targets": _columns("band", ("critically_overdue", "overdue", "due_soon", "not_yet_due")),
    "weeks": _weeks,
    "years": _years,
    "in_time": _in_time,
    "backlog": _columns("band", ("over_90_days", "days_30_to_90", "days_7_to_30", "days_2_to_7", "under_2_days")),
    "stages": _columns("stage", ("median_hours",), first_tone=4),
    "rates": _columns("source", ("known", "near", "unmatched")),
    "packages": _packages,
    "links": _links,
}
