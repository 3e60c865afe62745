"""The figures that chiefs and partners ask for, over rows written down here: each against what can be counted by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.console.dashboard import figures
from pipeline.export import reporting

NOW = datetime(2026, 3, 2, 3, tzinfo=UTC)


def case(number: int, **over: Any) -> dict[str, Any]:
    row = {
        "case_id": f"C-{number}", "source": "NCA_NCMEC", "origin": "reactive_referral", "restricted": False, "state": "new",
        "is_open": True, "band": "low", "urgency": "not_yet_due", "clock_start": NOW, "due_at": NOW, "opened_at": NOW,
        "flagged": False, "lowering_pending": False, "second_look": False,
    }  # fmt: skip
    return row | over


def answers(cases: Iterable[dict[str, Any]] = (), **tables: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Every figure over these rows; all other tables are empty."""
    given = {"report_cases": list(cases), "report_moment": [{"as_of": NOW}], **tables}
    with TemporaryDirectory() as folder:
        files: dict[str, list[Path]] = {name: [] for name in reporting.tables()}
        for name, rows in given.items():
            for half in filter(None, (rows[::2], rows[1::2])):  # every table lies in several files, in whatever order
                files[name].append(Path(folder) / f"{name}-{len(files[name])}.parquet")
                pq.write_table(pa.Table.from_pylist(half, schema=reporting.arrow_schema(name)), files[name][-1])
        return figures.compute(reporting.ReportingFiles(NOW, "night-1", files)).rows


def of_year(year: int, reactive: int, proactive: int, start: int = 0) -> list[dict[str, Any]]:
    opened = datetime(year, 1, 15, tzinfo=UTC)
    origins = ["reactive_referral"] * reactive + ["proactive_investigation"] * proactive
    return [case(start + n, opened_at=opened, origin=origin) for n, origin in enumerate(origins)]


def test_year_on_year_is_the_change_of_whole_years_with_both_origins_apart() -> None:
    rows = answers([*of_year(2023, 400, 84), *of_year(2024, 420, 176, 1000)])["yearly"]
    found = {(r["year"], r["origin"]): (r["cases"], r["year_before"], r["change_percent"]) for r in rows}
    assert found[2023, "all"] == (484, None, None)
    assert found[2024, "all"] == (596, 484, 23.1)
    assert found[2024, "reactive_referral"] == (420, 400, 5.0)
    assert found[2024, "proactive_investigation"] == (176, 84, 109.5)


def test_the_running_year_is_compared_with_the_same_days_of_the_year_before() -> None:
    late = [case(9, opened_at=datetime(2025, 11, 1, tzinfo=UTC))]
    rows = answers([*of_year(2025, 10, 0), *late, *of_year(2026, 15, 0, 100)])["yearly"]
    newest = next(r for r in rows if (r["year"], r["origin"]) == (2026, "reactive_referral"))
    assert (newest["cases"], newest["year_before"], newest["change_percent"]) == (15, 10, 50.0)


def test_high_risk_in_time_counts_met_missed_and_not_due() -> None:
    met = [True, True, True, False, None]
    cases = [
        case(n, band=band, met_target=m)
        for n, (band, m) in enumerate(zip(["very_high", "high"] * 2 + ["high"], met, strict=True))
    ]
    row = answers([*cases, case(9, band="low", met_target=False)])["high_risk_in_time"][0]
    assert row == {"month": "2026-03", "cases": 5, "in_time": 3, "late": 1, "not_due_yet": 1, "in_time_percent": 75.0}


def test_outcomes_and_children_are_what_people_entered() -> None:
    closed = {"state": "closed", "is_open": False, "closed_at": NOW}
    cases = [
        case(1, outcome="child_safeguarded", band="high", children_safeguarded=2, safeguarded_at=NOW, **closed),
        case(2, outcome="child_safeguarded", children_safeguarded=1, safeguarded_at=NOW, **closed),
        case(3, outcome="no_offence", **closed),
        case(4),
    ]
    rows = answers(cases)
    assert rows["outcomes"] == [
        {"year": 2026, "outcome": "child_safeguarded", "cases": 2, "high_risk": 1},
        {"year": 2026, "outcome": "no_offence", "cases": 1, "high_risk": 0},
    ]
    assert rows["children"] == [{"year": 2026, "children": 3, "cases": 2}]


def test_the_backlog_and_its_forecast() -> None:
    opened = [
        case(n, band="high", opened_at=NOW - timedelta(days=n), clock_start=NOW - timedelta(days=n)) for n in range(16)
    ]
    long_ago = NOW - timedelta(days=100)
    old = [case(90 + n, band="high", opened_at=long_ago, clock_start=long_ago) for n in range(4)]
    gone = [
        case(200 + n, band="high", is_open=False, state="closed", opened_at=NOW - timedelta(days=90), closed_at=NOW)
        for n in range(8)
    ]
    rows = answers([*opened, *old, *gone])
    assert rows["backlog"] == [
        {"band": "high", "under_2_days": 2, "days_2_to_7": 5, "days_7_to_30": 9, "days_30_to_90": 0, "over_90_days": 4}
    ]
    assert rows["forecast"] == [
        {
            "band": "high",
            "open_now": 20,
            "opened_a_week": 2.0,
            "closed_a_week": 1.0,
            "in_4_weeks": 24,
            "in_12_weeks": 32,
        }
    ]


@pytest.mark.parametrize(("count", "said"), [(1, "fewer than 5"), (4, "fewer than 5"), (5, "5"), (7, "5"), (8, "10")])
def test_partners_are_told_rounded_numbers_and_no_small_ones(count: int, said: str) -> None:
    closed = {"state": "closed", "is_open": False, "closed_at": NOW, "outcome": "no_offence"}
    rows = answers([case(n) for n in range(count)] + [case(100 + n, **closed) for n in range(count)])
    assert rows["partner_bands"] == [{"band": "low", "open_cases": said}]
    assert rows["partner_outcomes"] == [{"year": 2026, "outcome": "no_offence", "cases": said}]


def test_partners_are_told_no_share_of_few_cases() -> None:
    few = answers([case(n, band="high", met_target=True) for n in range(19)])["partner_in_time"]
    many = answers([case(n, band="high", met_target=n > 3) for n in range(20)])["partner_in_time"]
    assert [r["acted_on_in_time"] for r in (*few, *many)] == ["too few to say", "80 %"]


def test_no_partner_figure_names_a_case_a_provider_a_force_or_a_restricted_row() -> None:
    for figure in figures.PARTNERS:
        assert not {"case_id", "provider", "force_code", "restricted", "source"} & set(
            figures.sql(figure.name).replace(",", " ").split()
        )


def test_a_package_with_two_reasons_counts_once_and_a_reason_may_have_a_semicolon() -> None:
    package = {"source": "UCOL", "state": "quarantined", "first_seen": NOW, "clock_from": NOW, "files": 0, "defects": 0}
    rows = answers(
        report_packages=[
            {**package, "package_id": "P-1", "reasons": "it holds several reports; send each apart | no reference"},
            {**package, "package_id": "P-2", "reasons": "no reference"},
        ]
    )["quarantine"]
    assert {r["reason"]: r["packages"] for r in rows} == {
        "no reference": 2,
        "it holds several reports; send each apart": 1,
    }
    assert {r["packages_in_all"] for r in rows} == {2}


@pytest.mark.parametrize("figure", list(figures.BY_NAME))
def test_every_figure_has_a_definition_in_words_and_answers_over_nothing(figure: str) -> None:
    assert figures.definition(figure).endswith(".") and len(figures.definition(figure)) > 30
    assert figure in answers()
