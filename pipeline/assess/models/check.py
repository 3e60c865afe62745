"""`triage model check`: what must hold of a risk model whatever its weights, tested on the file itself.

Each promise of policy/promises.yaml is a comparison of whole synthetic cases, which the engine scores as it scores any
case: nothing is added up here. The same promises are tested on generated cases by the test suite; here a person who has
edited the model learns at once which promise the edit would break.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from pipeline import policy
from pipeline.assess.evidence.inputs import NOT_SO, YES, Answer, CaseFile, EvidenceRow
from pipeline.assess.features import FEATURES
from pipeline.assess.models.model import BANDS, Model
from pipeline.errors import SettingsError
from pipeline.settings import Settings

BandAndScore = tuple[int, float]
"""Rank in BANDS and score: what a case is compared by."""


@dataclass(frozen=True)
class Promise:
    """One promise, whether the model keeps it, and the figures behind that."""

    promise: str
    kept: bool
    figures: str


def check(settings: Settings, model: Model) -> list[Promise]:
    """Every promise with its outcome. (That every name is declared and no weight is negative is checked at load.)

    Raises SettingsError for a promise that names a fact or a case that does not exist.
    """
    given = policy.load(settings, "promises").data
    facts: dict[str, str] = policy.load(settings, "facts").data["facts"]
    made = Maker(model, frozenset(facts), given["cases"])
    return [
        _order(model),
        _vocabulary(model, facts),
        *(_promise(made, row) for row in given["promises"]),
        *_ladders(made, given["ladders"]),
        _unknown_over_no(made),
        _graded(model),
        _limits(model),
        _told(model, given["told"]),
    ]


class Maker:
    """Makes the synthetic cases of the table and asks the engine for their places."""

    def __init__(self, model: Model, facts: frozenset[str], named: Mapping[str, Mapping[str, Any]]) -> None:
        self.model, self.facts, self.named = model, facts, named

    def place(self, given: str | Mapping[str, Any]) -> BandAndScore:
        """Band and score of a case of the table, named or written in place."""
        return self.model.score(self.case(given))

    def case(self, given: str | Mapping[str, Any]) -> CaseFile:
        """The case itself. Raises SettingsError for a name that is not there."""
        if isinstance(given, str):
            if given not in self.named:
                raise SettingsError(f"promises.yaml: there is no case {given!r}.")
            given = self.named[given]
        stated = given.get("facts", [])
        yes = self.facts - set(given.get("but", ())) if stated == "all" else frozenset(stated)
        if odd := sorted((yes | set(given.get("but", ()))) - self.facts):
            raise SettingsError(f"promises.yaml: {', '.join(odd)} are no facts of facts.yaml.")
        answers = dict.fromkeys(sorted(self.facts - yes), NOT_SO) if given.get("others") == "no" else {}
        answers |= {name: Answer(YES, 1.0, (EvidenceRow("facts", name),), 1) for name in sorted(yes)}
        return CaseFile(
            "C-0000000000",
            "R",
            ("R",),
            "OTHER",
            priority=given.get("priority"),
            urgent_words=tuple(given.get("words", ())),
            times={"force_received_at": datetime(2026, 1, 1, tzinfo=UTC)},
            facts=answers,
            counts=dict(given.get("files", {})),
            links=dict(given.get("links", {})),
        )


def name_of(given: str | Mapping[str, Any]) -> str:
    """A case of the table in a few words."""
    if isinstance(given, str):
        return given
    parts = [", ".join(given["facts"]) if isinstance(given.get("facts"), list) else str(given.get("facts", ""))]
    parts += [", ".join(f"{k} {v}" for k, v in given.get(key, {}).items()) for key in ("files", "links")]
    parts += [f"priority {given['priority']}" if "priority" in given else "", ", ".join(given.get("words", ()))]
    return "; ".join(part for part in parts if part) or "nothing known"


def _promise(made: Maker, row: Mapping[str, Any]) -> Promise:
    low = [(made.place(c), name_of(c)) for c in row["below"]]
    strongest = max(low)
    if "below_band" in row:
        limit = BANDS.index(row["below_band"])
        return Promise(row["promise"], strongest[0][0] < limit, f"{_shown(strongest)} against {row['below_band']}")
    weakest = min((made.place(c), name_of(c)) for c in row["above"])
    kept = weakest[0] >= strongest[0] if row.get("at_least") else weakest[0] > strongest[0]
    return Promise(row["promise"], kept, f"{_shown(weakest)} against {_shown(strongest)}")


def _shown(found: tuple[BandAndScore, str]) -> str:
    (rank, score), name = found
    return f"{name}: {BANDS[rank]} {score:g}"


def _ladders(made: Maker, ladders: Sequence[Sequence[Any]]) -> Iterator[Promise]:
    for ladder in ladders:
        places = [(made.place(step), name_of(step)) for step in ladder]
        kept = all(a[0] <= b[0] for a, b in pairwise(places))
        yield Promise(
            f"No step lowers a case: {name_of(ladder[0])} ... {name_of(ladder[-1])}",
            kept,
            ", then ".join(map(_shown, places)),
        )


def _unknown_over_no(made: Maker) -> Promise:
    """Whole cases in which one fact is unknown, no or yes while all others are unknown."""
    unknown, odd = made.model.score(made.case({})), []
    for fact in sorted(made.facts):
        base = made.case({})
        no = made.model.score(replace(base, facts={fact: NOT_SO}))
        yes = made.place({"facts": [fact]})
        if not no <= unknown <= yes:
            odd.append(fact)
    return Promise(
        "Of every fact, unknown stands at least as high as a stated no, and a yes at least as high as unknown",
        not odd,
        ", ".join(odd) or f"{len(made.facts)} facts",
    )


def _order(model: Model) -> Promise:
    rising = all(a < b for a, b in zip(model.least, model.least[1:], strict=False)) and model.least[0] == 0
    sooner = all(a > b for a, b in zip(model.hours, model.hours[1:], strict=False))
    figures = ", ".join(f"{b} from {s:g} in {h:g} h" for b, s, h in zip(BANDS, model.least, model.hours, strict=True))
    return Promise(
        "A higher band needs a higher score and has an earlier target; the lowest starts at 0",
        rising and sooner,
        figures,
    )


def _vocabulary(model: Model, facts: Mapping[str, str]) -> Promise:
    read = {name for f in FEATURES.values() for name in f.facts}
    odd = sorted(set(facts) ^ (read | set(model.data["reading"]["not_weighed"])))
    return Promise(
        "Every fact of policy/facts.yaml is read by a feature or named as not weighed, and no other",
        not odd,
        ", ".join(odd) or f"{len(read)} facts",
    )


def _graded(model: Model) -> Promise:
    odd = [e.feature.name for e in model.entries if e.feature.graded and e.unknown]
    return Promise(
        "No unknown counts more than a small yes: graded features count nothing while unknown",
        not odd,
        ", ".join(odd) or "none does",
    )


def _limits(model: Model) -> Promise:
    odd = sorted({e.feature.name for e in model.entries if e.weight > model.limits[e.family]})
    return Promise("No feature weighs more than its family can add", not odd, ", ".join(odd) or "none does")


def _told(model: Model, told: Mapping[str, Any]) -> Promise:
    """Whether every feature that can lift a case to the highest band has somebody who is told."""
    read = {name for rule in (*model.escalation, *model.notifications) for name in rule.any}
    heavy = [e.feature.name for e in model.entries if e.floor or e.weight >= told["least"]]
    odd = sorted(name for name in heavy if name not in read and name not in told["not_told"])
    return Promise(
        "Every feature that can lift a case to the highest band has an answer to who is told",
        not odd,
        ", ".join(odd) or f"{len(heavy)} features, {len(told['not_told'])} of them with a reason why nobody is",
    )
