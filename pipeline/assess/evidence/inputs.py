"""What one case is assessed from, and the three answers that a feature can give."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, NamedTuple, Self

import orjson

YES, NO, UNKNOWN = "yes", "no", "unknown"

FORCE_NOT_SET = "00"
"""The value of TRIAGE_FORCE that names no force: no case is then marked for transfer."""


class EvidenceRow(NamedTuple):
    """One evidence row: the lake table, the row's id there, and a note in words that name nobody."""

    table: str
    id: str
    note: str = ""


class Answer(NamedTuple):
    """A feature's answer. `share` (0 to 1] is how much of the weight a yes counts for; `total` how many rows stand
    behind it when more than are listed in `rows`."""

    value: str
    share: float = 1.0
    rows: tuple[EvidenceRow, ...] = ()
    total: int = 0


NOT_KNOWN = Answer(UNKNOWN, 0.0)
"""The one unknown answer: compared by identity."""
NOT_SO = Answer(NO, 0.0)


class Place(NamedTuple):
    """Where somebody in the case works or lives: `kind` is work, child_home or suspect_home; `services` the authority
    whose children's services and LADO are responsible; `elsewhere` says that it is in another force's area than ours."""

    kind: str
    authority: str | None
    services: str | None
    force: str | None
    row: str
    elsewhere: bool


class Reading(NamedTuple):
    """How counts become shares; the `reading` block of the risk model."""

    saturation: int
    grade_shares: dict[str, float]
    links: int
    first: float
    priorities: dict[str, str]

    def level(self, priority: str | None) -> str | None:
        """What a sender's priority mark says (imminent, raised, ordinary, not_said); None for none or one that the
        policy does not list. "1", "Priority 1" and "1 - imminent" are one mark."""
        return self.priorities.get(self.mark(priority).lower()) if priority is not None else None

    def mark(self, priority: str) -> str:
        """A priority mark without what else a sender wrote there: as given if it is one that the policy lists, else that one, or
        UNLISTED."""
        words = re.findall(r"[a-z0-9]+", priority.lower())
        words = words[1:] if words[:1] in (["priority"], ["level"]) else words
        found = next((m for m in (" ".join(words), *words[:1]) if m in self.priorities), UNLISTED)
        return priority if priority.lower() == found else found


UNLISTED = "unlisted"
"""Stands for a priority mark that the policy does not list."""


@dataclass(slots=True)
class CaseFile:
    """The inputs of one case, assembled in bulk by `pipeline/assess/evidence/case_file.py`.

    `facts` holds only what is stated, yes or no; a name that is absent is unknown. `counts` holds counters of files
    that are not zero, `samples` the ids of up to three rows behind each counter (media_files or matches).
    `quarantined` lists packages that bring more of the case and could not be read.
    `priority` is the most urgent mark of its referrals (`mark`); `urgent_words` those of the policy's words that the senders use.
    `links` counts other cases by strength of the strongest link, `link_rows` lists link ids by strength.
    `answers` is what people found out (pipeline/assess/evidence/answers.py), laid over `facts` already; `overlaid` keeps what the
    referrals state about the same facts.
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
    urgent_words: tuple[str, ...] = ()
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
    places: tuple[Place, ...] = ()
    answers: dict[str, Answer] = field(default_factory=dict)
    overlaid: dict[str, Answer] = field(default_factory=dict)

    def fact(self, name: str) -> Answer:
        """What the referrals, or a list of the force, state about `name`."""
        return self.facts.get(name, NOT_KNOWN)

    def content(self) -> list[Any]:
        """Every field in the order above, for the digest of the inputs and for `from_content`."""
        return [getattr(self, name) for name in _FIELDS]

    @classmethod
    def from_content(cls, text: str) -> Self:
        """The case file whose `content` was written as JSON. Raises ValueError, TypeError or KeyError for other text."""
        values = dict(zip(_FIELDS, orjson.loads(text), strict=True))
        for name in ("referrals", "sources", "urgent_words", "lists", "quarantined", "joined"):
            values[name] = tuple(values[name])
        values["places"] = tuple(Place(*place) for place in values["places"])
        values["times"] = {n: datetime.fromisoformat(at) for n, at in values["times"].items()}
        for name in ("facts", "answers", "overlaid"):
            values[name] = {n: _answer(given) for n, given in values[name].items()}
        for name in ("samples", "link_rows"):
            values[name] = {n: tuple(rows) for n, rows in values[name].items()}
        return cls(**values)


_FIELDS = [f.name for f in fields(CaseFile)]


def _answer(given: list[Any]) -> Answer:
    value, share, rows, total = given
    return Answer(value, share, tuple(EvidenceRow(*row) for row in rows), total)
