"""`triage case`: what a person finds out about a case. The queue's own commands are in `pipeline/cases/cli.py`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import click

from pipeline.assess.evidence.answers import VALUES
from pipeline.cases import cases, groups
from pipeline.cases.duties.cli import moment
from pipeline.cases.work import answers as work
from pipeline.cases.work import decisions, notifications, together
from pipeline.cases.work.answers import Given
from pipeline.output import Rows, output_options
from pipeline.people.person import as_option, signed_in
from pipeline.settings import Settings
from pipeline.store.tables import Case


@click.group("case", context_settings={"help_option_names": ["-h", "--help"]})
def case() -> None:
    """One case: its open questions, the answers that people find, and the cases that are one investigation with it.

    \b
    triage case questions C-7F3A9C21KD
    triage case answer C-7F3A9C21KD lives_with_children yes --source pnd --on 2026-11-28 --version 4
    triage case answers C-7F3A9C21KD
    triage case group C-7F3A9C21KD

    An answer is assessed at once: a yes can raise the band there and then, a lower assessment waits for two people. An
    answer is corrected by a later one to the same fact; `unknown` takes it back.
    """


@case.command()
@click.argument("case_id")
@as_option
@output_options
@click.pass_obj
def questions(settings: Settings, /, *, case_id: str, name: str | None) -> Rows:
    """List what is not known of a case, the most telling first: which fact settles it, and where a no and a yes lead."""
    with signed_in(settings, name) as (store, actor), store.session() as session:
        rows = [asdict(q) for q in work.questions(session, actor, case_id)]
    return [row | {key: "; ".join(row[key]) for key in ("facts", "flags_if_yes")} for row in rows]


@case.command()
@click.argument("case_id")
@click.argument("fact")
@click.argument("value", type=click.Choice(VALUES))
@click.option("--source", required=True, help="Where it was found out; a wrong one lists those that exist.")
@click.option(
    "--on", "found_on", type=click.DateTime(["%Y-%m-%d"]), default=None, help="Day it was found out. Default: today."
)
@click.option("--note", help="A note, kept with the answer.")
@click.option("--version", type=int, required=True, help="The version that you saw.")
@as_option
@output_options
@click.pass_obj
def answer(
    settings: Settings,
    /,
    *,
    case_id: str,
    fact: str,
    value: str,
    source: str,
    found_on: datetime | None,
    note: str | None,
    version: int,
    name: str | None,
) -> Rows:
    """Record what you found out about one fact of a case. The case is assessed anew at once."""
    with signed_in(settings, name) as (store, actor), store.session() as session:
        day: date = found_on.date() if found_on else store.clock().date()
        before = cases.find(session, actor, case_id, "case.answer")
        was = (before.band, before.score)
        row = work.record(session, actor, case_id, Given(fact, value, source, day, note), version=version)
        current = session.get_one(Case, case_id)
        return [
            {
                "case_id": case_id,
                "answer": row.answer_id,
                "fact": row.fact,
                "value": row.value,
                "band": current.band,
                "band_before": was[0],
                "score": current.score,
                "score_before": was[1],
                "due_at": current.due_at,
                "version": current.version,
            }
        ]


@case.command("answers")
@click.argument("case_id")
@as_option
@output_options
@click.pass_obj
def answers_(settings: Settings, /, *, case_id: str, name: str | None) -> Rows:
    """List every answer given for a case, oldest first."""
    shown = ("answer_id", "fact", "value", "source", "found_on", "note", "request_id", "at", "by")
    with signed_in(settings, name) as (store, actor), store.session() as session:
        rows: list[dict[str, Any]] = [
            {key: getattr(row, key) for key in shown} for row in work.history(session, actor, case_id)
        ]
    return rows


@case.command()
@click.argument("case_id")
@as_option
@output_options
@click.pass_obj
def group(settings: Settings, /, *, case_id: str, name: str | None) -> Rows:
    """List the cases of one investigation: those that a strong link of account or person joins to this one."""
    with signed_in(settings, name) as (store, actor), store.reader() as session:
        cases.find(session, actor, case_id, "case.read")
        found = groups.of_case(session, actor, case_id)
        if found is None:
            return []
        return [
            {
                "group": found.group_id,
                "band_of_group": found.band,
                "due_of_group": found.due_at,
                "case_id": member.case_id,
                "band": member.band,
                "state": member.state,
                "holder": member.holder,
                "version": member.version,
            }
            for member in found.cases
        ]


@case.command()
@click.argument("case_id")
@click.argument("number", type=int)
@click.option("--to", "recipient", help="Name of the person who was told.")
@click.option("--post", help="Their post; the authority that the notification names, unless given.")
@click.option("--by", "told_by", help="Name of the person who told them; you, unless given.")
@click.option("--at", help="When, with time zone, for example 2026-03-02T09:30+00:00; now, unless given.")
@click.option("--not-needed", is_flag=True, help="It is not needed; the note says why.")
@click.option("--note", help="A note.")
@click.option("--version", type=int, required=True, help="The version that you saw.")
@as_option
@output_options
@click.pass_obj
def notify(
    settings: Settings,
    /,
    *,
    case_id: str,
    number: int,
    recipient: str | None,
    post: str | None,
    told_by: str | None,
    at: str | None,
    not_needed: bool,
    note: str | None,
    version: int,
    name: str | None,
) -> Rows:
    """Record that a notification was made: who was told, in which post, by whom and when; or that it is not needed.

    `triage queue show` lists a case's notifications with their numbers.
    """
    with signed_in(settings, name) as (store, actor), store.session() as session:
        row = notifications.settle(
            session, actor, case_id, number, reason_code="not_needed" if not_needed else "made", version=version,
            recipient=recipient, post=post, told_by=told_by, told_at=moment(at), note=note,
        )  # fmt: skip
        names = ("label", "reason_code", "recipient", "post", "told_by", "told_at", "made_by")
        return [{"case_id": case_id, "notification": number, **{n: getattr(row, n) for n in names}}]


@case.command("decide-together")
@click.argument("case_id")
@click.argument("kind", type=click.Choice([kind for kind in decisions.KINDS if kind != "reopen"]))
@click.option("--reason", "reason_code", required=True, help="Reason code; a wrong one lists those that exist.")
@click.option("--outcome", help="Outcome of cases that are closed.")
@click.option("--note", help="A note, kept with each decision.")
@click.option(
    "--version",
    "seen",
    nargs=2,
    type=(str, int),
    multiple=True,
    required=True,
    metavar="CASE VERSION",
    help="A case of the group with the version that you saw; once for each.",
)
@as_option
@output_options
@click.pass_obj
def decide_together(
    settings: Settings, /, *, case_id: str, kind: str, seen: tuple[tuple[str, int], ...], name: str | None, **given: Any
) -> Rows:
    """Record one decision for every case of a group, or for none."""
    with signed_in(settings, name) as (store, actor), store.session() as session:
        made = together.decide(session, actor, case_id, kind, versions=dict(seen), **given)
        return [{"case_id": d.case_id, "kind": d.kind, "state": d.state_after, "outcome": d.outcome} for d in made]


@case.command("take-apart")
@click.argument("case_id")
@click.option("--reason", "reason_code", required=True, help="Reason code; a wrong one lists those that exist.")
@click.option("--whole-group", is_flag=True, help="Take every case of the group out, not only this one.")
@click.option("--version", type=int, required=True, help="The version of the case that you saw.")
@as_option
@output_options
@click.pass_obj
def take_apart(
    settings: Settings, /, *, case_id: str, reason_code: str, whole_group: bool, version: int, name: str | None
) -> Rows:
    """Take a case out of its group: it is worked on by itself, and links do not join it to others any more."""
    given: dict[str, Any] = {"reason_code": reason_code, "version": version}
    with signed_in(settings, name) as (store, actor), store.session() as session:
        if whole_group:
            out = together.dissolve(session, actor, case_id, **given)
        else:
            out = [together.take_out(session, actor, case_id, **given)]
        return [{"case_id": c.case_id, "band": c.band, "due_at": c.due_at, "version": c.version} for c in out]


@case.command("put-back")
@click.argument("case_id")
@click.option("--version", type=int, required=True, help="The version that you saw.")
@as_option
@output_options
@click.pass_obj
def put_back(settings: Settings, /, *, case_id: str, version: int, name: str | None) -> Rows:
    """Let strong links join a case to others again."""
    with signed_in(settings, name) as (store, actor), store.session() as session:
        found = together.put_back(session, actor, case_id, version=version)
        return [{"case_id": found.case_id, "version": found.version}]
