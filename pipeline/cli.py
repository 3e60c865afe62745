"""`triage`: every stage, every tool, and the whole night, without Airflow. Exit codes are those of `pipeline/errors.py`."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from pipeline import __version__, logs
from pipeline.errors import DependencyError, TriageError
from pipeline.settings import Settings

COMMANDS: dict[str, tuple[str, str, str]] = {
    # name: (module, attribute, one line of help), loaded when first used: `triage --help` must not import DuckDB
    "night": ("pipeline.night.cli", "night", "Run the whole night, or show how it went."),
    "status": ("pipeline.night.cli", "status", "What ran when, what it counted, what needs the operator."),
    "watch": ("pipeline.watch.cli", "watch", "Look after the product: alarms, and who is told."),
    "alarms": ("pipeline.watch.cli", "alarms_command", "Alarms, open and over."),
    "settings": ("pipeline.night.cli", "settings_command", "Every setting with its value and meaning."),
    "sample": (
        "pipeline.sample.cli",
        "sample",
        "Write synthetic referral packages and hash sets to try things with.",
    ),
    "ingest": ("pipeline.ingest.cli", "ingest", "Take in packages from the landing folder."),
    "waiting": ("pipeline.ingest.cli", "waiting", "Packages that are not complete yet, and why."),
    "returned": ("pipeline.ingest.cli", "returned", "Packages returned for information, with the clock of each."),
    "fingerprint": ("pipeline.fingerprint.cli", "fingerprint", "Digests and perceptual hashes of media files."),
    "hashset": ("hashsets.cli", "hashset", "Known-hash sets: import, releases, differences, conflicts, export."),
    "validate": ("pipeline.validation.cli", "validate", "Validate the method on pictures of the force's own."),
    "index": ("pipeline.matching.cli", "index", "Build, inspect, verify and compact matching indexes."),
    "match": ("pipeline.matching.cli", "match", "Match a file of hashes against a release."),
    "assess": ("pipeline.assess.cli", "assess", "Link referrals and assess cases."),
    "model": ("pipeline.assess.cli", "model", "Check, explain, shadow and replay risk models."),
    "queue": ("pipeline.cases.cli", "queue", "The prioritised queue: list, show, claim, decide."),
    "case": ("pipeline.cases.work.cli", "case", "One case: its open questions, and the answers that people find."),
    "users": ("pipeline.cases.cli", "users", "Accounts and roles."),
    "audit": ("pipeline.cases.cli", "audit", "The audit log: show, verify, export."),
    "console": ("pipeline.console.cli", "console", "Serve the analysts' web pages."),
    "lookup": ("pipeline.export.cli", "lookup", "Look a hash or a file up in the known-hash store."),
    "matches": ("pipeline.export.cli", "matches", "List matches."),
    "lake": ("pipeline.lake.cli", "lake", "The lake's tables, their snapshots and upkeep."),
    "query": ("pipeline.export.cli", "query", "Read-only SQL over lake, release and case views."),
    "export": ("pipeline.export.cli", "export", "Export as VICS, CSV, Parquet or CASE/UCO."),
}


UNSHARED = ("console", "watch", "settings", "sample")
"""Commands that need no files of other machines, or bring them again and again by themselves."""


class WithoutPandas:
    """An importer that says pandas is not installed.

    PyArrow imports it, where something else brought it, at the first array that it makes: a fifth of a look-up's time,
    for a library that nothing here uses.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Raises ModuleNotFoundError for pandas; says nothing of other modules."""
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not used here", name=name)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        # what is loaded stays: searching it for garbage while it grows, and at every later search, is a twentieth of a look-up
        gc.disable()
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        finally:
            gc.freeze()
            gc.enable()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="triage")
@click.pass_context
def triage(ctx: click.Context) -> None:
    """Nightly triage of online child abuse referrals: hashes and metadata only, no pictures.

    To begin: `triage sample` (something to try), `triage hashset import` and `build` (known hashes), `triage night run`,
    `triage queue list`. `triage COMMAND --help` has examples. Settings are environment variables: `triage settings`.

    Exit codes: 0 done, 1 failed, 2 wrong use, 3 something is missing, 4 stored data is damaged, 5 counts do not
    reconcile, 6 unreadable input, 7 changed by somebody else, 8 not permitted.
    """
    settings = Settings.load()
    logs.configure(settings)
    ctx.obj = settings
    if settings.shared and ctx.invoked_subcommand not in UNSHARED:
        # loaded only where machines share no folder
        from pipeline.night import sharing

        ctx.with_resource(sharing.of_command(settings))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: an expected error is one line on standard error and its exit code, never a traceback."""
    sys.meta_path.insert(0, WithoutPandas())
    try:
        result: Any = triage.main(args=arguments, prog_name="triage", standalone_mode=False)
    except TriageError as error:
        click.echo(f"triage: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        # a full or read-only disk, a folder without permission: what was published is whole, the rest is done again
        about = f": {error.filename}" if error.filename else ""
        click.echo(f"triage: {error.strerror or error}{about}. Mend it and run the same again.", err=True)
        sys.exit(DependencyError.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort as abort:
        if isinstance(abort.__cause__, EOFError):  # click takes any for a closed terminal; a damaged file is not one
            raise abort.__cause__ from None
        click.echo("triage: stopped.", err=True)
        sys.exit(130)
    finally:
        # the process ends here: searching all that is loaded for garbage and taking it apart costs a short command much of its time
        gc.freeze()
    sys.exit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()
