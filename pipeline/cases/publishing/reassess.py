"""A case assessed anew at once, because somebody has answered a question about it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.assess.evidence import answers, reading
from pipeline.assess.evidence.inputs import CaseFile
from pipeline.assess.models.model import Model
from pipeline.cases.publishing import answered
from pipeline.cases.publishing.cases import Publisher
from pipeline.cases.publishing.intake import Intake
from pipeline.contract import Night
from pipeline.errors import UsageError
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules, store
from pipeline.store.tables import Assessment, Case, CaseReferral


def case(session: Session, actor: Actor, current: Case) -> bool:
    """Assess the case with every answer that holds, and apply the result as a night's would be: a raise takes effect at
    once, a lower assessment waits for two people. Returns whether the assessment differs from the one before.

    Raises UsageError where nothing is left to assess it from.
    """
    session.flush()
    newest = session.get_one(Assessment, current.assessment_id)
    file = answers.restored(newest.inputs, current.case_id) or _from_lake(session, current)
    ids = answered.of(current.case_id, file.referrals)
    held = answers.held(row for listed in answered.rows(session, ids).values() for row in listed)
    new = answered.assessed(session, file, held, newest, Night(newest.run_id, now(session)))
    if new.row["inputs_sha256"] == newest.inputs_sha256:
        return False
    intake = Intake(compartments=_compartments(session))
    publisher = Publisher(session, rules(session), intake, now(session), newest.run_id)
    publisher.apply([new])
    publisher.finish()
    current.changed_by = actor.user_id
    return True


def _from_lake(session: Session, current: Case) -> CaseFile:
    """The case file of an assessment that an older version made, which did not keep it."""
    settings = store(session).settings
    found = next(reading.cases(settings, Model.load(settings), only=current.case_id), None)
    if found is None:
        raise UsageError(f"Case {current.case_id} has no referral in the lake.", "Wait for the next night's run.")
    return found


def _compartments(session: Session) -> dict[str, str]:
    """Compartment of every referral of a restricted case."""
    query = (
        select(CaseReferral.referral_id, Case.compartment)
        .join(Case, Case.case_id == CaseReferral.case_id)
        .where(Case.compartment.is_not(None))
    )
    return {referral: str(compartment) for referral, compartment in session.execute(query)}
