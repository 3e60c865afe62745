"""KIRAT results, entered by a person who did the assessment with the licensed tool. Never computed or imitated here.

A level raises the band at once to what the policy sets beside it (kirat/raises_to), and never lowers one. A level that
contradicts the band in force asks for a second look; which difference counts is policy.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy.orm import Session

from pipeline.cases import cases, words
from pipeline.cases.work import bands, second_looks
from pipeline.errors import UsageError
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.rules import CaseRules
from pipeline.store.tables import Case, Kirat


def enter(
    session: Session,
    actor: Actor,
    case_id: str,
    *,
    level: str,
    tool_version: str,
    assessor: str,
    assessed_on: date,
    version: int,
) -> Kirat:
    """Enter a KIRAT level (very_high, high, medium, low), the tool's version, who assessed and on which day.

    Raises UsageError for an unknown level, an empty field or a day that has not come.
    """
    case = cases.for_change(session, actor, case_id, "case.kirat", version)
    bands.order(level)
    tool, who = tool_version.strip(), assessor.strip()
    if not tool or not who:
        raise UsageError("A KIRAT entry needs the tool's version and the assessor.")
    if assessed_on > now(session).date():
        raise UsageError("The assessment's day lies in the future.")
    row = Kirat(
        case_id=case_id,
        level=level,
        tool_version=tool,
        assessor=who,
        assessed_on=assessed_on,
        entered_at=now(session),
        entered_by=actor.user_id,
    )
    session.add(row)
    case.kirat_level = level
    cases.changed(session, actor, case, "kirat", f"KIRAT level {words.band(level)} entered")
    audit.record(session, actor, "alteration", "kirat.entered", case_id=case_id, detail={"level": level})
    least = rules(session).data["kirat"]["raises_to"][level]
    if case.is_open and least is not None and bands.higher(least, case.band):
        bands.raise_to(
            session, actor, case, least, code="kirat_higher", note=f"KIRAT level {words.band(level)} by {who}"
        )
    text = contradiction(rules(session), case)
    if text is not None:
        second_looks.ask(session, actor, case, "kirat", text)
    return row


def contradiction(policy: CaseRules, case: Case) -> str | None:
    """How the entered level and the band in force contradict each other, in words; None if they do not."""
    if case.kirat_level is None:
        return None
    limits = policy.data["supervision"]["second_look"]
    below = bands.order(case.kirat_level) - case.band_order
    if below >= limits["kirat_lower_by"]:
        return f"KIRAT {words.band(case.kirat_level)} lies below the band {words.band(case.band)}"
    if -below >= limits["kirat_higher_by"]:
        return f"KIRAT {words.band(case.kirat_level)} lies above the band {words.band(case.band)}"
    return None
