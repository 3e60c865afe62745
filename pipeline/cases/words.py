"""Words of codes, as a case's history and its pages say them. Columns keep the codes; what a person reads is made here.

The words of reasons are the policy's (policy/cases.yaml), so that a decision record says what its form said.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pipeline.store.rules import CaseRules

DECIDED = {
    "start_enquiry": "Enquiry started",
    "request_information": "Information asked for",
    "close": "Closed",
    "reopen": "Reopened",
    "raise_band": "Band raised",
    "lower_band": "Band lowered",
    "refuse_lowering": "Lowering refused",
    "transfer": "Offered to another force",
    "accept_transfer": "Taken by the other force",
    "take_back": "Taken back from the other force",
    "retain": "Kept at its retention review",
}
"""What was decided, by the kind of a Decision row."""

_OF_A_HOLDER = re.compile(
    r"(Claimed by |Allocated to |Claim of |Taken over from )([^\s,]+)( lapsed|, who may not see it)?"
)
"""Lines of a history that name an account: a claim, an allocation to a person, a claim that lapsed or was taken away."""

_REASONS_OF = {"accept_transfer": "transfer", "take_back": "transfer"}
"""Kinds of decisions whose reason is of another kind's list."""


def band(code: str) -> str:
    """A band as it is written everywhere: "Very high", "High", "Medium", "Low"."""
    return code.replace("_", " ").capitalize()


def reason(policy: CaseRules, kind: str, code: str | None) -> str:
    """The words of a reason code of this kind of decision; of a code that the policy no longer has, the code as words."""
    if code is None:
        return ""
    known: dict[str, str] = policy.data["reasons"].get(_REASONS_OF.get(kind, kind), {})
    return known.get(code) or code.replace("_", " ").capitalize()


def outcome(policy: CaseRules, code: str) -> str:
    """The words of an outcome with which a case is closed; of a code that the policy no longer has, the code as words."""
    label: str | None = policy.data["outcomes"].get(code, {}).get("label")
    return label or code.replace("_", " ").capitalize()


def any_reason(policy: CaseRules, code: str | None) -> str:
    """The words of a reason of whatever kind, as the audit log has them: a code of the policy, or what a person wrote."""
    lists: list[dict[str, str]] = list(policy.data["reasons"].values())
    return next((known[code] for known in lists if code in known), code or "")


def changed(kind: str, text: str, person: Callable[[str], str]) -> str:
    """A line of a history as a person reads it. The line keeps the account of whom it is about; `person` gives the name."""
    found = _OF_A_HOLDER.fullmatch(text) if kind in {"claim", "released"} else None
    return f"{found[1]}{person(found[2])}{found[3] or ''}" if found else text


def decided(policy: CaseRules, kind: str, code: str) -> str:
    """A decision in one line: "Band lowered: A stated fact was disproved"."""
    return f"{DECIDED.get(kind) or kind.replace('_', ' ').capitalize()}: {reason(policy, kind, code)}"
