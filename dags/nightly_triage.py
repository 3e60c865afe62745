"""
# nightly_triage: the night's work

Takes in every complete package in the landing folder, fingerprints its media in isolated workers, matches it against
the current known-hash release, assesses the cases touched and publishes them to the queue. Runs at 01:00 London time.

**When it fails.** Every task may be run again: clear it, or trigger the DAG with the same `run_id` parameter. What is
done is not done again. A run keeps its name and its clock: a cleared run of last week goes on where it stood. A backfill of a past
day takes in what waits now under that day's name; it does not bring back what was in the folder then. `triage status` says what ran and what needs you; the run's folder has `report.txt`.

| task | what a failure means | what to do |
|---|---|---|
| `begin` | no space left, or a setting or policy file is wrong | the message names it |
| `take_turn` | another run had the turn to write the queue for twelve hours | see that run; `triage night turn` says which |
| `plan_digest`, `digest` | as `ingest`; they have work only in a night of more than `TRIAGE_LARGE_NIGHT` packages | check the mount, clear the task |
| `ingest` | the landing folder cannot be read (bad packages never fail the task: they go to quarantine) | check the mount |
| `fingerprint` | the media worker cannot start, or strict isolation is asked for and not available | `triage fingerprint --help` |
| `match`, `flood` | the release is damaged, or a canary was missed: no result of that shard was kept | `triage index verify`; publish a sound release; clear the task |
| `plan_assess`, `assess_cases`, `assess`, `publish`, `reporting` | the case store cannot be reached or is locked | check the database; clear the task |
| `reconcile` | something that came in is not accounted for, or a canary failed | read the report before anyone works the queue |

Emits the assets `referrals` (after ingest) and `case_queue` (after reconciliation). Tasks pass names of work, never
personal data.
"""

from __future__ import annotations

from airflow.sdk import Asset, Metadata, TaskGroup, dag, task

from pipeline.night import stages as nightly
from pipeline.night.orchestration import LONG_STAGE, SINGLE_WRITER
from tasks.every import EVERY_DAG
from tasks.queue import RUN, RUN_PARAMS, begin, queue_after, take_turn

REFERRALS = Asset("referrals", uri="triage://referrals")


@dag(
    schedule="0 1 * * *",
    doc_md=__doc__,
    params=RUN_PARAMS,
    **EVERY_DAG,
)
def nightly_triage() -> None:
    @task
    def plan_digest(run: str) -> list[list[str]]:
        return nightly.plan("digest", run)

    @task(**LONG_STAGE)
    def digest(run: str, shards: list[str]) -> None:
        nightly.bundle("digest", run, shards)

    @task(outlets=[REFERRALS], trigger_rule="none_failed", **SINGLE_WRITER)
    def ingest(run: str):
        report = nightly.stage("ingest", run)
        yield Metadata(REFERRALS, {"run": run, "packages": report["read"]})

    @task
    def plan_fingerprint(run: str) -> list[list[str]]:
        return nightly.plan("fingerprint", run)

    @task(**LONG_STAGE)
    def fingerprint(run: str, shards: list[str]) -> None:
        nightly.bundle("fingerprint", run, shards)

    @task(trigger_rule="none_failed")
    def plan_match(run: str) -> list[list[str]]:
        return nightly.plan("match", run)

    @task(**LONG_STAGE)
    def match(run: str, shards: list[str]) -> None:
        nightly.bundle("match", run, shards)

    @task(trigger_rule="none_failed", **SINGLE_WRITER)
    def flood(run: str) -> None:
        nightly.stage("flood", run)

    with TaskGroup("arrival", prefix_group_id=False, tooltip="Digests of a large night in shards, then all packages"):
        digest_shards = plan_digest(RUN)
        arrived = ingest(RUN)
        digest.partial(run=RUN).expand(shards=digest_shards) >> arrived
    with TaskGroup("fingerprinting", prefix_group_id=False, tooltip="What came in, in shards"):
        fingerprint_shards = plan_fingerprint(RUN)
        fingerprinted = fingerprint.partial(run=RUN).expand(shards=fingerprint_shards)
    with TaskGroup("matching", prefix_group_id=False, tooltip="Against the release of known hashes"):
        match_shards = plan_match(RUN)
        matched = match.partial(run=RUN).expand(shards=match_shards)
        last = flood(RUN)
    begin() >> take_turn() >> digest_shards
    arrived >> fingerprint_shards
    fingerprinted >> match_shards
    matched >> last
    queue_after(last)


nightly_triage()
