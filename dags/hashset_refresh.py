"""
# hashset_refresh: a new release of the known-hash store

Runs when files appear in `landing/hashsets/<source>/` (an asset watcher in the triggerer looks every 30 seconds), or by
hand. Imports every new file, builds the next release beside the current one, verifies it (counts, checksums, canaries),
computes what it changes, and publishes it by switching the pointer. Emits the asset `known_hashes`, on which `retro_match` runs.

**Approval.** A release that changes more than `approval` in `policy/hashsets.yaml` lets pass (withdrawn, new and recategorised
media, cases that would move to another band) waits at `approve` for a named person: *Required actions* has the page of the
difference and asks for a reason. Smaller ones pass by themselves. Nothing waits for it but this DAG, for seven days.

**When it fails.** The current release stays in use. Every task may be run again: clear it, or trigger the DAG with the
same `run_id` parameter; what was imported is not imported again.

| task | what a failure means | what to do |
|---|---|---|
| `begin` | no space left, or a setting or policy file is wrong | the message names it |
| `import_files` | a file cannot be read or its source is not declared: it fails as a whole and changes nothing | `triage hashset rejects` says where and why; put a sound file in its place, clear the task |
| `build` | the new release did not verify, or another build holds the lock | read the message; clear the task |
| `approve` | nobody answered for seven days; the release still waits | clear the task, or `triage hashset approve` |
| `take_turn` | a night or a retro-match had the turn to write for twelve hours | see that run; `triage night turn` says which |
| `publish_release` | the release is damaged: nothing was published | read the message; clear the run from `build` on |
"""

from __future__ import annotations

from airflow.sdk import Asset, AssetWatcher, Metadata, TaskGroup, dag, task

from pipeline.night import marks
from pipeline.night import stages as nightly
from pipeline.night.orchestration import APPROVAL_LIMIT, SINGLE_WRITER
from pipeline.settings import Settings
from tasks.approving import approve
from tasks.every import EVERY_DAG
from tasks.known import KNOWN_HASHES, announced
from tasks.queue import RUN, RUN_PARAMS, begin, nothing_new, take_turn
from triggers.landing import LandingTrigger, look

LANDING = Settings.load().landing_dir.resolve() / "hashsets"
FILES = Asset(
    "hashset_files",
    uri="triage://hashset_files",
    watchers=[
        AssetWatcher(name="hashset_landing", trigger=LandingTrigger(str(LANDING), mark=marks.HASHSET_LANDING)),
    ],
)


@dag(
    schedule=[FILES],
    doc_md=__doc__,
    params=RUN_PARAMS,
    **{**EVERY_DAG, "dagrun_timeout": APPROVAL_LIMIT},
)
def hashset_refresh() -> None:
    @task(**SINGLE_WRITER)
    def import_files(run: str) -> None:
        found, _ = look(LANDING)
        nightly.stage("hashset_import", run)
        marks.put(Settings.load(), marks.HASHSET_LANDING, found)

    @task(**SINGLE_WRITER)
    def build(run: str) -> None:
        nightly.stage("hashset_build", run)

    @task(outlets=[KNOWN_HASHES], **SINGLE_WRITER)
    def publish_release(run: str):
        report = nightly.stage("hashset_release", run)
        if not report["counts"]["published"]:
            nothing_new("No release was published.")
        announced(Settings.load())
        yield Metadata(KNOWN_HASHES, {"run": run, **report["counts"]})

    prepared = import_files(RUN)
    with TaskGroup("release", prefix_group_id=False, tooltip="Built, approved where it changes much, published"):
        prepared >> build(RUN) >> approve(RUN) >> take_turn() >> publish_release(RUN)
    begin() >> prepared


hashset_refresh()
