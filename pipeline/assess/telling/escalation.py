"""Immediate escalation and notifications: rules over the answers that hold whatever the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.assess.evidence.inputs import Answer, EvidenceRow

EVIDENCE = 5
"""Evidence rows listed with one flag."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Fires when one feature of `any` is yes and every one of `all` is too."""

    id: str
    label: str
    reason: str
    any: tuple[str, ...]
    all: tuple[str, ...]
    places: tuple[str, ...] = ()
    """Kinds of place (`inputs.Place`) whose authority is to be told; none where nobody's place matters."""

    @classmethod
    def read(cls, data: Mapping[str, Any], key: str) -> Rule:
        """A rule from the policy file; `key` names its identifier there."""
        return cls(
            data[key],
            data["label"],
            data["reason"],
            tuple(data["any"]),
            tuple(data.get("all", ())),
            tuple(data.get("places", ())),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Every feature that the rule reads."""
        return self.any + self.all

    def result(self, key: str, rows: Sequence[EvidenceRow]) -> dict[str, Any]:
        """The rule as it is stored with an assessment."""
        evidence = [{"table": r.table, "id": r.id, "note": r.note} for r in rows[:EVIDENCE]]
        result = {key: self.id, "label": self.label, "reason": self.reason, "evidence": evidence}
        return result | {"places": self.places} if self.places else result


def fired(rules: Sequence[Rule], said: Mapping[str, Answer]) -> list[tuple[Rule, list[EvidenceRow]]]:
    """The rules that fire, in their order, each with the evidence. `said` holds the features whose answer is yes."""
    results = []
    for rule in rules:
        for name in rule.any:
            if name in said:
                break
        else:
            continue
        if all(name in said for name in rule.all):
            results.append((rule, [row for name in rule.names if name in said for row in said[name].rows]))
    return results
