"""`triage queue`: the prioritised queue at the command line. `users` and `audit` are in their own modules."""

from __future__ import annotations

from typing import Any

import click

from pipeline.audit.cli import audit
from pipeline.britishtime import moment
from pipeline.cases import words
from pipeline.cases.duties import escalations
from pipeline.cases.duties.cli import flags, notices_, told
from pipeline.cases.states import STATES
from pipeline.cases.views import case as view
from pipeline.cases.views import described, supervision
from pipeline.cases.views import queue as listing
from pipeline.cases.views.ordering import ORDERS
from pipeline.cases.views.queue import LARGEST_PAGE, URGENCIES, QueueFilters
from pipeline.cases.work import bands, claims, decisions, notes, retention
from pipeline.errors import UsageError
from pipeline.output import Rows, output_options
from pipeline.people import users as people
from pipeline.people.cli import users
from pipeline.people.person import as_option, signed_in
from pipeline.settings import Settings
from pipeline.store.tables import Case
from pipeline.store.types import BANDS

__all__ = ["audit", "queue", "users"]

_BAND_KINDS = ("raise_band", "propose_lowering", "approve_lowering", "refuse_lowering")
_RETENTION_KINDS = ("retain", "erase")
_SHOWN = (
    "case_id", "band", "standing", "urgency", "score", "top_reasons", "source", "state", "holder", "due_at", "new_for_me",
    "flagged", "version",
)  # fmt: skip


@click.group("queue", context_settings={"help_option_names": ["-h", "--help"]})
def queue() -> None:
    """The prioritised queue: the first case is the one where a child is most likely in danger now.

    \b
    triage queue list --band very_high --holder nobody
    triage queue claim                      take the next free case
    triage queue show C-7F3A9C21KD          band, reasons, what is unknown; logged as a consultation
    triage queue decide C-7F3A9C21KD close --reason enquiry_complete --outcome child_safeguarded --version 4
    triage queue flags                      what is to be brought to a senior officer now
    triage queue retention                  closed cases to be retained or erased now

    Changes name the version that `show` printed: if somebody else changed the case since, nothing is saved.
    """


queue.add_command(flags)
queue.add_command(told)
queue.add_command(notices_)


@queue.command("list")
@click.option("--urgency", multiple=True, type=click.Choice(URGENCIES), help="Time to the target.")
@click.option("--band", multiple=True, type=click.Choice(BANDS), help="Band in force.")
@click.option("--state", multiple=True, type=click.Choice(STATES), help="State; open cases unless named.")
@click.option("--source", multiple=True, help="Source of the referral.")
@click.option("--provider", multiple=True, help="Provider that reported.")
@click.option("--holder", help='Who holds it: an account, "me" or "nobody".')
@click.option("--team", help="Team it is allocated to.")
@click.option("--force", help="Code of the force it belongs to.")
@click.option("--flagged/--not-flagged", default=None, help="With an immediate-escalation flag.")
@click.option("--to-tell/--told", "unacknowledged", default=None, help="With a flag that nobody has acknowledged.")
@click.option("--new/--seen", "new_for_me", default=None, help="Changed since you last looked.")
@click.option("--unknown-files/--no-unknown-files", default=None, help="With files that no set knows.")
@click.option("--lowering", "lowering_pending", is_flag=True, default=None, help="With a lowering that waits.")
@click.option("--second-look", is_flag=True, default=None, help="That ask for a second look.")
@click.option("--order", type=click.Choice(ORDERS), default=ORDERS[0], show_default=True, help="Order of the list.")
@click.option("--limit", type=click.IntRange(1, LARGEST_PAGE), default=25, show_default=True, help="Cases shown.")
@as_option
@output_options(
    columns=("case_id", "band", "urgency", "score", "holder", "due_at", "source", "flagged", "standing", "top_reasons")
)
@click.pass_obj
def list_(settings: Settings, /, *, name: str | None, limit: int, order: str, **chosen: Any) -> Rows:
    """List cases by risk: band, then flags that wait to be told, then past the target, then score; or by target.

    What is to be brought to a senior officer now is said first, on standard error, whatever its band.
    """
    filters = QueueFilters(**{k: v for k, v in chosen.items() if v not in ((), None)})
    with signed_in(settings, name) as (store, actor), store.listing() as session:
        page = listing.page(session, actor, filters, order=order, size=limit)
        rows = [row.as_dict() for row in page.rows]
        for line in escalations.strip(session, actor):
            click.echo(f"{line.text} (triage queue flags)", err=True)
    return [{key: row[key] for key in _SHOWN} for row in rows]


@queue.command("past-target")
@as_option
@output_options
@click.pass_obj
def past_target_(settings: Settings, /, *, name: str | None) -> Rows:
    """List open cases past their target, by band, in each the oldest first; the figures are on standard error."""
    with signed_in(settings, name) as (store, actor), store.reader() as session:
        for figure in supervision.past_target(session, actor):
            oldest = f", the oldest since {moment(figure['oldest_target'])}" if figure["cases"] else ""
            click.echo(f"{words.band(figure['band'])}: {figure['cases']} past the target{oldest}", err=True)
        return [
            {
                "case_id": c.case_id,
                "band": c.band,
                "due_at": c.due_at,
                "score": c.score,
                "state": c.state,
                "holder": c.holder,
            }
            for c in supervision.overdue(session, actor)
        ]


@queue.command("retention")
@as_option
@output_options
@click.pass_obj
def retention_(settings: Settings, /, *, name: str | None) -> Rows:
    """List closed cases whose retention review has come: each is to be retained or erased, by a supervisor's decision."""
    with signed_in(settings, name) as (store, actor), store.reader() as session:
        return [
            {
                "case_id": case.case_id,
                "state": case.state,
                "outcome": case.outcome,
                "closed_at": case.closed_at,
                "retention_review_at": case.retention_review_at,
                "version": case.version,
            }
            for case in retention.due(session, actor)
        ]


@queue.command()
@click.argument("case_id")
@click.option("--reason", help="Why you look; kept in the audit log.")
@as_option
@output_options
@click.pass_obj
def show(settings: Settings, /, *, case_id: str, reason: str | None, name: str | None) -> Rows:
    """Show a case: band, KIRAT as entered, reasons with their evidence, what is unknown, what waits, history.

    The look is logged.
    """
    with signed_in(settings, name) as (store, actor), store.session() as session:
        return list(described.rows(view.read(session, actor, case_id, reason), store.rules, people.names(session)))


@queue.command()
@click.argument("case_id", required=False)
@as_option
@output_options
@click.pass_obj
def claim(settings: Settings, /, *, case_id: str | None, name: str | None) -> Rows:
    """Take a case, or without a number the next free one."""
    with signed_in(settings, name) as (store, actor), store.session() as session:
        case = claims.claim(session, actor, case_id) if case_id else claims.claim_next(session, actor)
        if case is None:
            return []
        return [_state(case)]


@queue.command()
@click.argument("case_id")
@click.option("--version", type=int, required=True, help="The version that you saw.")
@as_option
@output_options
@click.pass_obj
def release(settings: Settings, /, *, case_id: str, version: int, name: str | None) -> Rows:
    """Give a case back."""
    with signed_in(settings, name) as (store, actor), store.session() as session:
        return [_state(claims.release(session, actor, case_id, version=version))]


@queue.command()
@click.argument("case_id")
@click.argument("text")
@click.option("--version", type=int, required=True, help="The version that you saw.")
@as_option
@output_options
@click.pass_obj
def note(settings: Settings, /, *, case_id: str, text: str, version: int, name: str | None) -> Rows:
    """Add a note to a case."""
    with signed_in(settings, name) as (store, actor), store.session() as session:
        added = notes.add(session, actor, case_id, text, version=version)
        return [{"case_id": case_id, "note": added.note_id, "version": version + 1}]


@queue.command()
@click.argument("case_id")
@click.argument("kind", type=click.Choice([*decisions.KINDS, *_BAND_KINDS, *_RETENTION_KINDS]))
@click.option("--reason", "reason_code", required=True, help="Reason code; a wrong one lists those that exist.")
@click.option("--outcome", help="Outcome of a case that is closed.")
@click.option("--band", type=click.Choice(BANDS), help="The band to raise to or to propose.")
@click.option("--note", "text", help="A note; demanded where a band changes.")
@click.option("--version", type=int, required=True, help="The version that you saw.")
@as_option
@output_options
@click.pass_obj
def decide(
    settings: Settings,
    /,
    *,
    case_id: str,
    kind: str,
    reason_code: str,
    outcome: str | None,
    band: str | None,
    text: str | None,
    version: int,
    name: str | None,
) -> Rows:
    """Decide on a case: start an enquiry, close, reopen, raise its band, propose or settle a lowering, retain or erase.

    Erasing empties the case store of the case and leaves a tombstone; nothing brings it back.
    """
    if (band is not None) != (kind in ("raise_band", "propose_lowering")):
        raise UsageError("--band goes with raise_band and propose_lowering, and only with these.")
    if outcome is not None and kind != "close":
        raise UsageError("--outcome goes with close, and only with it.")
    if text is not None and kind == "erase":
        raise UsageError("--note does not go with erase: nothing of the case is kept.")
    given: dict[str, Any] = {"reason_code": reason_code, "version": version}
    with signed_in(settings, name) as (store, actor), store.session() as session:
        if kind in decisions.KINDS:
            decisions.decide(session, actor, case_id, kind, outcome=outcome, note=text, **given)
        elif kind == "retain":
            retention.retain(session, actor, case_id, note=text, **given)
        elif kind == "erase":
            stone = retention.erase(session, actor, case_id, **given)
            return [{"case_id": case_id, "state": "erased", "referrals": len(stone.referrals)}]
        elif band is not None:
            getattr(bands, kind)(session, actor, case_id, band, note=text or "", **given)
        else:
            getattr(bands, kind)(session, actor, case_id, note=text or "", **given)
        return [_state(session.get_one(Case, case_id))]


def _state(case: Case) -> dict[str, Any]:
    return {
        "case_id": case.case_id,
        "state": case.state,
        "band": case.band,
        "holder": case.holder,
        "due_at": case.due_at,
        "version": case.version,
    }
