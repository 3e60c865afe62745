"""`triage audit`: the audit log."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.audit import anchors
from pipeline.audit import digest as digests
from pipeline.audit import log as audit_log
from pipeline.errors import UsageError
from pipeline.output import Rows, output_options, target_option
from pipeline.people.person import as_option, signed_in
from pipeline.settings import Settings
from pipeline.store.recording import CATEGORIES


@click.group("audit", context_settings={"help_option_names": ["-h", "--help"]})
def audit() -> None:
    """The audit log: who did what, when and why; append-only, each entry chained to the one before.

    `triage audit verify` finds any edit, deletion, reordering or cut; a cut end and a rewrite of the whole log are
    found through the anchors, which belong on another machine (TRIAGE_ANCHORS).
    """


@audit.command("list")
@click.option("--case", "case_id", help="Entries about this case.")
@click.option("--user", "user_id", help="Entries of this account.")
@click.option("--category", type=click.Choice(CATEGORIES), help="Category of DPA 2018 s.62.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Entries from this day (UTC) on.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Entries shown.")
@as_option
@output_options(columns=("seq", "at", "user_id", "action", "case_id", "object", "reason", "recipient"))
@click.pass_obj
def list_(
    settings: Settings,
    /,
    *,
    case_id: str | None,
    user_id: str | None,
    category: str | None,
    since: object,
    limit: int,
    name: str | None,
) -> Rows:
    """The newest entries. Looking is logged too."""
    day = f"{since:%Y-%m-%d}" if since else None
    with signed_in(settings, name) as (store, actor), store.session() as session:
        found = audit_log.entries(
            session, actor, case_id=case_id, user_id=user_id, category=category, since=day, limit=limit
        )
        shown = ("seq", "at", "user_id", "category", "action", "case_id", "object", "reason", "recipient", "detail")
        return [{column: getattr(entry, column) for column in shown} for entry in found]


@audit.command()
@click.option(
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Check an exported log instead of the store; needs no account.",
)
@click.option(
    "--digest",
    "stated",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A digest that was signed elsewhere.",
)
@click.option(
    "--signature",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Its signature (Ed25519, 64 bytes).",
)
@click.option(
    "--public-key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The signer's public key (PEM)."
)
@as_option
@output_options
@click.pass_obj
def verify(
    settings: Settings,
    /,
    *,
    path: Path | None,
    stated: Path | None,
    signature: Path | None,
    public_key: Path | None,
    name: str | None,
) -> Rows:
    """Check the whole chain, the anchors, and a signed digest. Exit code 4 and the entry's number when anything was altered."""
    signed = None
    if stated and signature and public_key and path is None:
        signed = digests.read(stated, signature, public_key)
    elif stated or signature or public_key:
        raise UsageError(
            "A digest is checked with all of --digest, --signature and --public-key.",
            "Leave --file out: it needs the store.",
        )
    if path is not None:
        found, result = audit_log.verify_file(path), "intact up to its last entry: a cut end does not show in a file"
    else:
        with signed_in(settings, name) as (store, actor):
            found = audit_log.verify(store, actor, signed)
        # Without an anchor a cut end with a mended head, or a log written anew, would look the same.
        result = "intact" if found.anchors or signed else "intact as far as the log itself can tell: no anchor yet"
    return [{"entries": found.entries, "head": found.head, "anchors": found.anchors, "result": result}]


@audit.command()
@target_option()
@click.option("--recipient", required=True, help="Who receives the file; kept in the log.")
@click.option("--reason", help="Why it is exported.")
@as_option
@click.pass_obj
def export(settings: Settings, /, *, target: Path, recipient: str, reason: str | None, name: str | None) -> None:
    """Write the whole log as JSON lines. The export is a disclosure and is logged."""
    with signed_in(settings, name) as (store, actor):
        count = audit_log.export(store, actor, target, recipient, reason)
    click.echo(f"triage: {count:,} entries of the audit log written to {target}.", err=True)


@audit.command("digest")
@target_option()
@as_option
@click.pass_obj
def digest_command(settings: Settings, /, *, target: Path, name: str | None) -> None:
    """Write a digest of the checked log, to be signed where this installation holds no key.

    \b
    There: openssl pkeyutl -sign -rawin -inkey key.pem -in FILE -out FILE.sig
    Later: triage audit verify --digest FILE --signature FILE.sig --public-key public.pem
    """
    with signed_in(settings, name) as (store, actor):
        found = digests.write(store, actor, target)
    click.echo(f"triage: digest of {found.entries:,} entries written to {target}.", err=True)


@audit.command()
@as_option
@output_options
@click.pass_obj
def anchor(settings: Settings, /, *, name: str | None) -> Rows:
    """Write an anchor of the chain's head now; the nightly run does it too."""
    with signed_in(settings, name) as (store, actor):
        with store.session() as session:
            audit_log.anchor(session, actor)
        written = anchors.write(store)
        return [{"file": anchors.path(settings).name, "entry": written.seq if written else None}]
