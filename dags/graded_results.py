"""
# graded_results: what the force's own grading says of a case's files

Runs within seconds after somebody sent graded results in the console (a watcher in the triggerer asks the case store), or by hand.
Takes each upload into the known-hash store as the force's own opinion, builds and publishes a release, matches the case's
files, assesses the case and publishes it, in the name of the person who sent it; then the reporting tables and the
reconciliation. Other cases follow with `retro_match`, as after every release.

**When it fails.** Nothing of the upload is lost: it waits in the case store and the next run takes it. One that cannot be
attached is refused, and its sender is told why. While a night has the turn to write the queue uploads wait, and start this
when it has ended; while a release waits for a person's approval they are tried again every ten minutes.

| task | what a failure means | what to do |
|---|---|---|
| `begin` | no space left, or a setting or policy file is wrong | the message names it |
| `attach` | the known-hash store or the lake is damaged, or the case store is away | the message names it; clear the task |
| `reporting` | the case store cannot be reached or is locked | check the database; clear the task |
| `reconcile` | something is not accounted for | read the report before anyone works the queue |
"""

from __future__ import annotations

from airflow.sdk import Asset, AssetWatcher, dag, task

from pipeline.night import stages as nightly
from pipeline.night.orchestration import SINGLE_WRITER
from tasks.every import EVERY_DAG
from tasks.queue import RUN, RUN_PARAMS, begin, nothing_new, reconcile, reporting
from triggers.uploads import UploadTrigger

UPLOADS = Asset(
    "graded_uploads", uri="triage://graded_uploads", watchers=[AssetWatcher(name="uploads", trigger=UploadTrigger())]
)


@dag(schedule=[UPLOADS], doc_md=__doc__, params=RUN_PARAMS, **EVERY_DAG)
def graded_results() -> None:
    @task(**SINGLE_WRITER)
    def attach(run: str) -> None:
        if not nightly.stage("graded_uploads", run)["kept"]:
            nothing_new("Nothing was attached.")

    begin() >> attach(RUN) >> reporting(RUN) >> reconcile(RUN)


graded_results()
