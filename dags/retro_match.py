"""
# retro_match: what a new release changes about the past

Runs when `known_hashes` changes: after `hashset_refresh`, and within a minute after a release was published by command. Matches only what is new, withdrawn or re-graded in the release against all past
fingerprints, sets aside a new known hash that comes near to an implausible share of them, assesses the cases touched
again and puts them back in the queue with the reason. Media is not hashed again; near candidates are refined where the
media is still in place and are otherwise marked as unrefined leads.

**When it fails.** Every task may be run again: clear it. A pair of releases that is done is not done again.
`triage status` says what ran and what needs you.

| task | what a failure means | what to do |
|---|---|---|
| `begin` | no space left, or a setting or policy file is wrong | the message names it |
| `match_delta` | the release is damaged, or a canary was missed: nothing was kept | `triage hashset verify`; publish a sound release; clear the task |
| `take_turn` | a night had the turn to write the queue for twelve hours, or failed and keeps it | see that run; `triage night turn` says which |
| `flood_guard` | the lake or the matching policy cannot be read | the message names the file; clear the task |
| `plan_assess`, `assess_cases`, `assess`, `publish`, `reporting` | the case store cannot be reached or is locked | check the database; clear the task |
| `reconcile` | something is not accounted for, or a canary failed | read the report before anyone works the queue |
"""

from __future__ import annotations

from airflow.sdk import dag, task

from pipeline.night import stages as nightly
from pipeline.night.orchestration import LONG_STAGE, SINGLE_WRITER
from pipeline.settings import Settings
from tasks.every import EVERY_DAG
from tasks.known import KNOWN_HASHES, announced
from tasks.queue import RUN, RUN_PARAMS, begin, queue_after, take_turn


@dag(
    schedule=[KNOWN_HASHES],
    doc_md=__doc__,
    params=RUN_PARAMS,
    **EVERY_DAG,
)
def retro_match() -> None:
    @task(**LONG_STAGE)
    def match_delta(run: str) -> None:
        nightly.stage("retro_match", run)
        announced(Settings.load())

    @task(**SINGLE_WRITER)
    def flood_guard(run: str) -> None:
        nightly.stage("flood", run)

    last = flood_guard(RUN)
    begin() >> match_delta(RUN) >> take_turn() >> last
    queue_after(last)


retro_match()
