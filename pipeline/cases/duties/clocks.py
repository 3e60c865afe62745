"""policy/escalation.yaml as an object: who a flag is brought to, and within how many minutes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline import policy
from pipeline.errors import SettingsError
from pipeline.settings import Settings


@dataclass(frozen=True)
class Duty:
    """Whom one flag is brought to: the role, the name of the post in this force, and the time there is for it."""

    role: str
    post: str
    within: timedelta

    def due(self, raised_at: datetime) -> datetime:
        """The moment by which the recipient must have been told."""
        return raised_at + self.within


@dataclass(frozen=True)
class Clocks:
    """The duty of every escalation rule; `otherwise` is that of a rule which the model no longer has."""

    rules: dict[str, Duty]
    otherwise: Duty

    @classmethod
    def load(cls, settings: Settings) -> Clocks:
        """Raises SettingsError when the file breaks its schema, or when it and the risk model do not name the same rules:
        a flag that nobody is told of must not come into being unnoticed."""
        data = policy.load(settings, "escalation").data
        model = {rule["id"] for rule in policy.load(settings, "risk-model").data["escalation"]}
        faults = [f"{name} has no recipient and no clock" for name in sorted(model - set(data["rules"]))]
        faults += [f"the risk model has no escalation rule {name}" for name in sorted(set(data["rules"]) - model)]
        duties = {"otherwise": data["otherwise"], **data["rules"]}
        unknown = sorted({d["recipient"] for d in duties.values()} - set(data["recipients"]))
        faults += [f"{name} is none of its recipients" for name in unknown]
        if faults:
            raise SettingsError(f"Policy file escalation.yaml: {'; '.join(faults)}.")
        people = data["recipients"]
        found = {
            name: Duty(people[d["recipient"]]["role"], people[d["recipient"]]["post"], timedelta(minutes=d["minutes"]))
            for name, d in duties.items()
        }
        return cls(found, found.pop("otherwise"))

    def of(self, rule: str) -> Duty:
        """The duty of a rule."""
        return self.rules.get(rule, self.otherwise)
