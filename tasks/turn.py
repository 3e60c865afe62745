"""The task that waits until no other run writes the queue (`pipeline/night/turns.py`)."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseSensorOperator

from pipeline.night import turns
from pipeline.settings import Settings


class TakeTurn(BaseSensorOperator):
    """Takes the turn for a run, which keeps it to its end. Who has it now is asked of Airflow: a DAG run that has ended, or is no
    longer known, holds nobody up.
    """

    template_fields = ("run",)

    def __init__(self, *, run: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run = run

    def poke(self, context: Any) -> bool:
        """Whether it is this run's turn now."""
        dag_run, instance = context["dag_run"], context["ti"]
        holder = turns.Holder(self.run, dag_run.dag_id, dag_run.run_id)

        def state(other: turns.Holder) -> str:
            if not other.dag_run:
                return turns.process_state(other)
            found = instance.get_dagrun_state(other.dag, other.dag_run)
            return str(getattr(found, "value", found))  # Airflow gives a word, or a member of an enumeration

        other = turns.take(Settings.load(), holder, state)
        if other is not None:
            turns.waits(holder, other)
        return other is None
