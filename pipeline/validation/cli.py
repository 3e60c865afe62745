"""`triage validate`: how well this installation finds altered copies of pictures and videos of the force's own."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline import __version__, algorithms, files, policy
from pipeline.settings import Settings

MediaFolder = click.Path(file_okay=False, exists=True, path_type=Path)


@click.command()
@click.argument("folder", type=MediaFolder)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("validation.html"),
    show_default=True,
    help="The page to write; the same figures are written beside it as JSON.",
)
@click.option(
    "--series",
    type=MediaFolder,
    default=None,
    help="Hard negatives: each subfolder holds pictures of one scene that are not the same picture.",
)
@click.option(
    "--every",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Ask about each EVERY-th picture only; all are known.",
)
@click.option("--edit", "only", multiple=True, help="Only edits whose name contains this; may be repeated.")
@click.pass_obj
def validate(
    settings: Settings, /, *, folder: Path, report: Path, series: Path | None, every: int, only: tuple[str, ...]
) -> None:
    """Validate the method on pictures and videos in FOLDER that the force may use for this.

    A known set is made from them, each is edited as people edit pictures, and asked about as in a night. Nothing is stored
    but the report: recall for each edit and level, false hits, hard negatives, exactness, machine and versions. The pictures
    are opened in this process, not in an isolated worker: use files that you trust.

    \b
    triage validate ~/validation-pictures --report validation.html
    triage validate ~/validation-pictures --every 10 --edit crop
    """
    result = run(settings, folder, series, every, only)
    from pipeline.validation import report as pages

    files.write_bytes(report, pages.html(result).encode())
    files.write_bytes(report.with_suffix(".json"), orjson.dumps(result, option=orjson.OPT_INDENT_2))
    for criterion in result["acceptance"]:
        click.echo(f"{'met' if criterion['met'] else 'NOT MET'}: {criterion['criterion']} ({criterion['measured']})")
    click.echo(f"The report is {report}, its figures {report.with_suffix('.json')}.")


def run(settings: Settings, folder: Path, series: Path | None, every: int, only: tuple[str, ...]) -> dict[str, Any]:
    """All figures of a validation, with progress and time left on the terminal."""
    from pipeline.fingerprint.hashes import picture
    from pipeline.validation import composed, edits, measuring
    from pipeline.validation import report as pages
    from pipeline.validation import run as runs

    loaded = {name: policy.load(settings, name) for name in ("fingerprint", "matching")}
    rules = measuring.ValidationRules(loaded["fingerprint"].data, loaded["matching"].data)
    columns = TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("reading", total=None)

        def step(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        picture.prepare(rules.fingerprint)
        data = runs.read(folder)
        result = runs.measure(data, rules, every, runs.names(only), step)
        result["videos"] = runs.moving(data.videos, rules, step) if data.videos else {}
        result["videos_known"] = len(data.videos)
        result["hard_negatives"] = runs.hard_negatives(rules, dict(runs.series_of(series)) if series else {}, step)
    kinds = {name: kind for table in (edits.EDITS, composed.EDITS) for name, (kind, _) in table.items()}
    result["acceptance"] = pages.acceptance(result, kinds)
    result["version"], result["made"] = __version__, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    result["conditions"] = {
        "Processor": next(
            (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
            platform.machine(),
        ),
        "Cores": len(os.sched_getaffinity(0)),
        "Python": platform.python_version(),
        "Hashing rules": algorithms.algorithm_version(),
        **{f"policy/{name}.yaml": loaded[name].digest for name in loaded},
    }  # fmt: skip
    return result
