"""The risk model: a policy file that gives weights to the declared features, and the few lines that combine them.

A feature's contribution is its weight times the share of its answer; each family of features adds at most its limit;
the score is the sum, the band comes from the score and from the floors. All weights are zero or more, so that a yes
can only raise. Two forms of result: `score` for many cases, `assess` with everything that a person needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pipeline import policy
from pipeline.assess.escalation import Rule, fired
from pipeline.assess.features import FEATURES, Feature
from pipeline.assess.inputs import UNKNOWN, YES, Answer, CaseFile, Reading
from pipeline.errors import SettingsError
from pipeline.settings import Settings

BANDS = ("low", "medium", "high", "very_high")
"""Bands from the least urgent up; the position is the band's rank."""

EVIDENCE = 5
"""Evidence rows listed with one reason; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One feature as this model weighs it. `floor` is a rank of BANDS, 0 when the feature has none."""

    feature: Feature
    weight: float
    unknown: float
    family: int
    floor: int
    flags: tuple[str, ...]


class Weighed(NamedTuple):
    """The answers to all features and what they add up to before anything is explained."""

    answers: list[tuple[Entry, Answer, float]]
    sums: list[float]
    score: float
    floor: int


@dataclass(frozen=True, slots=True)
class Assessment:
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
        self.reading = Reading(reading["saturation"], dict(reading["grade_shares"]), reading["links"])
        self.not_the_suspect = frozenset(reading["not_the_suspect"])
        bands = sorted(data["bands"], key=lambda b: BANDS.index(b["band"]))
        self.least = [float(b["least"]) for b in bands]
        self.hours = [float(b["hours"]) for b in bands]
        self.band_labels = {b["band"]: str(b["label"]) for b in bands}
        self.clock: list[str] = data["clock"]["start"]
        self.families: list[str] = list(data["families"])
        self.limits = [float(data["families"][f]["limit"]) for f in self.families]
        self.escalation = [Rule.read(r, "id") for r in data["escalation"]]
        self.notifications = [Rule.read(r, "kind") for r in data["notifications"]]
        self.entries = self._entries()

    @classmethod
    def load(cls, settings: Settings, name: str = "risk-model") -> Model:
        """Read policy/<name>.yaml. Raises SettingsError naming every name in it that is not declared."""
        return cls(policy.load(settings, name, "risk-model"))

    def _entries(self) -> list[Entry]:
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
            Entry(
                feature=f,
                weight=float(weights[n]["weight"]),
                unknown=round(float(weights[n]["weight"]) * float(weights[n].get("unknown", 0)), 2),
                family=self.families.index(f.family),
                floor=floors.get(n, 0),
                flags=tuple(r.label for r in self.escalation if n in r.any and not r.all),
            )
            for n, f in FEATURES.items()
        ]

    def band_rank(self, score: float) -> int:
        """Rank in BANDS of a score, floors aside."""
        rank = 0
        while rank < 3 and score >= self.least[rank + 1]:
            rank += 1
        return rank

    def weigh(self, case: CaseFile) -> Weighed:
        """Ask every feature once."""
        reading, sums, floor = self.reading, [0.0] * len(self.limits), 0
        answers = []
        for entry in self.entries:
            answer = entry.feature.function(case, reading)
            raw = 0.0
            if answer.value == YES:
                raw = round(entry.weight * answer.share, 2)
                floor = max(floor, entry.floor)
            elif answer.value == UNKNOWN:
                raw = entry.unknown
            sums[entry.family] += raw
            answers.append((entry, answer, raw))
        return Weighed(answers, sums, self._total(sums), floor)

    def _total(self, sums: Sequence[float]) -> float:
        return round(sum(map(min, sums, self.limits)), 2)

    def score(self, case: CaseFile) -> tuple[int, float]:
        """Rank in BANDS and score: the cheap form, for ranking many cases."""
        weighed = self.weigh(case)
        return max(self.band_rank(weighed.score), weighed.floor), weighed.score

    def assess(self, case: CaseFile) -> Assessment:
        """Everything about the case that a person needs. Raises SettingsError when none of the clock's times is known."""
        weighed = self.weigh(case)
        rank = max(self.band_rank(weighed.score), weighed.floor)
        said = {e.feature.name: a for e, a, _ in weighed.answers if a.value == YES}
        start = next((case.times[t] for t in self.clock if t in case.times), None)
        if start is None:
            raise SettingsError(
                f"Case {case.case_id} has none of the times that start the clock: {', '.join(self.clock)}.",
                "Add force_received_at, which every referral has, to clock/start of the risk model.",
            )
        unknowns, worst = self._unknowns(weighed, rank)
        return Assessment(
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
        reasons = []
        counted = [x for x in weighed.answers if x[2] > 0 or x[1].value == YES]
        for entry, answer, raw in sorted(counted, key=_weight):
            adds = round(min(raw, left[entry.family]), 2)
            left[entry.family] = round(left[entry.family] - adds, 2)
            feature = entry.feature
            reason = {
                "feature": feature.name,
                "family": feature.family,
                "value": answer.value,
                "label": feature.label
                if answer.value == YES
                else f"Not known: {feature.label[0].lower()}{feature.label[1:]}",
                "contribution": adds,
                "explanation": feature.explanation,
                "evidence": [{"table": r.table, "id": r.id, "note": r.note} for r in answer.rows[:EVIDENCE]],
                "evidence_total": max(answer.total, len(answer.rows)),
            }
            if adds < raw:
                reason["cut"] = round(raw - adds, 2)
            if answer.value == YES and entry.floor:
                reason["floor"] = BANDS[entry.floor]
            reasons.append(reason)
        reasons.sort(key=lambda r: r["value"] != YES)
        return reasons

    def _unknowns(self, weighed: Weighed, rank: int) -> tuple[list[dict[str, Any]], int]:
        """What is not known with the band that a yes would lead to, the most telling first; and the rank if every
        unknown turned out badly."""
        limits, sums = self.limits, weighed.sums
        worst, floor = list(sums), rank
        found: list[tuple[int, float, int, dict[str, Any]]] = []
        for entry, answer, raw in weighed.answers:
            if answer.value != UNKNOWN:
                continue
            family = entry.family
            worst[family] += entry.weight - raw
            floor = max(floor, entry.floor)
            limit, so_far = limits[family], sums[family]
            gain = min(limit, so_far - raw + entry.weight) - min(limit, so_far)
            band = max(rank, entry.floor, self.band_rank(round(weighed.score + gain, 2)))
            unknown: dict[str, Any] = {
                "feature": entry.feature.name,
                "question": entry.feature.question,
                "band_if_yes": BANDS[band],
            }
            if entry.flags:
                unknown["flags_if_yes"] = list(entry.flags)
            found.append((-band, -gain, len(found), unknown))
        found.sort()
        return [f[3] for f in found], max(floor, self.band_rank(self._total(worst)))


def _weight(item: tuple[Entry, Answer, float]) -> float:
    return -item[2]


def contradiction(kirat_level: str, band: str, settings: Settings | None = None) -> str | None:
    """Why an entered KIRAT level and our band call for a second look; None when they do not.

    `kirat_level` and `band` are names of BANDS (case, spaces and hyphens do not matter). The level is a person's and
    is never computed here. The tolerated differences are `second_look` of the risk model. Raises SettingsError for a
    level that does not exist.
    """
    rules = Model.load(settings or Settings.load()).data["second_look"]
    entered, ours = _rank(kirat_level), _rank(band)
    if ours - entered >= rules["below"]:
        return f"The KIRAT level entered ({_words(entered)}) is lower than the triage band ({_words(ours)})."
    if entered - ours >= rules["above"]:
        return f"The KIRAT level entered ({_words(entered)}) is much higher than the triage band ({_words(ours)})."
    return None


def _rank(level: str) -> int:
    name = level.strip().lower().replace(" ", "_").replace("-", "_")
    if name not in BANDS:
        raise SettingsError(f"{level!r} is no level.", "Use low, medium, high or very_high.")
    return BANDS.index(name)


def _words(rank: int) -> str:
    return BANDS[rank].replace("_", " ")
