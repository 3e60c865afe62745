"""The night's assess stage with what people have answered: their answers go to the lake first, then cases are assessed.

The assess room knows no case store; this stands above both.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import select

from pipeline import records
from pipeline.assess import stage
from pipeline.assess.evidence import answers
from pipeline.cases.publishing import answered
from pipeline.contract import Night, StageReport
from pipeline.lake import Lake
from pipeline.settings import Settings
from pipeline.store.opening import open_store
from pipeline.store.tables import RecordedAnswer


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """Take over the answers, then link and assess (`pipeline/assess/stage.py`). Counts the answers taken over.

    Raises DependencyError when the case store cannot be reached.
    """
    taken = take_over(settings, night)
    report = stage.run(settings, night, shard)
    report.counts["answers"] = taken
    return report


def take_over(settings: Settings, night: Night) -> int:
    """Write answers that the lake does not hold yet to its table `answers`; returns how many."""
    lake = Lake.of(settings)
    known = set(lake.read(answers.TABLE, ["answer_id"])["answer_id"].to_pylist())
    store = open_store(settings)
    try:
        with store.reader() as session:
            found = [
                answered.as_row(row)
                for row in session.scalars(select(RecordedAnswer).order_by(RecordedAnswer.answer_id))
            ]
    finally:
        store.close()
    new = [row | {"run_id": night.run_id} for row in found if row["answer_id"] not in known]
    if new:
        name = hashlib.sha256(repr([row["answer_id"] for row in new]).encode()).hexdigest()[:16]
        table = records.build(answers.TABLE, new)
        lake.commit(answers.TABLE, f"{night.run_id}-{name}", {answers.TABLE: table}, run_id=night.run_id)
    return len(new)
