"""The risk model: a policy file that gives weights to the declared features, and the few lines that combine them.

A feature's contribution is its weight times the share of its answer; each family of features adds at most its limit;
the score is the sum, the band comes from the score and from the floors. All weights are zero or more, so that a yes
can only raise. Two forms of result: `score` for many cases, `assess` with everything that a person needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Any, NamedTuple

from pipeline import policy
from pipeline.assess.evidence.inputs import NOT_KNOWN, UNKNOWN, YES, Answer, CaseFile, Reading
from pipeline.assess.features import FEATURES, Feature
from pipeline.assess.telling.escalation import Rule, fired
from pipeline.errors import SettingsError
from pipeline.settings import Settings

BANDS = ("low", "medium", "high", "very_high")
"""Bands from the least urgent up; the position is the band's rank."""

EVIDENCE = 5
"""Evidence rows listed with one reason; the rest are counted."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One feature as this model weighs it. `floor` is a rank of BANDS, 0 when the feature has none."""

    feature: Feature
    place: int
    """Place among the entries, the order in which equals are listed."""
    weight: float
    unknown: float
    more: float
    """What a yes adds to what the unknown counts already."""
    family: int
    floor: int
    reason: dict[str, Any]
    unknown_reason: dict[str, Any]
    """What is the same in every reason that this feature gives, as a yes and while it is unknown."""
    unknown_rows: tuple[tuple[dict[str, Any], ...], ...]
    """What is shown while the answer is unknown, by the ranks in BANDS that a no and a yes would lead to."""


class Weighed(NamedTuple):
    """The answers to all features and what they add up to before anything is explained. `said` holds every yes with
    what it would add without limits, `unknown` every feature whose answer is not known."""

    said: list[tuple[ModelEntry, Answer, float]]
    unknown: list[ModelEntry]
    sums: list[float]
    score: float
    floor: int


@dataclass(frozen=True, slots=True)
class Assessed:
    """One case assessed: the contents of the columns of the same names in schemas/records/assessments.json."""

    band: str
    score: float
    reasons: list[dict[str, Any]]
    unknowns: list[dict[str, Any]]
    flags: list[dict[str, Any]]
    notifications: list[dict[str, Any]]
    clock_start: datetime
    due_at: datetime
    band_if_known: str


class Model:
    """A risk model read from policy/<name>.yaml. Use `Model.load`."""

    def __init__(self, source: policy.Policy) -> None:
        data = source.data
        self.name: str = data["name"]
        self.version = source.version
        self.digest = source.digest
        self.data = data
        self.label = f"{self.name} {self.version}"
        reading = data["reading"]
        self.reading = Reading(
            reading["saturation"],
            dict(reading["grade_shares"]),
            reading["links"],
            reading["first"],
            dict(reading["priorities"]),
        )
        self.not_the_suspect = frozenset(reading["not_the_suspect"])
        bands = sorted(data["bands"], key=lambda b: BANDS.index(b["band"]))
        self.least = [float(b["least"]) for b in bands]
        self.hours = [float(b["hours"]) for b in bands]
        self.band_labels = {b["band"]: str(b["label"]) for b in bands}
        self.clock: list[str] = data["clock"]["start"]
        self.targets: str = data["clock"].get("targets", "")
        self.families: list[str] = list(data["families"])
        self.limits = [float(data["families"][f]["limit"]) for f in self.families]
        self.escalation = [Rule.read(r, "id") for r in data["escalation"]]
        self.notifications = [Rule.read(r, "kind") for r in data["notifications"]]
        self.entries = self._entries()
        self._stated = {e.feature.name: e for e in self.entries if e.feature.plain}
        self._asked = [(e.feature.function, e) for e in self.entries if not e.feature.plain]
        self._unanswered: dict[frozenset[str], tuple[list[ModelEntry], list[float]]] = {}

    @classmethod
    def load(cls, settings: Settings, name: str = "risk-model") -> Model:
        """Read policy/<name>.yaml. Raises SettingsError naming every name in it that is not declared."""
        return cls(policy.load(settings, name, "risk-model"))

    def _entries(self) -> list[ModelEntry]:
        weights, families = self.data["features"], set(self.families)
        rules = [*self.escalation, *self.notifications]
        used = {n for rule in rules for n in rule.names} | {f["feature"] for f in self.data["floors"]}
        faults = [f"{n} is no declared feature" for n in sorted((set(weights) | used) - set(FEATURES))]
        faults += [f"{n} has no weight" for n in FEATURES if n not in weights]
        faults += [f"family {f.family} has no limit" for f in FEATURES.values() if f.family not in families]
        if {b["band"] for b in self.data["bands"]} != set(BANDS):
            faults.append("each of the four bands is needed once")
        if faults:
            raise SettingsError(f"Risk model {self.label}: {'; '.join(dict.fromkeys(faults))}.")
        floors: dict[str, int] = {}
        for floor in self.data["floors"]:
            floors[floor["feature"]] = max(floors.get(floor["feature"], 0), BANDS.index(floor["band"]))
        return [
            ModelEntry(
                feature=f,
                place=place,
                weight=float(weights[n]["weight"]),
                unknown=(unknown := round(float(weights[n]["weight"]) * float(weights[n].get("unknown", 0)), 2)),
                more=round(float(weights[n]["weight"]) - unknown, 2),
                family=self.families.index(f.family),
                floor=floors.get(n, 0),
                reason=_reason(f, floors.get(n, 0)),
                unknown_reason=_unknown_reason(f),
                unknown_rows=self._unknown_rows(f),
            )
            for place, (n, f) in enumerate(
                sorted(FEATURES.items(), key=lambda item: self.families.index(item[1].family))
            )
        ]

    def _unknown_rows(self, feature: Feature) -> tuple[tuple[dict[str, Any], ...], ...]:
        row: dict[str, Any] = {"feature": feature.name, "question": feature.question}
        flags = [r.label for r in self.escalation if feature.name in r.any and not r.all]
        if flags:
            row["flags_if_yes"] = flags
        return tuple(tuple(row | {"band_if_no": no, "band_if_yes": yes} for yes in BANDS) for no in BANDS)

    def band_rank(self, score: float) -> int:
        """Rank in BANDS of a score, floors aside."""
        rank = 0
        while rank < 3 and score >= self.least[rank + 1]:
            rank += 1
        return rank

    def weigh(self, case: CaseFile) -> Weighed:
        """Ask every feature once. Features that are one stated fact are looked up among the facts, not called."""
        facts, reading, floor = case.facts, self.reading, 0
        open_entries, open_sums = self._open(facts)
        unknown, sums, said = open_entries.copy(), open_sums.copy(), []
        stated = self._stated
        answers = [(stated[name], facts[name]) for name in sorted(facts) if name in stated]
        answers += [(entry, ask(case, reading)) for ask, entry in self._asked]
        for entry, answer in answers:
            if answer is NOT_KNOWN:
                unknown.append(entry)
                sums[entry.family] += entry.unknown
            elif answer.value == YES:
                share = answer.share
                raw = entry.weight if share == 1.0 else round(entry.weight * share, 2)
                floor = max(floor, entry.floor)
                sums[entry.family] += raw
                said.append((entry, answer, raw))
        return Weighed(said, unknown, sums, self._total(sums), floor)

    def _open(self, facts: Mapping[str, Answer]) -> tuple[list[ModelEntry], list[float]]:
        """Features of one fact that nobody has stated, and what they count by family. Cases are asked the same few sets
        of questions, so the sets are kept."""
        found = self._unanswered.get(answered := frozenset(facts))
        if found is None:
            entries = [e for n, e in self._stated.items() if n not in facts]
            sums = [0.0] * len(self.limits)
            for entry in entries:
                sums[entry.family] += entry.unknown
            if len(self._unanswered) >= _SETS_KEPT:
                self._unanswered.clear()
            found = self._unanswered[answered] = entries, sums
        return found

    def _total(self, sums: Sequence[float]) -> float:
        return round(sum(map(min, sums, self.limits)), 2)

    def score(self, case: CaseFile) -> tuple[int, float]:
        """Rank in BANDS and score: the cheap form, for ranking many cases."""
        weighed = self.weigh(case)
        return max(self.band_rank(weighed.score), weighed.floor), weighed.score

    def assess(self, case: CaseFile) -> Assessed:
        """Everything about the case that a person needs. Raises SettingsError when none of the clock's times is known."""
        weighed = self.weigh(case)
        rank = max(self.band_rank(weighed.score), weighed.floor)
        said = {e.feature.name: a for e, a, _ in weighed.said}
        start = next((case.times[t] for t in self.clock if t in case.times), None)
        if start is None:
            raise SettingsError(
                f"Case {case.case_id} has none of the times that start the clock: {', '.join(self.clock)}.",
                "Add force_received_at, which every referral has, to clock/start of the risk model.",
            )
        unknowns, worst = self._unknowns(weighed, rank)
        return Assessed(
            band=BANDS[rank],
            score=weighed.score,
            reasons=self._reasons(weighed),
            unknowns=unknowns,
            flags=[rule.result("rule", rows) for rule, rows in fired(self.escalation, said)],
            notifications=[rule.result("kind", rows) for rule, rows in fired(self.notifications, said)],
            clock_start=start,
            due_at=start + timedelta(hours=self.hours[rank]),
            band_if_known=BANDS[worst],
        )

    def _reasons(self, weighed: Weighed) -> list[dict[str, Any]]:
        """Every answer that is yes or adds something, the weightiest first. Contributions add up to the score: what a
        family's limit leaves no room for is shown as cut."""
        left = list(self.limits)
        counted = [(-raw, 0, e.place, e, answer) for e, answer, raw in weighed.said]
        counted += [(-e.unknown, 1, e.place, e, NOT_KNOWN) for e in weighed.unknown if e.unknown]
        counted.sort()
        said, unknown = [], []
        for minus, _, _, entry, answer in counted:
            raw, room = -minus, left[entry.family]
            adds = raw if raw <= room else room
            left[entry.family] = round(room - adds, 2)
            if answer is NOT_KNOWN:
                reason = entry.unknown_reason | {"contribution": adds}
                unknown.append(reason)
            else:
                rows = answer.rows
                reason = entry.reason | {
                    "contribution": adds,
                    "evidence": [{"table": r[0], "id": r[1], "note": r[2]} for r in rows[:EVIDENCE]],
                    "evidence_total": max(answer.total, len(rows)),
                }
                said.append(reason)
            if adds < raw:
                reason["cut"] = round(raw - adds, 2)
        return said + unknown

    def _unknowns(self, weighed: Weighed, rank: int) -> tuple[list[dict[str, Any]], int]:
        """What is not known with the bands that a yes and a no would lead to, the most telling yes first; and the rank
        if every unknown turned out badly."""
        score, floor, sums, worst = weighed.score, rank, weighed.sums, weighed.sums.copy()
        rooms = [limit - used if used < limit else 0.0 for limit, used in zip(self.limits, sums, strict=True)]
        needed = [least - score - _HALF_A_CENT for least in self.least]
        # A no takes away what the unknown counts meanwhile: most count nothing, and few cases are near a band's limit.
        spare = score - self.least[rank] + _HALF_A_CENT if rank > weighed.floor else inf
        found: list[tuple[int, float, int, dict[str, Any]]] = []
        for entry in weighed.unknown:
            family, gain, band = entry.family, entry.more, entry.floor
            worst[family] += gain
            # Comparisons, not max and min: fifty unknowns of every case come by here.
            if band > floor:  # noqa: PLR1730
                floor = band
            if gain > rooms[family]:  # noqa: PLR1730
                gain = rooms[family]
            if band < rank:  # noqa: PLR1730
                band = rank
            while band < 3 and gain >= needed[band + 1]:
                band += 1
            no = rank if entry.unknown < spare else self._rank_if_no(entry, weighed)
            found.append((-band, -gain, entry.place, entry.unknown_rows[no][band]))
        found.sort()
        return [row for _, _, _, row in found], max(floor, self.band_rank(self._total(worst)))

    def _rank_if_no(self, entry: ModelEntry, weighed: Weighed) -> int:
        sums = weighed.sums.copy()
        sums[entry.family] -= entry.unknown
        return max(weighed.floor, self.band_rank(self._total(sums)))


_SETS_KEPT = 4096
"""Sets of answered questions of which the unanswered rest is kept."""
_HALF_A_CENT = 0.005
"""Scores have two decimals; sums of them are compared with a tolerance below that."""


def _reason(feature: Feature, floor: int) -> dict[str, Any]:
    head = {"feature": feature.name, "family": feature.family, "value": YES, "label": feature.label}
    text = {"explanation": feature.explanation}
    return head | text | ({"floor": BANDS[floor]} if floor else {})


def _unknown_reason(feature: Feature) -> dict[str, Any]:
    label = f"Not known: {feature.label[0].lower()}{feature.label[1:]}"
    head = {"feature": feature.name, "family": feature.family, "value": UNKNOWN, "label": label}
    return head | {"explanation": feature.explanation, "evidence": [], "evidence_total": 0}
