"""policy/cases.yaml as an object: claim expiry, review intervals, reason codes, lockout, retention."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pipeline import policy
from pipeline.errors import UsageError
from pipeline.settings import Settings


@dataclass(frozen=True)
class CaseRules:
    """The rules of work on cases. `data` is the validated policy file. `target_hours` of each band are the risk model's
    (policy/risk-model.yaml): a band that a person sets has the target that the model gives it."""

    version: str
    data: dict[str, Any]
    target_hours: dict[str, float]

    @classmethod
    def load(cls, settings: Settings) -> CaseRules:
        """Raises SettingsError when policy/cases.yaml or policy/risk-model.yaml breaks its schema."""
        loaded, model = policy.load(settings, "cases"), policy.load(settings, "risk-model")
        return cls(loaded.version, loaded.data, {b["band"]: float(b["hours"]) for b in model.data["bands"]})

    def reason(self, kind: str, code: str | None) -> str:
        """The code, if it may be given for this kind. Raises UsageError naming those that may."""
        known = self.data["reasons"][kind]
        if not code:
            raise UsageError("Choose a reason.", f"Reasons: {', '.join(sorted(known))}.")
        if code not in known:
            raise UsageError(
                f"{code!r} is not a reason for {kind.replace('_', ' ')}.", f"Reasons: {', '.join(sorted(known))}."
            )
        return code

    def reasons(self, kind: str) -> dict[str, str]:
        """Reason codes of a kind with the words shown."""
        return dict(self.data["reasons"][kind])

    def outcome(self, code: str | None) -> str:
        """The outcome code of a closed case. Raises UsageError naming those that exist."""
        if code is None or code not in self.data["outcomes"]:
            fault = f"{code!r} is not an outcome." if code else "Choose the outcome with which the case is closed."
            raise UsageError(fault, f"Outcomes: {', '.join(sorted(self.data['outcomes']))}.")
        return code

    def consultation_reason(self, where: str, reason: str | None) -> str | None:
        """The reason given for a look. `where`: case, text, lookup or export.

        Raises UsageError when the policy demands one and none was given.
        """
        stripped = (reason or "").strip() or None
        if stripped is None and self.data["consultation"]["reason_required"][where]:
            raise UsageError("A reason is needed for this look.", "Give one; it is kept in the audit log.")
        return stripped

    @property
    def claim_time(self) -> timedelta:
        return timedelta(hours=self.data["claims"]["expire_hours"])


def add_months(moment: datetime, months: int) -> datetime:
    """The same day of the month `months` later, or the month's last day where there is none (31 January + 1 = 28 February)."""
    index = moment.month - 1 + months
    year, month = moment.year + index // 12, index % 12 + 1
    for day in range(moment.day, 27, -1):
        try:
            return moment.replace(year=year, month=month, day=day)
        except ValueError:
            continue
    return moment.replace(year=year, month=month)
