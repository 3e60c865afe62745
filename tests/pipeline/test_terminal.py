"""Tables on a terminal, against kept pictures of them at 80 and 140 columns (tests/pipeline/data/terminal)."""

from __future__ import annotations

import difflib
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from pipeline import output, terminal
from pipeline.britishtime import moment
from pipeline.errors import UsageError
from pipeline.output import Rows, output_options

KEPT = Path(__file__).parent / "data" / "terminal"
AT = datetime(2026, 11, 28, 1, tzinfo=UTC)


def statuses() -> list[dict[str, Any]]:
    needs = "failed at match: segment-0000 is not what was published. Put a sound copy in its place, then run it again."
    base = {"last_stage": "match", "last_stage_at": AT, "referrals": 24, "quarantined": 3, "seconds": 81.4}
    return [
        {"run": "night-2026-11-27", "clock": AT - timedelta(days=1), "state": "reconciled", **base, "needs": ""},
        {"run": "night-2026-11-28", "clock": AT, "state": "FAILED", **base, "needs": needs},
    ]


def cases() -> list[dict[str, Any]]:
    return [
        {
            "case_id": f"C-7F3A9C21K{number}", "band": "very_high" if number < 2 else "medium", "standing": ["flag waits", "past the target"],
            "urgency": "overdue", "score": 214.5 - number, "top_reasons": ["Grooming of a child now", "Lives with a child"],
            "source": "ncmec", "state": "open", "holder": "ana" if number else None, "due_at": AT + timedelta(hours=number),
            "new_for_me": True, "flagged": number == 0, "version": number,
        }
        for number in range(3)
    ]  # fmt: skip


def matches() -> list[dict[str, Any]]:
    return [
        {
            "case_id": f"C-7F3A9C21K{number}", "media_file": f"F-{number:032x}", "match_id": f"{number:064x}", "sha256": f"{number:064x}",
            "media_key": 1000 + number, "kind": "near", "level": "near", "algorithm": "pdq", "distance": 7 * number,
            "query_hash": f"{number:064x}", "grade": "TRUSTED", "category": "A", "sources": ["caid", "project_vic"], "cases": 2,
        }
        for number in range(3)
    ]  # fmt: skip


def shown_case() -> list[dict[str, Any]]:
    """A case as `triage queue show` says it: the text in one column is long, in the other longer."""
    asked = "Does the suspect work or volunteer with children?"
    rows = [
        ("case", "case", "C-7F3A9C21K0", ""),
        ("case", "band", "very_high", ""),
        ("case", "due", f"{moment(AT)}, counted from {moment(AT - timedelta(days=1))}", ""),
        ("flag", "Live contact with a child", "The suspect is stated to be in contact with a child.", "facts F-1"),
        ("reason", "Offer or arrangement to meet a child", "+50: The suspect has offered or arranged to meet a child.", "facts F-2; facts F-3"),
        ("unknown", asked, "if yes: Very high and raise: works_with_children; if no: High", ""),
        ("waits", "review by DI", "due 28 Feb 2027", ""),
        ("history", f"{moment(AT)} system", "Case opened at band Very high", ""),
    ]  # fmt: skip
    return [dict(zip(("part", "what", "detail", "evidence"), row, strict=True)) for row in rows]


def looked_up() -> list[dict[str, Any]]:
    """What `triage lookup` answers: a near hit, a hash that is not known, a line that is none."""
    hit = {
        "line": 1, "input": f"pdq:{7:064x}", "result": "near", "algorithm": "pdq", "distance": 4, "threshold": 31, "media_key": 1042,
        "grade": "TRUSTED", "category": "A", "sources": ["caid", "project_vic"], "victim_identified": "yes", "offender_identified": "unknown",
        "distributed": "yes", "series": [], "tags": ["sample"], "known_hash": f"{3:064x}", "release": 12, "note": None,
    }  # fmt: skip
    nothing = dict.fromkeys(hit)
    empty = {
        "line": 2,
        "input": "d41d8cd98f00b204e9800998ecf8427e",
        "result": "not known",
        "note": "the hash of an empty file",
    }
    return [
        hit,
        {**nothing, **empty},
        {**nothing, "line": 3, "input": "not a hash", "result": "not read: This is neither hex nor base64."},
    ]


LOOKUP = ("result", "input", "grade", "note", "distance", "media_key", "category", "algorithm", "line")
TABLES = {
    "show": (shown_case(), ()),
    "lookup": (looked_up(), LOOKUP),
    "lookup-one": (looked_up()[:1], LOOKUP),
    "status": (statuses(), ("run", "state", "needs", "clock", "last_stage", "referrals")),
    "queue": (cases(), ("case_id", "band", "urgency", "score", "holder", "due_at", "source", "flagged", "top_reasons")),
    "matches": (matches(), ("case_id", "level", "grade", "category", "distance", "media_key", "cases", "media_file")),
    "record": (matches()[:1], ("case_id",)),
    "undeclared": (matches(), ()),
}


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("name", TABLES)
def test_a_table_looks_as_it_did(name: str, width: int) -> None:
    rows, chosen = TABLES[name]
    shown = terminal.text(list(rows[0]), rows, width, chosen=chosen)
    kept = (KEPT / f"{name}-{width}.txt").read_text()
    assert shown == kept, "\n".join(difflib.unified_diff(kept.splitlines(), shown.splitlines(), lineterm=""))


@pytest.mark.parametrize("width", [60, 80, 140, 200])
@pytest.mark.parametrize("name", TABLES)
def test_no_line_is_longer_than_the_terminal(name: str, width: int) -> None:
    rows, chosen = TABLES[name]
    lines = terminal.text(list(rows[0]), rows, width, chosen=chosen).splitlines()
    assert [line for line in lines if cell_len(line) > width] == []


@pytest.mark.parametrize("width", [60, 80, 140, 200])
@pytest.mark.parametrize("name", TABLES)
def test_no_cell_is_cut(name: str, width: int) -> None:
    rows, chosen = TABLES[name]
    assert "…" not in terminal.text(list(rows[0]), rows, width, chosen=chosen)


def test_a_moment_that_comes_as_text_is_british_too() -> None:
    row = {
        "seq": 4,
        "at": "2026-07-21T08:08:59.874239+00:00",
        "note": "2026-07-21",
        "run": "at 2026-07-21T08:08:59+00:00",
    }
    shown = terminal.text(list(row), [row, row], 140)
    assert "21\u00a0Jul\u00a02026,\u00a009:08" in shown and "at 2026-07-21T08:08:59+00:00" in shown


@pytest.mark.parametrize("wide", [False, True])
def test_bands_are_words_where_people_read_and_codes_elsewhere(wide: bool) -> None:
    row = {
        "case_id": "C-7F3A9C21K0",
        "band": "very_high",
        "band_before": "low",
        "strength": "low",
        "what": "band",
        "detail": "high",
    }
    shown = terminal.text(list(row), [row, row], 140, wide=wide)
    assert (
        shown.count("Very\u00a0high") == shown.count("Low ") == shown.count("low ") == shown.count("High") == 2
        and "very_high" not in shown
    )
    assert "very_high" in terminal.text(list(row), [row], 140, wide=wide, stored=True)
    for name in ("json", "jsonl", "csv"):
        assert (
            "very_high" in output.render([row], name).decode()
            and "Very high" not in output.render([row], name).decode()
        )
    assert pq.read_table(io.BytesIO(output.render([row], "parquet"))).to_pylist() == [row]


def test_wide_shows_every_value_whole() -> None:
    shown = terminal.text(list(matches()[0]), matches(), 80, wide=True)
    assert f"{2:064x}" in shown and "caid, project_vic" in shown and len(shown.splitlines()) == 5


def test_a_record_has_every_value_whole_and_no_markup_is_obeyed() -> None:
    row = {"a": "[bold]x[/bold]\x1b[31m", "long": "word " * 60, "none": None}
    shown = terminal.text(list(row), [row], 80)
    assert "[bold]x[/bold]\\x1b[31m" in shown and shown.count("word") == 60


@click.command()
@output_options(columns=("a",))
def command() -> Rows:
    """Two rows."""
    return [{"a": 1, "bee": "x"}, {"a": 2, "bee": "y"}]


def test_columns_are_named_and_an_unknown_one_gets_candidates() -> None:
    done = CliRunner().invoke(command, ["--columns", "bee", "--format", "csv"])
    assert done.stdout.split() == ["bee", "x", "y"]
    with pytest.raises(UsageError, match="Did you mean bee"):
        CliRunner().invoke(command, ["--columns", "be"], catch_exceptions=False)


def test_a_file_that_is_replaced_is_said(tmp_path: Path) -> None:
    target = tmp_path / "rows.csv"
    first = CliRunner().invoke(command, ["--output", str(target)])
    again = CliRunner().invoke(command, ["--output", str(target)])
    assert first.stderr == "" and again.stderr == f"triage: {target} (17 bytes) is replaced.\n"


def test_at_a_terminal_the_person_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "rows.csv"
    target.write_text("kept")
    monkeypatch.setattr("pipeline.output._at_a_terminal", lambda: True)
    refused = CliRunner().invoke(command, ["--output", str(target)], input="n\n")
    assert refused.exit_code == 1 and target.read_text() == "kept" and "Replace it?" in refused.output
    assert CliRunner().invoke(command, ["--output", str(target)], input="y\n").exit_code == 0
    assert target.read_text() == "a,bee\n1,x\n2,y\n"
