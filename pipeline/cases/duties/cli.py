"""`triage queue flags`, `told` and `notices`: what is to be brought to a senior officer, that it was, and to oneself."""

from __future__ import annotations

from datetime import datetime

import click

from pipeline.cases.duties import escalations, notices
from pipeline.errors import UsageError
from pipeline.output import Rows, output_options
from pipeline.people.person import as_option, signed_in
from pipeline.settings import Settings


@click.command("flags")
@click.argument("case_id", required=False)
@as_option
@output_options(columns=("case_id", "band", "label", "role", "due_at", "late", "flag_id", "holder", "post", "reason"))
@click.pass_obj
def flags(settings: Settings, /, *, case_id: str | None, name: str | None) -> Rows:
    """List escalation flags that nobody has acknowledged, the first due first, of any band; or those of one case.

    Each names the role and post to tell and the time by which to tell them. `triage queue told` acknowledges one.
    """
    with signed_in(settings, name) as (store, actor), store.reader() as session:
        return [flag.as_dict() for flag in escalations.open_flags(session, actor, case_id)]


@click.command("told")
@click.argument("case_id")
@click.option("--flag", "flag_id", type=int, required=True, help="Number of the flag, from `triage queue flags`.")
@click.option("--to", "told_to", required=True, help="Name of the person who was told.")
@click.option("--by", "told_by", help="Name of the person who told them; you, unless given.")
@click.option("--at", help="When, with time zone, for example 2026-03-02T09:30+00:00; now, unless given.")
@click.option("--note", help="A note.")
@as_option
@output_options
@click.pass_obj
def told(
    settings: Settings,
    /,
    *,
    case_id: str,
    flag_id: int,
    told_to: str,
    told_by: str | None,
    at: str | None,
    note: str | None,
    name: str | None,
) -> Rows:
    """Acknowledge an escalation flag: record who was told, by whom and when."""
    with signed_in(settings, name) as (store, actor), store.session() as session:
        row = escalations.acknowledge(
            session, actor, case_id, flag_id, told_to=told_to, told_by=told_by, told_at=moment(at), note=note
        )
        return [
            {
                "case_id": case_id,
                "flag": row.flag_id,
                "label": row.label,
                "told_to": row.told_to,
                "told_by": row.told_by,
                "told_at": row.told_at,
            }
        ]


def moment(text: str | None) -> datetime | None:
    """A time of an option. Raises UsageError for what is none."""
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time.", "Write it as 2026-03-02T09:30+00:00.") from error


@click.command("notices")
@click.option("--read", "number", type=int, help="Number of a notice to mark as read.")
@as_option
@output_options
@click.pass_obj
def notices_(settings: Settings, /, *, number: int | None, name: str | None) -> Rows:
    """List what you are told and have not read, for example that a case of yours was taken over."""
    with signed_in(settings, name) as (store, actor), store.session() as session:
        rows = [notices.read(session, actor, number)] if number is not None else notices.unread(session, actor)
        return [{"notice": row.notice_id, "at": row.at, "text": row.text, "read_at": row.read_at} for row in rows]
