"""`triage lookup`, `matches`, `query` and `export`: the DMI's tools. Every use is logged with who and why."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline import files, output
from pipeline.errors import InputError, UsageError
from pipeline.export import asking
from pipeline.output import Rows, output_options, target_option
from pipeline.people.person import as_option
from pipeline.settings import Settings
from pipeline.store.types import BANDS

if TYPE_CHECKING:
    from hashsets.release.releases import Release

reason_option = click.option(
    "--reason", default="", help="Why you ask; kept in the audit log. Demanded by default (policy/cases.yaml)."
)


@click.command()
@click.argument("asked", nargs=-1, required=True, metavar="HASH|FILE|LIST.csv|-...")
@click.option("--release", type=int, default=None, help="Known-hash release to ask. Default: the current one.")
@click.option(
    "--radius",
    type=click.IntRange(1, 64),
    default=None,
    help="Most bits that may differ. Default: the matching policy's.",
)
@reason_option
@as_option
@click.pass_obj
@output_options(columns=("result", "input", "grade", "note", "distance", "media_key", "category", "algorithm", "line"))
def lookup(
    settings: Settings,
    /,
    *,
    asked: tuple[str, ...],
    release: int | None,
    radius: int | None,
    reason: str,
    name: str | None,
) -> Rows:
    """Look hashes or files up in the known-hash store.

    A HASH is MD5, SHA-1, SHA-256, PDQ, pHash or PhotoDNA, in hex or base64; `pdq:` before it names the kind. A FILE is
    hashed on this machine by the isolated worker and not stored; where its plain hashes find nothing, it is asked in the
    same families of variants as in a night (results altered and similar), a video frame by frame. A list (.csv, .txt, or - for standard input) has one
    hash per line or columns named md5, sha1, sha256, pdq, phash. One row per hit; lines that are no hashes come last, with
    the reason. Near is a lead, never a category.

    \b
    triage lookup 9f86d081884c7d659a2feaa0c55ad015 --reason "request 12/26"
    triage lookup picture.jpg --reason "exhibit ABC/1" --format json
    triage lookup list.csv --reason disclosure --output answer.csv
    """
    from hashsets.release import releases
    from pipeline.export import lookup as looking

    with asking.ask(settings, name, "lookup.hash", "lookup", reason) as question:
        opened = releases.current(settings) if release is None else releases.open_release(settings, release)
        hashes, rejects, notes, altered = _read(settings, asked, opened)
        with output.working(
            f"Looking up {len(hashes):,} {'hash' if len(hashes) == 1 else 'hashes'} in release {opened.number}"
        ):
            rows = looking.look_up(settings, opened, hashes, radius) + altered
        hits = sum(row["result"] != "not known" for row in rows)
        question.log(
            "consultation", "hash.looked_up", f"release:{opened.number}",
            {"hashes": len(hashes), "rejected": len(rejects), "hits": hits},
        )  # fmt: skip
    for note in notes:
        click.echo(f"triage: {note}", err=True)
    return [*rows, *looking.not_read([asdict(r) for r in rejects])]


def _read(
    settings: Settings, asked: Sequence[str], release: Release
) -> tuple[list[Any], list[Any], list[str], list[dict[str, Any]]]:
    """Arguments to hashes, rejects, notes, and answers that the variants of files give. Raises UsageError, InputError."""
    from pipeline.export import hashes as texts

    hashes: list[Any] = []
    rejects: list[Any] = []
    notes: list[str] = []
    altered: list[dict[str, Any]] = []
    for word in asked:
        path = Path(word)
        if word == "-" or (path.suffix.lower() in {".csv", ".txt", ".tsv"} and path.is_file()):
            data = sys.stdin.buffer.read() if word == "-" else path.read_bytes()
            text = texts.text_of(data, "Standard input" if word == "-" else path.name)
            notes += [taken] if (taken := texts.taken(text)) else []
            good, bad = texts.parse_list(text, asking.LIST_LIMIT)
            hashes += good
            rejects += bad
        elif path.is_file():
            from pipeline.export import filelookup  # with the media worker: not loaded for a hash

            hashed = filelookup.hash_file(settings, path, release)
            altered += filelookup.altered_rows(release, path.name, hashed.altered)
            hashes += hashed.hashes
            notes += [f"{path.name}: {h.algorithms[0]} {h.value.hex()}" for h in hashed.hashes]
            notes += [f"{path.name}: {hashed.note}"] if hashed.note else []
            if texts.kind_of(path.read_bytes()[:16]) == "sheet":
                notes.append(f"{path.name} was hashed as a file. To look up hashes that are in it, save them as CSV.")
        else:
            hashes.append(_one(word))
    return hashes, rejects, notes, altered


def _one(word: str) -> Any:
    """A hash given as an argument. Raises UsageError for what can only be the name of a file that is not there."""
    from pipeline.export import hashes as texts

    try:
        return texts.parse_hash(word)
    except InputError as error:
        if Path(word).suffix or "/" in word or "\\" in word:
            raise UsageError(f"There is no file {word!r}.", "Give a hash, a file, a list (.csv, .txt) or -.") from error
        raise


@click.command()
@click.option("--case", "number", default=None, help="Only matches of this case.")
@click.option(
    "--kind", multiple=True, help="exact, claimed, near, variant, refined, video, unrefined; may be repeated."
)
@click.option("--grade", multiple=True, help="TRUSTED, INDICATIVE, DISPUTED, WITHDRAWN, BENIGN; may be repeated.")
@click.option("--release", type=int, default=None, help="Only matches in this release.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="Most rows.")
@reason_option
@as_option
@click.pass_obj
@output_options(
    columns=("case_id", "level", "grade", "category", "distance", "media_key", "cases", "media_file", "kind")
)
def matches(
    settings: Settings,
    *,
    number: str | None,
    kind: tuple[str, ...],
    grade: tuple[str, ...],
    release: int | None,
    limit: int,
    reason: str,
    name: str | None,
) -> Rows:
    """List matches with their evidence: one row per case, media file and known media item.

    \b
    triage matches --grade TRUSTED --kind exact
    triage matches --case C-7F3A9C21KD --format json
    """
    from pipeline.export import listing

    with asking.ask(settings, name, "matches.list", "case", reason) as question:
        rows = listing.matches(
            settings, question.hidden_referrals(), number=number, kinds=kind, grades=grade, release=release, limit=limit
        )
        question.log("consultation", "matches.listed", number or "matches", {"rows": rows.num_rows}, case_id=number)
    return rows


@click.command()
@click.argument("sql", required=False, metavar='"SQL"|@NAME')
@click.option(
    "--rows", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, help="Most rows returned."
)
@click.option(
    "--memory", type=click.IntRange(64, 65_536), default=1024, show_default=True, help="MiB the statement may use."
)
@click.option("--seconds", type=click.FloatRange(0.1, 3600), default=60, show_default=True, help="Time it may take.")
@reason_option
@as_option
@click.pass_obj
@output_options(stored=True)
def query(
    settings: Settings,
    *,
    sql: str | None,
    rows: int,
    memory: int,
    seconds: float,
    reason: str,
    name: str | None,
) -> Rows:
    """Run one read-only SELECT over lake tables, the known-hash release and views of the case store.

    It runs in a process of its own that is limited, locked and without files or network, and it is logged before it runs.
    Narratives and original report values are there for who may open the texts of cases; asking for them is logged as opening
    those texts. Of an error that could hold a stored value only the kind is told. Without an argument the tables, views and named
    statements are listed. @NAME runs a named statement; those of the dashboard are among them.

    \b
    triage query @open_cases
    triage query "SELECT kind, count(*) FROM matches GROUP BY kind"
    """
    from pipeline.export.sql import query as queries
    from pipeline.export.sql import running

    if sql is None:
        return running.catalogue(settings)
    with asking.ask(settings, name, "query.sql", "export", running.reason_of(sql, reason)) as question:
        answer = running.run(settings, question, sql, queries.Limits(rows, memory, seconds))
    if answer.truncated:
        click.echo(f"triage: only the first {rows:,} rows; raise --rows for more.", err=True)
    return answer.table


@click.group()
def export() -> None:
    """Export as VICS, CSV, Parquet or CASE/UCO, and write the reporting tables.

    Exports of a case are disclosures: they name a recipient and are logged.
    """


recipient_option = click.option("--to", "recipient", required=True, help="Who receives it; kept in the audit log.")


@export.command()
@click.argument("number")
@target_option()
@recipient_option
@reason_option
@as_option
@click.pass_obj
def vics(settings: Settings, *, number: str, target: Path, recipient: str, reason: str, name: str | None) -> None:
    """A case's media as a Project VIC (VICS 2.0) case file: digests, names and match standing, no pictures."""
    from pipeline.export.exchange import vics as form

    _write_case(settings, number, target, recipient=recipient, reason=reason, name=name, form=form, kind="vics")


@export.command("case-uco")
@click.argument("number")
@target_option()
@recipient_option
@reason_option
@as_option
@click.pass_obj
def case_uco(settings: Settings, *, number: str, target: Path, recipient: str, reason: str, name: str | None) -> None:
    """A case as a CASE/UCO bundle (JSON-LD): investigation, files with digests, identifiers, and the matching action."""
    from pipeline.export.exchange import caseuco as form

    _write_case(settings, number, target, recipient=recipient, reason=reason, name=name, form=form, kind="case-uco")


def _write_case(
    settings: Settings,
    number: str,
    target: Path,
    *,
    recipient: str,
    reason: str,
    name: str | None,
    form: Any,
    kind: str,
) -> None:
    from pipeline import files
    from pipeline.export.exchange import content

    with asking.ask(settings, name, "export.data", "export", reason) as question:
        case = content.of_case(settings, question, number)
        data: bytes = form.render(case)
        question.log(
            "disclosure",
            f"exported.{kind}",
            target.name,
            {"files": len(case.files)},
            case_id=number,
            recipient=recipient,
        )
    files.write_bytes(target, data)
    click.echo(f"triage: {len(case.files)} files of case {number} written to {target}.", err=True)


def _table(format_: str) -> click.Command:
    @click.argument("table")
    @target_option()
    @recipient_option
    @reason_option
    @as_option
    @click.pass_obj
    def command(settings: Settings, *, table: str, target: Path, recipient: str, reason: str, name: str | None) -> None:
        from pipeline.export import listing
        from pipeline.export.sql import running

        with asking.ask(settings, name, "export.data", "export", reason) as question:
            rows = listing.table(settings, table, question.hidden_referrals(), question.actor.compartments)
            if table in running.TEXTS:
                running.open_texts(question, table, rows)
            elif table in running.WORDS:
                rows = running.verbatim(settings, question, table, rows, running.WORDS[table])
            question.log("disclosure", f"exported.{format_}", table, {"rows": rows.num_rows}, recipient=recipient)
        output.emit(rows, format_, target)
        click.echo(f"triage: {rows.num_rows:,} rows of {table} written to {target}.", err=True)

    command.__doc__ = f"""One lake table as {format_.upper() if format_ == "csv" else "Parquet"}, for example `matches` or `assessments`."""
    return click.command(format_)(command)


export.add_command(_table("csv"))
export.add_command(_table("parquet"))


@export.command("markers")
@click.option(
    "--band", type=click.Choice(BANDS), default="high", show_default=True, help="This band and those above it."
)
@target_option()
@recipient_option
@reason_option
@as_option
@click.pass_obj
def markers_(settings: Settings, *, band: str, target: Path, recipient: str, reason: str, name: str | None) -> None:
    """Addresses of open cases from a band up as CSV, for markers in a command-and-control system.

    Columns: address, postcode, whose (suspect or child), case_id, band, marker, as_of.
    """
    import pyarrow as pa

    from pipeline.export.exchange import markers
    from pipeline.lake import Lake

    with asking.ask(settings, name, "export.data", "export", reason) as question:
        rows = markers.rows(question.session, question.actor, Lake.of(settings), band)
        question.log("disclosure", "exported.markers", f"band:{band}", {"rows": len(rows)}, recipient=recipient)
    table = pa.table({column: pa.array([row[column] for row in rows], pa.string()) for column in markers.COLUMNS})
    output.emit(table, "csv", target)
    click.echo(f"triage: {len(rows):,} addresses written to {target}.", err=True)


@export.command("childrens-services")
@click.argument("number")
@click.option("--authority", required=True, help="The authority whose children's services are told.")
@click.option("--threshold", type=click.Choice(["s17", "s47"]), required=True, help="Section of the Children Act 1989.")
@click.option("--concern", required=True, help="Why they are told, in words.")
@click.option("--strategy-asked", type=click.DateTime(["%Y-%m-%d"]), help="Day a strategy meeting was asked for.")
@click.option("--strategy-held", type=click.DateTime(["%Y-%m-%d"]), help="Day it was held.")
@target_option()
@reason_option
@as_option
@click.pass_obj
def childrens_services(
    settings: Settings,
    *,
    number: str,
    authority: str,
    threshold: str,
    concern: str,
    strategy_asked: datetime | None,
    strategy_held: datetime | None,
    target: Path,
    reason: str,
    name: str | None,
) -> None:
    """The referral of a case to children's services as a filled form in plain text."""
    from pipeline.export.exchange import childrens
    from pipeline.lake import Lake

    asked, held = (day.date() if day else None for day in (strategy_asked, strategy_held))
    stated = childrens.Referral(authority, threshold, concern, asked, held)
    with (
        asking.ask(settings, name, "case.notify", "export", reason) as question,
        question.store.session() as session,
    ):
        text = childrens.fill(session, question.actor, Lake.of(settings), number, stated, reason=question.reason)
    files.write_bytes(target, text.encode())
    click.echo(f"triage: the form of case {number} written to {target}.", err=True)


@export.command("reporting")
@click.option("--run", "run_id", default=None, help="Run whose clock the tables take. Default: now.")
@click.pass_obj
@output_options
def reporting_tables(settings: Settings, run_id: str | None) -> Rows:
    """Write the reporting tables for the dashboard and Power BI (Delta tables, every one as CSV too, data dictionary) to HOME/reporting/."""
    from pipeline.export import stage

    return stage.write(settings, run_id)
