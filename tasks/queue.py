"""What the DAGs share: how a run begins, and the way from matches to a reconciled queue. Not a DAG itself.

begin >> ... what a DAG is for ... >> assess >> publish >> reporting >> reconcile
"""

from __future__ import annotations

from airflow.sdk import Asset, Metadata, task

from pipeline.night import stages as nightly
from pipeline.night.orchestration import SINGLE_WRITER

CASE_QUEUE = Asset("case_queue", uri="triage://case_queue")
"""Written when a queue was published and everything is accounted for."""


@task(show_return_value_in_logs=False)
def begin(params: dict[str, str | None] | None = None) -> str:
    """Start the run that the parameters name, or tonight's; returns its name, which is all that tasks hand on."""
    given = params or {}
    return nightly.begin(given.get("run_id"), given.get("as_of"))


@task(**SINGLE_WRITER)
def assess(run: str) -> None:
    nightly.stage("assess", run)


@task(**SINGLE_WRITER)
def publish(run: str) -> None:
    nightly.stage("publish", run)


@task(**SINGLE_WRITER)
def reporting(run: str) -> None:
    nightly.stage("reporting", run)


@task(outlets=[CASE_QUEUE])
def reconcile(run: str):
    report = nightly.stage("reconcile", run)
    yield Metadata(CASE_QUEUE, {"run": run, "checks": report["read"]})


def queue_after(last, run: str) -> None:
    """Assess, publish, report and reconcile, in this order, after the task `last` of the DAG at hand."""
    last >> assess(run) >> publish(run) >> reporting(run) >> reconcile(run)
