"""How Airflow repeats a failed task: what may pass (a database away, a full disk) is tried again for half an hour, what cannot
pass by itself (policy, settings, damaged data, counts that differ) fails at once, so that somebody is told at once.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from pipeline.errors import InputError, IntegrityError, PermissionDeniedError, ReconciliationError, UsageError
from pipeline.night.orchestration import EVERY_STAGE

LASTING = [UsageError, IntegrityError, ReconciliationError, InputError, PermissionDeniedError]
"""Errors that a repeat meets again."""

EVERY_TASK: dict[str, Any] = {
    **EVERY_STAGE,
    "retry_policy": ExceptionRetryPolicy(
        rules=[RetryRule(exception=LASTING, action=RetryAction.FAIL, reason="it cannot pass by itself")]
    ),
}
"""Arguments of every task of every DAG."""
