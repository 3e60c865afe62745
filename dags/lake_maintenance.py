"""
# lake_maintenance: few large files instead of many small ones

Runs on Sundays at 12:00, London time, or by hand. Empties what the lake still holds of erased cases. Merges the small files that a week's nights have written, and removes those
that were merged away longer ago than policy/lake.yaml keeps snapshots. It never stands in a night's way: readers keep the
files that they opened, and a writer that was first is waited for by nobody. No row but the erased ones changes.

**When it fails.** Nothing is lost and nothing is half done: readers go by the last finished step. Clear the task.

| task | what a failure means | what to do |
|---|---|---|
| `erase` | as `merge`, or the case store cannot be reached | mend it, clear the task; doing it again changes nothing |
| `merge` | a file is not what was written, the disk is full, or the object store cannot be reached | the message says which; mend it, clear the task |
"""

from __future__ import annotations

from airflow.sdk import dag, get_current_context, task

from pipeline.lake import upkeep
from pipeline.night import erasing, sharing
from pipeline.settings import Settings
from tasks.every import EVERY_DAG


@dag(
    schedule="0 12 * * 0",
    doc_md=__doc__,
    **EVERY_DAG,
)
def lake_maintenance() -> None:
    @task
    def merge() -> dict[str, int]:
        return upkeep.maintain(Settings.load(), f"maintenance-{get_current_context()['ts_nodash'][:15]}")

    @task
    def erase() -> dict[str, int]:
        settings = Settings.load()
        with sharing.of_stage(settings, "erase", ""):
            return erasing.erase(settings, f"erasure-{get_current_context()['ts_nodash'][:15]}").counts

    erase() >> merge()


lake_maintenance()
