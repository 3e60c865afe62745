"""What one case is assessed from, and the three answers that a feature can give."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

YES, NO, UNKNOWN = "yes", "no", "unknown"


class Row(NamedTuple):
    """One evidence row: the lake table, the row's id there, and a note in words that name nobody."""

    table: str
    id: str
    note: str = ""


class Answer(NamedTuple):
    """A feature's answer. `share` (0 to 1] is how much of the weight a yes counts for; `total` how many rows stand
    behind it when more than are listed in `rows`."""

    value: str
    share: float = 1.0
    rows: tuple[Row, ...] = ()
    total: int = 0


NOT_KNOWN = Answer(UNKNOWN, 0.0)
"""The one unknown answer: compared by identity."""
NOT_SO = Answer(NO, 0.0)


class Reading(NamedTuple):
    """How counts become shares; the `reading` block of the risk model."""

    saturation: int
    grade_shares: dict[str, float]
    links: int


@dataclass(slots=True)
class CaseFile:
    """The inputs of one case, assembled in bulk by `pipeline/assess/case_file.py`.

    `facts` holds only what is stated, yes or no; a name that is absent is unknown. `counts` holds counters of files
    that are not zero, `samples` the ids of up to three rows behind each counter (media_files or matches).
    `quarantined` lists packages that bring more of the case and could not be read.
    `links` counts other cases by strength of the strongest link, `link_rows` lists link ids by strength.
    """

    case_id: str
    referral_id: str
    referrals: tuple[str, ...]
    source: str
    sources: tuple[str, ...] = ()
    provider: str | None = None
    force_code: str | None = None
    compartment: str | None = None
    priority: str | None = None
    escalation_text: bool = False
    times: dict[str, datetime] = field(default_factory=dict)
    narratives: int = 0
    completeness: float = 0.0
    facts: dict[str, Answer] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    samples: dict[str, tuple[str, ...]] = field(default_factory=dict)
    links: dict[str, int] = field(default_factory=dict)
    link_rows: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lists: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()

    def fact(self, name: str) -> Answer:
        """What the referrals, or a list of the force, state about `name`."""
        return self.facts.get(name, NOT_KNOWN)

    def content(self) -> list[Any]:
        """Everything above in a fixed order, for the digest of the inputs."""
        return [
            self.case_id,
            self.referral_id,
            self.referrals,
            self.source,
            self.sources,
            self.provider,
            self.force_code,
            self.compartment,
            self.priority,
            self.escalation_text,
            self.times,
            self.narratives,
            self.completeness,
            self.facts,
            self.counts,
            self.samples,
            self.links,
            self.link_rows,
            self.lists,
            self.quarantined,
            self.joined,
        ]
