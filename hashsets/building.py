# ruff: noqa: S608 - statements are put together from names in hashsets/algorithms.py; values are bound parameters
"""Building a release: the one before plus what was imported since, beside it, verified, then published.

    releases/.tmp-<pid>-build/   where it is built; swept by the next build if a process dies
    releases/<number>/           built and verified, not yet published
    releases/CURRENT             published

One process builds or publishes at a time (a lock in the releases folder, freed by the kernel when it dies).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from hashsets import canaries, grading, identity, importer, indexing, manifest, opinions, publishing, releases, sources
from hashsets.algorithms import ALL
from hashsets.readers import READERS
from hashsets.tables import connect_build, connect_read_only, create, scalar
from pipeline import __version__, files
from pipeline.errors import ConflictError, IntegrityError, ReconciliationError
from pipeline.night import Night, StageReport
from pipeline.records import canonical_json
from pipeline.settings import Settings


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """Build, verify and publish: the stage `hashset_release`. Nothing to do leaves the current release."""
    started, cpu = time.monotonic(), _cpu()
    report = build_release(settings, night)
    published = publishing.publish(settings)
    report.outputs = [f"release-{published}"] if published else []
    report.counts["published"] = published or 0
    report.seconds, report.cpu_seconds = time.monotonic() - started, _cpu() - cpu
    return report


def _cpu() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


@contextlib.contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Hold the releases folder for writing. Raises ConflictError when another process does."""
    files.make_folder(settings.releases_dir)
    descriptor = os.open(settings.releases_dir / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(
                "Another process is building or publishing a known-hash release.", "Wait until it has ended."
            ) from None
        yield
    finally:
        os.close(descriptor)


def build_release(settings: Settings, night: Night) -> StageReport:
    """Build and verify the next release beside the current one; `publishing.publish` makes it current.

    `read` counts rows of the imports taken in, `kept` those that stand in the release in any state, `rejected` those
    refused with their reason. A build that finds nothing new, or its own result waiting, does nothing. Raises
    ReconciliationError when counts differ, IntegrityError when the release before or an import is damaged.
    """
    policy = sources.load(settings)
    with locked(settings):
        previous = releases.current(settings) if releases.pointer(settings) else None
        number = previous.number + 1 if previous else 1
        inputs = _inputs(settings, policy, previous)
        report = StageReport("hashset_release", night.run_id)
        _sweep(settings)
        if inputs is None:
            report.counts = {"release": previous.number if previous else 0, "built": 0}
            return report
        folder = settings.releases_dir / str(number)
        if folder.exists():
            waiting = _waiting(folder, inputs)
            if waiting is not None:
                return _report(report, waiting)
            shutil.rmtree(folder)
        temporary = settings.releases_dir / f"{files.TEMPORARY}{os.getpid()}-build"
        temporary.mkdir()
        try:
            content = _build(settings, night, policy, previous, number, inputs, temporary)
            temporary.rename(folder)
            files.sync_folder(settings.releases_dir)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return _report(report, content)


def _report(report: StageReport, content: dict[str, Any]) -> StageReport:
    for counts in content["imports"]:
        report.read += counts["read"]
        for reason, n in counts["rejected_by_reason"].items():
            report.rejected[reason] = report.rejected.get(reason, 0) + n
        for state in ("kept", "duplicate", "updated", "withdrawn"):
            report.counts[state] = int(report.counts.get(state, 0)) + counts[state]
            report.kept += counts[state]
    report.counts |= {"release": content["release"], "built": 1, **content["changes"]}
    return report


def _inputs(settings: Settings, policy: sources.HashsetPolicy, previous: releases.Release | None) -> list[str] | None:
    """What the next release is made of: keys of imports not taken in yet, and the policy. None: nothing new."""
    done = set(previous.manifest["import_keys"]) if previous else set()
    pending = [i.key for i in importer.all_imports(settings) if i.key not in done and i.complete]
    if not pending and (previous is None or previous.manifest["policy_sha256"] == policy.digest):
        return None
    return [*pending, policy.digest]


def _sweep(settings: Settings) -> None:
    """Remove what killed builds left; the lock is held, so no build of another process is alive."""
    for path in settings.releases_dir.glob(f"{files.TEMPORARY}*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _waiting(folder: Path, inputs: list[str]) -> dict[str, Any] | None:
    """The manifest of a release that was built from the same inputs and waits to be published, if it is sound."""
    try:
        content: dict[str, Any] = json.loads((folder / manifest.NAME).read_bytes())
        if content["inputs"] != inputs:
            return None
        manifest.verified(folder, files.sha256(folder / manifest.NAME))
    except (OSError, ValueError, KeyError, IntegrityError):
        return None  # damaged or incomplete: it is built again
    return content


def _build(
    settings: Settings,
    night: Night,
    policy: sources.HashsetPolicy,
    previous: releases.Release | None,
    number: int,
    inputs: list[str],
    folder: Path,
) -> dict[str, Any]:
    spill = folder.parent / f"{files.TEMPORARY}{os.getpid()}-spill"
    database = folder / releases.DATABASE
    if previous is not None:
        shutil.copyfile(previous.folder / releases.DATABASE, database)
    con = connect_build(database, settings, spill)
    try:
        if previous is None:
            create(con)
            canaries.plant(con)
        con.execute("CREATE OR REPLACE TEMP TABLE touched (media_key BIGINT)")
        con.execute("BEGIN")
        _declare(con, policy, night, number)
        pending = [i for i in importer.all_imports(settings) if i.key in set(inputs)]
        taken = [_take_in(con, settings, policy, record, number, night) for record in pending]
        con.execute(
            f"""CREATE OR REPLACE TEMP TABLE new_hash AS
                {" UNION ".join(f"SELECT media_key FROM {a.table} WHERE release = {number}" for a in ALL)}"""
        )
        con.execute("INSERT INTO touched SELECT media_key FROM new_hash WHERE media_key >= 0")
        changes = grading.regrade(con, number, policy.trusted_votes)
        con.execute("COMMIT")
        con.execute("CHECKPOINT")
        versions = hasher_versions()
        rows = indexing.build(
            con,
            folder,
            previous.folder if previous else None,
            number,
            versions,
            previous.manifest["hasher_versions"] if previous else {},
        )
        counts = _counts(con)
    finally:
        con.close()
        shutil.rmtree(spill, ignore_errors=True)
    content = {
        "release": number,
        "previous": previous.number if previous else None,
        "built_as_of": night.as_of.isoformat(),
        "run_id": night.run_id,
        "inputs": inputs,
        "import_keys": sorted({*(previous.manifest["import_keys"] if previous else []), *(i.key for i in pending)}),
        "policy_sha256": policy.digest,
        "trusted_votes": policy.trusted_votes,
        "imports": taken,
        "changes": changes,
        "counts": counts,
        "indexes": rows,
        "hasher_versions": versions,
        "software": {"referral-triage": __version__, "duckdb": duckdb.__version__},
    }
    _verify(settings, database, counts)
    manifest.write(folder, content)
    return content


def hasher_versions() -> dict[str, str]:
    """Version of the hashing rules by perceptual algorithm: hashes of different versions are never compared."""
    from pipeline.fingerprint.registry import version_of

    return {a.name: version_of(a.name) for a in ALL if a.indexed}


def _declare(con: duckdb.DuckDBPyConnection, policy: sources.HashsetPolicy, night: Night, number: int) -> None:
    """Write the sources and category maps in force; where they differ from before, opinions are mapped anew."""
    before = {
        row[0]: row[1:]
        for row in con.execute("SELECT source_id, kind, origin, enabled, category_map_sha256 FROM source").fetchall()
    }
    old_votes = scalar(con, "SELECT trusted_votes FROM release ORDER BY release DESC LIMIT 1")
    con.execute("DELETE FROM category_map WHERE source_id IN (SELECT unnest(?))", [list(policy.sources)])
    for s in policy.sources.values():
        con.execute("DELETE FROM source WHERE source_id = ?", [s.source_id])
        con.execute(
            "INSERT INTO source VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                s.source_id,
                s.name,
                s.owner,
                s.kind,
                s.jurisdiction,
                s.category_map.name,
                s.category_map.digest,
                s.origin,
                s.enabled,
                s.handling,
            ],
        )
        rows = s.category_map.rows(s.source_id)
        if rows:
            con.executemany("INSERT INTO category_map VALUES (?, ?, ?, ?, ?)", rows)
        known = before.get(s.source_id)
        if known is not None and known[3] != s.category_map.digest:
            con.execute(
                """UPDATE opinion SET category = coalesce((
                       SELECT c.category FROM category_map c WHERE c.source_id = opinion.source_id
                       AND c.country = opinion.country AND c.raw_category = opinion.raw_category), 'UNMAPPED')
                   WHERE source_id = ? AND valid_to IS NULL""",
                [s.source_id],
            )
        if known is not None and known != (s.kind, s.origin, s.enabled, s.category_map.digest):
            con.execute("INSERT INTO touched SELECT DISTINCT media_key FROM opinion WHERE source_id = ?", [s.source_id])
    if old_votes and old_votes != policy.trusted_votes:
        con.execute("INSERT INTO touched SELECT media_key FROM media")
    con.execute(
        "INSERT INTO release VALUES (?, ?, ?, ?, ?, ?)",
        [number, night.as_of, night.run_id, policy.digest, policy.trusted_votes, __version__],
    )


def _take_in(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    policy: sources.HashsetPolicy,
    record: importer.Import,
    number: int,
    night: Night,
) -> dict[str, Any]:
    """Apply one staged import; returns its counts. `in = kept + duplicate + updated + withdrawn + rejected`."""
    source = policy.source(record.source_id)
    path = str(importer.staged_rows(settings, record))
    set_id = scalar(con, "SELECT max(set_id) FROM set_release") + 1
    identity.place(con, path, number)
    stable = record.reader in READERS and READERS[record.reader].stable_ids
    counts = opinions.merge(con, path, record, source, set_id, number, stable)
    _guard(con, policy, source, counts, record)
    reasons = dict(record.rejected)
    if counts["rejected"]:
        reasons["nothing_to_withdraw"] = counts["rejected"]
    states = ("kept", "duplicate", "updated", "withdrawn")
    if record.read != sum(counts[s] for s in states) + sum(reasons.values()):
        raise ReconciliationError(f"Import {record.key}: the states do not add up to {record.read} rows.")
    con.execute(
        "INSERT INTO set_release VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            set_id,
            record.key,
            record.source_id,
            record.sha256,
            record.file_name,
            record.reader,
            record.version,
            record.country,
            record.entity,
            record.read,
            *(counts[s] for s in states),
            sum(reasons.values()),
            canonical_json(reasons),
            canonical_json(record.defects),
            counts["absent_withdrawn"],
            canonical_json(record.notes),
            record.loaded_at,
            record.loaded_by,
            number,
        ],
    )
    return {
        "import": record.key,
        "source": record.source_id,
        "file": record.file_name,
        "read": record.read,
        **{s: counts[s] for s in states},
        "rejected_by_reason": reasons,
        "absent_withdrawn": counts["absent_withdrawn"],
    }


def _guard(
    con: duckdb.DuckDBPyConnection,
    policy: sources.HashsetPolicy,
    source: sources.KnownSource,
    counts: dict[str, int],
    record: importer.Import,
) -> None:
    """A truncated full delivery must not withdraw a whole set."""
    gone = counts["absent_withdrawn"]
    if not gone:
        return
    live = scalar(con, "SELECT count(*) FROM opinion WHERE source_id = ? AND valid_to IS NULL", [source.source_id])
    if gone > policy.max_withdrawn_share * (live + gone):
        raise ReconciliationError(
            f"Import {record.key} would withdraw {gone} of {live + gone} entries of {source.source_id}.",
            "If that is right, raise imports.max_withdrawn_share in policy/hashsets.yaml for this import; otherwise "
            "discard it: `triage hashset discard`.",
        )


def _counts(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows by table, without canaries."""
    counts = {}
    for table in ("media", "opinion", "set_release", "change", "conflict", *(a.table for a in ALL)):
        where = " WHERE media_key >= 0" if table.startswith("hash_") else ""
        counts[table] = scalar(con, f"SELECT count(*) FROM {table}{where}")
    return counts


def _verify(settings: Settings, database: Path, counts: dict[str, int]) -> None:
    """Open the finished database as a reader does and check counts, keys and canaries. Raises ReconciliationError."""
    con = connect_read_only(database, settings)
    try:
        if _counts(con) != counts:
            raise ReconciliationError("The built release does not hold the rows that were written.")
        for sql, what in _CHECKS:
            if wrong := scalar(con, sql):
                raise ReconciliationError(f"The built release is not sound: {wrong} {what}.")
        for algorithm in ALL:
            publishing.check_canaries(con, algorithm)
    finally:
        con.close()


_CHECKS = (
    ("SELECT count(*) - count(DISTINCT media_key) FROM media", "media keys are repeated"),
    ("SELECT count(*) FROM media WHERE grade IS NULL", "media have no grade"),
    ("SELECT count(*) FROM opinion o ANTI JOIN media m USING (media_key)", "opinions have no media"),
    ("SELECT count(*) FROM opinion o ANTI JOIN source s USING (source_id)", "opinions have no source"),
    (
        """SELECT count(*) FROM (SELECT 1 FROM opinion WHERE valid_to IS NULL
           GROUP BY source_id, member, media_key HAVING count(*) > 1)""",
        "opinions of one source stand twice",
    ),
    *(
        (
            f"SELECT count(*) FROM {a.table} h ANTI JOIN media m USING (media_key) WHERE h.media_key >= 0",
            f"{a.name} values have no media",
        )
        for a in ALL
    ),
)
