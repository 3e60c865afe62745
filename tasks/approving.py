"""The task at which a release waits for a person (`pipeline/approval/`), where its difference exceeds the policy."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from airflow.sdk.execution_time.hitl import HITLUser

from hashsets import sources
from hashsets.release import approving
from pipeline import contract as nights
from pipeline.approval import deciding, judging
from pipeline.approval.page import page, subject
from pipeline.night import sharing
from pipeline.night.orchestration import ANSWER_WITHIN
from pipeline.settings import Settings
from pipeline.store.actors import Actor
from pipeline.store.opening import open_store

FORM = {"reason": Param("", type="string", title="Reason", description="Kept with the decision in the audit log.")}


class ApproveRelease(ApprovalOperator):
    """Asks for a person's word where the release of a run waits, with the page of its difference; otherwise passes at once.

    A refusal skips what follows. Both are kept with the person's name, time and reason, and logged.
    """

    template_fields = ("run",)

    def __init__(self, *, run: str, **kwargs: Any) -> None:
        super().__init__(subject="Publish a known-hash release?", **kwargs)
        self.run = run

    def execute(self, context: Any) -> Any:
        """Wait, or return at once where nothing waits; a release that was refused before is asked about again."""
        settings = Settings.load()
        with sharing.of_stage(settings, "hashset_build", self.run):
            found = judging.judge(settings, nights.load(settings, self.run))
        if found is None or found.state in approving.PUBLISHABLE:
            return None
        self.subject, self.body = subject(found), page(found)
        users = sources.load(settings).approvers
        self.assigned_users = [HITLUser(id=u["id"], name=u["name"]) for u in users] or None
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Keep and log the answer, then go on or skip the rest."""
        if "error" not in event:
            with sharing.of_stage(Settings.load(), "hashset_build", self.run):
                self._decide(event)
        return super().execute_complete(context, event)

    def _decide(self, event: dict[str, Any]) -> None:
        settings = Settings.load()
        found = deciding.open_one(settings)
        if found is None:  # by command meanwhile, and published
            return
        user = event["responded_by_user"]
        name = str(user.get("name") or user["id"])
        actor = Actor(f"airflow:{user['id']}", name, frozenset())
        approved = event["chosen_options"] == [self.APPROVE]
        reason = str((event["params_input"] or {}).get("reason") or "").strip() or "given in Airflow without a reason"
        store = open_store(settings)
        try:
            deciding.decide(store, actor, found.release, approved, reason, by_airflow=True)
        finally:
            store.close()


def approve(run: str) -> ApproveRelease:
    """The task that waits for a person where the release of `run` needs one."""
    return ApproveRelease(task_id="approve", run=run, params=FORM, response_timeout=ANSWER_WITHIN)
