"""Assessments with what people have answered meanwhile: the same engine, over the case file that the night assembled.

Between two nights an answer changes an assessment at once (`reassess`); and a night's assessment that was made before
an answer was given is brought up to date when it is published (`renewed`), so that no night takes an answer back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline import bulk
from pipeline.assess.evidence import answers
from pipeline.assess.evidence.case_file import case_id
from pipeline.assess.evidence.inputs import FORCE_NOT_SET, CaseFile
from pipeline.assess.models.model import Model
from pipeline.assess.rows import Inputs, Previous, encode, row_of, transfer_to
from pipeline.cases.publishing.intake import NewAssessment
from pipeline.contract import Night
from pipeline.ingest.geography import forces
from pipeline.store.context import store
from pipeline.store.tables import Assessment, RecordedAnswer

CHUNK = 500
"""Ids in one IN list."""


def rows(session: Session, cases: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Every answer given for these cases, by case, as `answers.held` reads them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for start in range(0, len(cases), CHUNK):
        for row in session.scalars(
            select(RecordedAnswer).where(bulk.one_of(session, RecordedAnswer.case_id, cases[start : start + CHUNK]))
        ):
            found.setdefault(row.case_id, []).append(as_row(row))
    return found


def as_row(row: RecordedAnswer) -> dict[str, Any]:
    """An answer as schemas/records/answers.json has it, without the run."""
    return {
        "answer_id": row.answer_id,
        "case_id": row.case_id,
        "fact": row.fact,
        "value": row.value,
        "source": row.source,
        "found_on": row.found_on.isoformat(),
    }


def of(case: str, referrals: Iterable[str]) -> list[str]:
    """The case's own number and those of the cases that have joined it: answers given for any of them hold."""
    return sorted({case, *map(case_id, referrals)})


def renewed(
    session: Session,
    new: NewAssessment,
    previous: Assessment | None,
    given: Mapping[str, Sequence[Mapping[str, Any]]],
) -> NewAssessment:
    """The assessment, made again if it does not know every answer of its case. `given` as `rows` returns them."""
    if not given and previous is None:
        return new
    listed = [row for name in of(new.row["case_id"], new.referrals) for row in given.get(name, ())]
    if not listed:
        return new
    held = answers.held(listed)
    file = answers.restored(new.row.get("inputs"), new.row["case_id"])
    if file is None or encode(file.answers) == encode(held):
        return new
    night = Night(new.row["run_id"], new.assessed_at)
    return assessed(session, file, held, previous, night)


def assessed(
    session: Session, file: CaseFile, held: Mapping[str, Any], previous: Assessment | None, night: Night
) -> NewAssessment:
    """The case file assessed with these answers by the risk model in force, as a night's row is."""
    settings = store(session).settings
    model = Model.load(settings)
    answers.lay_over(file, held)
    transfer = transfer_to(file, settings)
    names = {} if settings.force == FORCE_NOT_SET else forces.load(settings).names
    before = None if previous is None else _previous(previous)
    row = row_of(
        file,
        model.assess(file),
        Inputs.of(file, model, transfer),
        transfer,
        before,
        model=model,
        night=night,
        forces=names,
        origin=" answered",
    )
    return NewAssessment.parse(row)


def _previous(row: Assessment) -> Previous:
    def texts() -> tuple[str, str]:
        return encode(row.reasons).decode(), encode(row.flags).decode()

    return Previous(row.sequence, row.band, row.score, row.inputs_sha256, texts)
