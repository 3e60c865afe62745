"""What the DAGs share: how a run begins, and the way from matches to a reconciled queue. Not a DAG itself.

begin >> ... what a DAG is for ... >> plan_assess >> assess_cases (mapped, in a large night) >> assess >> publish >> reporting >> reconcile
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NoReturn

from airflow.sdk import Asset, Metadata, Param, TaskGroup, task
from airflow.sdk.exceptions import AirflowSkipException

from pipeline.night import naming
from pipeline.night import stages as nightly
from pipeline.night.orchestration import LONG_STAGE, SINGLE_WRITER, TURN
from tasks.turn import TakeTurn

CASE_QUEUE = Asset("case_queue", uri="triage://case_queue")
"""Written when a queue was published and everything is accounted for."""


RUN_PARAMS = {
    "run_id": Param(
        None, type=["null", "string"], description="Name of the run to start or take up. Default: this DAG run's own."
    ),
    "as_of": Param(
        None,
        type=["null", "string"],
        description="Clock of the run, ISO 8601, also for what it sees. Default: when the DAG run began.",
    ),
}
"""Parameters of every DAG."""


@task(show_return_value_in_logs=False)
def begin(params: dict[str, str | None] | None = None, dag_run=None) -> str:
    """Start the run that belongs to this DAG run, or take it up; returns its name, which is all that tasks hand on."""
    given = params or {}
    name = given.get("run_id") or naming.run_name(
        dag_run.dag_id, dag_run.run_id, str(dag_run.run_type), dag_run.logical_date
    )
    began = dag_run.start_date or datetime.now(UTC)
    return nightly.begin(name, given.get("as_of"), began.astimezone(UTC).replace(microsecond=0))


RUN = "{{ ti.xcom_pull(task_ids='begin') }}"
"""The name that `begin` gave, for the tasks after it: as text that Airflow fills in when a task starts. The value itself would draw an
arrow from `begin` to every task."""


def take_turn() -> TakeTurn:
    """The task that waits for this run's turn to write the queue."""
    return TakeTurn(task_id="take_turn", run=RUN, **TURN)


def nothing_new(why: str) -> NoReturn:
    """End a task without its asset event: what depends on it is not started."""
    raise AirflowSkipException(why)


@task(**SINGLE_WRITER)
def plan_assess(run: str) -> list[list[str]]:
    return nightly.plan("assess_cases", run)


@task(**LONG_STAGE)
def assess_cases(run: str, shards: list[str]) -> None:
    nightly.bundle("assess_cases", run, shards)


@task(trigger_rule="none_failed", **SINGLE_WRITER)
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


def queue_after(last) -> None:
    """Assess, publish, report and reconcile, in this order and as one group, after the task `last` of the DAG at hand."""
    with TaskGroup("queue", prefix_group_id=False, tooltip="From matches to a reconciled queue"):
        shards = plan_assess(RUN)
        assessed = assess_cases.partial(run=RUN).expand(shards=shards)
        last >> shards
        assessed >> assess(RUN) >> publish(RUN) >> reporting(RUN) >> reconcile(RUN)
