"""Documentation is tested: every command, option, setting, DAG, table and field is described, and the pages are current."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest

from bench import summary
from pipeline import records
from pipeline.cli import COMMANDS, triage
from pipeline.night import stages as nightly
from pipeline.reference import dictionary
from pipeline.settings import ROOT, Settings


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, f"{path} {name}")


ALL = list(commands(triage, "triage"))


@pytest.mark.parametrize(("path", "command"), ALL, ids=[p for p, _ in ALL])
def test_every_command_teaches(path: str, command: click.Command) -> None:
    assert (command.help and command.help.rstrip().endswith((".", ":"))) or "\n" in (command.help or ""), path
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.opts}"


@pytest.mark.parametrize("page", sorted(dictionary.PAGES))
def test_generated_pages_are_current(page: str) -> None:
    assert (ROOT / "docs" / page).read_text() == dictionary.PAGES[page](), (
        "run: python -m pipeline.reference.dictionary"
    )


def test_the_page_of_figures_is_written_from_the_results() -> None:
    assert summary.PAGE.read_text() == summary.page(), "run: python -m bench.summary"


def test_every_setting_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference.md").read_text()
    assert [f.name for f in fields(Settings) if f"`TRIAGE_{f.name.upper()}`" not in page] == []


def test_every_dag_docstring_is_a_manual() -> None:
    for path in sorted((ROOT / "dags").glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert text.startswith(f"# {path.stem}") and "When it fails" in text, path.name
        assert path.stem in (ROOT / "docs" / "operations.md").read_text()
        tasks = [
            node.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef) and node.name != path.stem and not node.name.startswith("plan_")
        ]
        table = text[text.index("| task |") :]
        assert [name for name in tasks if f"`{name}`" not in table] == [], path.name


def test_every_stage_and_table_is_in_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert [s.name for s in (*nightly.STAGES, *nightly.EXTRA) if s.name not in page] == []
    assert [t for t in records.tables() if t not in page] == []


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    broken = []
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_every_test_and_bench_named_in_the_pages_exists() -> None:
    files = [p for folder in ("tests", "bench") for p in (ROOT / folder).rglob("*.py")]
    wrong = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for named in re.findall(r"`((?:tests/|bench/|test_)[\w/]*\.py)`", page.read_text()):
            if not any(str(path).endswith(f"/{named}") for path in files):
                wrong.append(f"{page.name}: {named}")
    assert wrong == []


def test_every_command_named_in_the_pages_exists() -> None:
    wrong = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for words in re.findall(r"`triage ([a-z][a-z -]*)", page.read_text()):
            name, *rest = words.split()
            command = triage.get_command(click.Context(triage), name) if name in COMMANDS else None
            missing = (
                isinstance(command, click.Group)
                and rest
                and rest[0] not in command.commands
                and not rest[0].startswith("-")
            )
            if command is None or missing:
                wrong.append(f"{page.name}: triage {words}")
    assert wrong == []


def test_every_policy_file_is_described_and_checked() -> None:
    for path in sorted((ROOT / "policy").glob("*.yaml")):
        assert path.read_text().startswith("#"), path.name
        assert Path(ROOT / "schemas" / "policy" / f"{path.stem}.json").is_file(), path.name


def test_the_legend_of_the_recall_chart_covers_no_row() -> None:
    svg = "{http://www.w3.org/2000/svg}"
    named = {e.get("id"): e for e in ElementTree.parse(ROOT / "docs" / "recall.svg").iter(f"{svg}g")}  # noqa: S314 - our own

    def heights(group: str) -> list[float]:
        return [float(mark.attrib["y"]) for mark in named[group].iter(f"{svg}use") if "y" in mark.attrib]

    assert len(heights("matplotlib.axis_2")) > 50, "one tick per edit"
    assert max(heights("legend_1")) < min(heights("matplotlib.axis_2"))
