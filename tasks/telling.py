"""What Airflow does when a DAG run has failed: an alarm is raised, of which the watch tells people."""

from __future__ import annotations

from typing import Any

from pipeline.night import naming
from pipeline.settings import Settings
from pipeline.store.opening import open_store
from pipeline.watch import watching


def run_failed(context: Any) -> None:
    """A DAG's `on_failure_callback`: names of the run, the DAG and the tasks, nothing else."""
    dag_run = context["dag_run"]
    given = (dag_run.conf or {}).get("run_id")
    name = given or naming.run_name(dag_run.dag_id, dag_run.run_id, str(dag_run.run_type), dag_run.logical_date)
    instance = context.get("ti") or context.get("task_instance")
    failed = [instance.task_id] if instance is not None else []
    store = open_store(Settings.load())
    try:
        watching.run_failed(store, name, dag_run.dag_id, failed)
    finally:
        store.close()
