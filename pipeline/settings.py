"""The whole configuration, one field per setting; each is read from the environment variable TRIAGE_<NAME>.

Rules of the work itself (weights, bands, deadlines, thresholds, category maps) are not here: they are
files in the policy folder, see `pipeline/policy.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pipeline import cores
from pipeline.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds pipeline/, schemas/ and policy/."""


PRIVATE = 0o077
"""File mode bits that nothing of ours has: the lake, quarantine and reports hold personal data."""


def _setting(default: Any, doc: str, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"doc": doc, "choices": choices})


@dataclass(frozen=True)
class Settings:
    """Where things are and how much of the machine to use. `Settings.load()` reads the environment."""

    home: Path = _setting(
        Path("var"),
        "Folder of everything that the pipeline writes; landing/ lies in it too unless `landing` says otherwise.",
    )
    landing: Path | None = _setting(
        None, "Folder in which packages arrive, one sub-folder per source. Default: HOME/landing."
    )
    policy: Path = _setting(
        ROOT / "policy", "Folder of the policy files (risk model, thresholds, deadlines, category maps)."
    )
    lake: str = _setting(
        "",
        "Where the lake's tables lie: a folder, or the URL of an object store (s3://bucket/folder, abfss://...), whose "
        "credentials come from its own environment variables (AWS_*, AZURE_*). Default: HOME/lake.",
    )
    shared: str = _setting(
        "",
        "Where machines that share no folder keep for each other what a home holds beside the lake (known-hash releases, run files, "
        "notices, reports): the URL of an object store, as for `lake`, or a folder. Default: none, all machines see one home.",
    )
    cases_url: str = _setting("", "SQLAlchemy URL of the case store. Default: SQLite file HOME/cases.sqlite.")
    cases_url_file: Path | None = _setting(
        None,
        "File that holds the case store's URL, for a deployment that keeps secrets in files. Wins over `cases_url`.",
    )
    cases_owner_url_file: Path | None = _setting(
        None,
        "File that holds the URL of the role that owns the case store on PostgreSQL: tables are made and changed by it, and the role "
        "of `cases_url` gets the rights to work with them. Only for the deployment's first task. Default: none, one role for both.",
    )
    force: str = _setting(
        "00",
        "Code of the force that runs this, as in policy/forces.csv; cases of other forces are marked for transfer.",
    )
    threads: int = _setting(
        0, "Threads and worker processes to use; 0 means one per core that this process, or its container, may use."
    )
    memory_mb: int = _setting(4096, "Memory limit of DuckDB and of index building, in MiB.")
    sandbox: str = _setting(
        "auto",
        "Isolation of the media worker: auto uses what the machine has and records it, strict refuses to run without all layers.",
        ("auto", "strict"),
    )
    log_format: str = _setting("text", "Log lines as readable text or as JSON.", ("text", "json"))
    log_level: str = _setting("INFO", "Least level that is logged.", ("DEBUG", "INFO", "WARNING", "ERROR"))
    console_host: str = _setting("127.0.0.1", "Address the console listens on.")
    console_port: int = _setting(8899, "Port the console listens on.")
    console_hosts: str = _setting(
        "", "Further host names that the console answers to (behind a proxy), separated by commas."
    )
    console_tls: bool = _setting(
        False, "Whether browsers reach the console by HTTPS: makes its cookie secure and host-bound, and sends HSTS."
    )
    secret_file: Path | None = _setting(
        None, "File with the console's signing secret (32 bytes or more). Default: HOME/secret, made at first use."
    )
    oidc_issuer: str = _setting(
        "",
        "Issuer of the identity provider (OpenID Connect) by which people may sign in to the console, as an https:// "
        "address. Default: none, local accounts only.",
    )
    oidc_client_id: str = _setting("", "Client id under which the console is registered with the identity provider.")
    oidc_secret_file: Path | None = _setting(None, "File with the client secret of that registration.")
    anchors: Path | None = _setting(
        None,
        "File to which signed anchors of the audit log are appended; best on another machine or write-once storage. "
        "Default: what policy/cases.yaml names (audit/anchors), else HOME/audit-anchors.jsonl.",
    )
    alarm_smtp: str = _setting("", "Mail server for alarms as host:port. Default: none; with it, `alarm_to`.")
    alarm_smtp_tls: bool = _setting(
        True, "Whether the mail server is spoken to by STARTTLS, with its certificate checked."
    )
    alarm_from: str = _setting("triage@localhost", "Sender of alarms by e-mail.")
    alarm_to: str = _setting("", "Recipients of alarms by e-mail, separated by commas.")
    alarm_password_file: Path | None = _setting(
        None, "File with `user:password` for the mail server. Default, or where it is empty: not signed in."
    )
    alarm_webhook: str = _setting("", "Address to which alarms are posted as JSON. Default: none.")
    alarm_token_file: Path | None = _setting(
        None, "File with a Bearer token for that address. Default, or where it is empty: none is sent."
    )
    metrics_token_file: Path | None = _setting(
        None, "File with the Bearer token with which GET /metrics of the console is read. Default: it is switched off."
    )
    shard_files: int = _setting(1000, "Media files in one fingerprint or match shard, the unit that is committed.")
    large_night: int = _setting(
        5000,
        "New packages, or cases to assess, above which a night digests media before ingest, and assesses, in shards of that many "
        "beside each other.",
    )
    task_seconds: int = _setting(
        120, "Seconds of work of one task that Airflow maps: as many shards as that, by what one cost in the last runs."
    )

    @classmethod
    def load(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read TRIAGE_* from `env` (default: the process environment). Every command, task and server begins with this, so here
        the process is told that what it writes is for its own user only, whatever the machine's default.

        Raises SettingsError for a value that cannot be read and for a TRIAGE_ name that is no setting.
        """
        os.umask(PRIVATE)
        env = os.environ if env is None else env
        known = {f"TRIAGE_{f.name.upper()}": f for f in fields(cls)}
        unknown = sorted(k for k in env if k.startswith("TRIAGE_") and k not in known and k not in FOREIGN)
        if unknown:
            raise SettingsError(f"Unknown setting {', '.join(unknown)}.", "`triage settings` lists all that exist.")
        values: dict[str, Any] = {}
        for variable, f in known.items():
            text = env.get(variable, "")
            if text == "":
                continue
            values[f.name] = _convert(variable, text, str(f.type), f.metadata["choices"])
        return cls(**values)

    @property
    def landing_dir(self) -> Path:
        return self.landing or self.home / "landing"

    @property
    def lake_dir(self) -> Path | str:
        """Folder or URL of the lake, as `pipeline.lake.Lake` opens it."""
        return self.lake or self.home / "lake"

    @property
    def releases_dir(self) -> Path:
        return self.home / "releases"

    @property
    def spill_dir(self) -> Path:
        """What DuckDB puts aside beyond its memory: rows of persons, so nowhere else. It is there while a statement needs it."""
        return self.home / "spill"

    @property
    def quarantine_dir(self) -> Path:
        return self.home / "quarantine"

    @property
    def runs_dir(self) -> Path:
        return self.home / "runs"

    @property
    def case_store_url(self) -> str:
        """URL of the case store; raises SettingsError when the file that should hold it cannot be read."""
        if self.cases_url_file is not None:
            try:
                return self.cases_url_file.read_text().strip()
            except OSError as error:
                raise SettingsError(f"TRIAGE_CASES_URL_FILE cannot be read: {error.strerror}.") from error
        return self.cases_url or f"sqlite:///{(self.home / 'cases.sqlite').resolve()}"

    @property
    def thread_count(self) -> int:
        return self.threads or cores.usable()


FOREIGN = frozenset({"TRIAGE_TEST_POSTGRESQL", "TRIAGE_CORPORA", "TRIAGE_CASES"})
"""Variables with our prefix that are read by tests and benches, not by the product."""


def _convert(variable: str, text: str, kind: str, choices: tuple[str, ...]) -> Any:
    if choices and text not in choices:
        raise SettingsError(f"{variable}={text!r} is not one of {', '.join(choices)}.")
    if kind == "int":
        try:
            number = int(text)
        except ValueError:
            raise SettingsError(f"{variable}={text!r} is not a whole number.") from None
        if number < 0:
            raise SettingsError(f"{variable}={text!r} is negative.")
        return number
    if kind == "bool":
        if text.lower() not in {"1", "0", "true", "false", "yes", "no"}:
            raise SettingsError(f"{variable}={text!r} is neither yes nor no.")
        return text.lower() in {"1", "true", "yes"}
    return Path(text) if kind.startswith("Path") else text
