"""`triage assess` and `triage model`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from pipeline import contract as nights
from pipeline.assess.models.model import Model
from pipeline.errors import UsageError
from pipeline.output import Rows, output_options
from pipeline.people.person import as_option, signed_in
from pipeline.settings import Settings

_MODEL = click.option(
    "--model", default="risk-model", show_default=True, help="Model file in the policy folder, without .yaml."
)


@click.group()
def assess() -> None:
    """Link referrals and assess cases.

    \b
    triage assess run                     link what is new, assess what changed
    triage assess lists                   which list files of the force are in force, and which are not and why
    """


@assess.command("run")
@click.option("--run", "run_id", default=None, help="Name of the run. Default: tonight's, started if need be.")
@output_options
@click.pass_obj
def run_command(settings: Settings, run_id: str | None) -> Rows:
    """Link what is new, match the lists again, assess every case whose inputs changed. May be repeated at any time."""
    from pipeline.night import stages as nightly

    with _progress() as progress:
        progress.add_task("Linking and assessing", total=None)
        report = nightly.run_stage(settings, nightly.find("assess"), nights.start(settings, run_id))
    rows: list[dict[str, Any]] = [{"what": "cases", "count": report.read}]
    return rows + [{"what": name, "count": value} for name, value in report.counts.items()]


@assess.command("lists")
@output_options
@click.pass_obj
def lists_command(settings: Settings) -> Rows:
    """Every file in landing/lists with its date and owner, whether it is in force, and why not.

    A list is a CSV file <list>-<YYYY-MM-DD>.csv with <list>-<YYYY-MM-DD>.json beside it, which names list, date,
    owner and SHA-256 and is written last. The latest usable file of each list is in force.
    """
    from pipeline.assess.links import lists

    chosen = {f.path for f in lists.in_force(settings).values()}
    return [
        {
            "list": f.name,
            "dated": None if not f.name else str(f.dated),
            "owner": f.owner,
            "file": f.path.name,
            "state": f.problem or ("in force" if f.path in chosen else "superseded"),
        }
        for f in lists.files(settings)
    ]


@click.group()
def model() -> None:
    """Check, explain, shadow and replay risk models.

    A risk model is a YAML file in the policy folder: weights of the declared features, limits of their families,
    bands, targets, floors, escalation and notification rules. To try another one, copy risk-model.yaml to a new name,
    edit it, and:

    \b
    triage model check --model NAME       does it keep the promises that every model has to keep?
    triage model shadow --model NAME      which cases would move, and why?
    triage model replay --model NAME      how would it have ranked past decided cases?
    """


@model.command("check")
@_MODEL
@output_options
@click.pass_obj
def check_command(settings: Settings, model: str) -> Rows:
    """Test the promises that hold whatever the weights. Fails (exit code 2) when one is broken."""
    from pipeline.assess.models.check import check

    promises = check(settings, Model.load(settings, model))
    broken = sum(not p.kept for p in promises)
    rows = [{"promise": p.promise, "kept": p.kept, "figures": p.figures} for p in promises]
    if broken:
        for row in rows:
            if not row["kept"]:
                click.echo(f"broken: {row['promise']} ({row['figures']})", err=True)
        raise UsageError(
            f"Risk model {model} breaks {broken} of {len(rows)} promises.", "Change the weights or limits."
        )
    return rows


@model.command("features")
@_MODEL
@output_options
@click.pass_obj
def features_command(settings: Settings, model: str) -> Rows:
    """Every declared feature with its weight in a model, and the explanation that analysts read."""
    loaded = Model.load(settings, model)
    return [
        {
            "family": e.feature.family,
            "feature": e.feature.name,
            "weight": e.weight,
            "unknown": e.unknown,
            "explanation": e.feature.explanation,
        }
        for e in loaded.entries
    ]


@model.command("explain")
@click.argument("case_id")
@_MODEL
@click.option("--reason", help="Why you look; kept in the audit log.")
@as_option
@output_options
@click.pass_obj
def explain_command(settings: Settings, /, *, case_id: str, model: str, reason: str | None, name: str | None) -> Rows:
    """Assess one case anew and show every reason with its contribution and evidence, and what is not known.

    The look is logged as a consultation. Another --model shows the case as that model would see it; nothing is
    stored. Links to cases that you may not see are left out, and what they add with them.
    """
    from pipeline.assess.evidence import reading
    from pipeline.assess.latest import latest
    from pipeline.assess.models import explain
    from pipeline.cases import cases
    from pipeline.cases.views import hiding
    from pipeline.lake import Lake
    from pipeline.store import recording as audit
    from pipeline.store.context import rules

    loaded = Model.load(settings, model)
    with signed_in(settings, name) as (store, actor), store.session() as session:
        cases.find(session, actor, case_id, "case.read")
        why = rules(session).consultation_reason("case", reason)
        hidden = hiding.referrals(session, actor)
        audit.record(session, actor, "consultation", "model.explain", case_id=case_id, reason=why)
    lake = Lake.of(settings)
    found = next(reading.cases(settings, loaded, only=case_id, hidden=hidden), None)
    if found is None:
        raise UsageError(f"Case {case_id} has no referral in the lake.", "Run `triage assess run`, or check the id.")
    assessed = loaded.assess(found)
    stored = latest(lake, {case_id}).get(case_id)
    click.echo(explain.head(settings, loaded, found, assessed, stored, whole=not hidden), err=True)
    return explain.rows(assessed)


@model.command("shadow")
@click.option("--model", required=True, help="Second model file in the policy folder, without .yaml.")
@click.option("--limit", default=50, show_default=True, help="Moving cases to list.")
@as_option
@output_options
@click.pass_obj
def shadow_command(settings: Settings, /, *, model: str, limit: int, name: str | None) -> Rows:
    """Rank all cases under a second model beside the live one: who moves, and why. Changes nothing.

    Cases of compartments that you may not see are counted and not listed.
    """
    from pipeline.assess.evidence import reading
    from pipeline.assess.models.shadow import Watcher
    from pipeline.people import permissions

    with signed_in(settings, name) as (_, actor):
        permissions.require(actor, "model.report")
    live, other = Model.load(settings), Model.load(settings, model)
    watcher = Watcher(live, other)
    with _progress() as progress:
        task = progress.add_task(f"Ranking under {live.label} and {other.label}", total=None)
        for case in reading.cases(settings, live):
            watcher.see(case)
            progress.advance(task)
    report = watcher.report(limit, actor.compartments)
    click.echo(
        f"{report['cases']} cases: {report['raised']} would be raised, {report['lowered']} lowered by a band or more; "
        f"the longest move is {report['largest_move']} places; {report['moves_not_listed']} moves are not listed, "
        f"{report['moves_restricted']} are restricted.",
        err=True,
    )
    moves: list[dict[str, Any]] = report["moves"]
    return moves


@model.command("replay")
@_MODEL
@click.option(
    "--decisions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="CSV file with case_id and acted (yes or no). Default: the closed cases of the case store.",
)
@click.option(
    "--budget", "budgets", type=click.IntRange(1), multiple=True, help="Cases that can be taken up; repeatable."
)
@click.option("--by", type=click.Choice(["band", "budget"]), default="band", show_default=True, help="Which table.")
@as_option
@output_options
@click.pass_obj
def replay_command(
    settings: Settings, /, *, model: str, decisions: Path | None, budgets: tuple[int, ...], by: str, name: str | None
) -> Rows:
    """How a model would have ranked past decided cases: recall of those that were acted on, per band or per budget.

    Inputs are those known now, so facts that came to light after the decision are seen too; the figure is an upper
    limit. Whether an outcome counts as acted on is `outcomes` of policy/cases.yaml.
    """
    from pipeline.assess.evidence import reading
    from pipeline.assess.models.replay import read_decisions, replay
    from pipeline.cases.work import decisions as decisions_of

    with signed_in(settings, name) as (store, actor), store.reader() as session:
        closed = decisions_of.decided_cases(session, actor)
    decided = {c.case_id: c.acted for c in closed} if decisions is None else read_decisions(decisions)
    if not decided:
        raise UsageError("There are no decided cases to replay.", "Close cases with an outcome, or give --decisions.")
    loaded = Model.load(settings, model)
    report = replay(loaded, reading.cases(settings, loaded), decided, budgets)
    click.echo(
        f"{loaded.label}: {report['cases']} decided cases ranked, {report['acted']} of them acted on, "
        f"{report['not_found']} not found in the lake.",
        err=True,
    )
    rows: list[dict[str, Any]] = report["bands" if by == "band" else "budgets"]
    return rows


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    )
