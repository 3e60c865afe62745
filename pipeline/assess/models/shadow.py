"""Shadow models: a second risk model beside the live one, and who would move if it were switched on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline import files
from pipeline.assess.evidence.inputs import CaseFile
from pipeline.assess.models.model import BANDS, Model, Weighed
from pipeline.contract import Night, run_dir
from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class ShadowSeen:
    """One case under both models: rank of its band in BANDS, score, and contribution of every feature that is yes."""

    case_id: str
    compartment: str | None
    live: tuple[int, float]
    other: tuple[int, float]
    why: tuple[tuple[str, float], ...]


class Watcher:
    """Ranks cases under two models while the night goes by."""

    def __init__(self, live: Model, other: Model) -> None:
        self.live = live
        self.other = other
        self._seen: list[ShadowSeen] = []

    @classmethod
    def for_night(cls, settings: Settings, live: Model) -> Watcher | None:
        """The watcher that the live model's `shadow` asks for; None when it asks for none."""
        name = live.data["shadow"]
        return None if name is None else cls(live, Model.load(settings, name))

    def see(self, case: CaseFile) -> None:
        """Rank one more case."""
        live, other = self.live.weigh(case), self.other.weigh(case)
        a = (max(self.live.band_rank(live.score), live.floor), live.score)
        b = (max(self.other.band_rank(other.score), other.floor), other.score)
        self._seen.append(ShadowSeen(case.case_id, case.compartment, a, b, tuple(_why(live, other)) if a != b else ()))

    def report(self, limit: int = 50, compartments: frozenset[str] = frozenset()) -> dict[str, Any]:
        """How many move between bands, how far ranks move, and the `limit` cases that move most, each with the
        features that move it. The rank of a case is its place by band, score and case id, from 1.

        Cases of compartments other than those given are counted and not named.
        """
        places = [_places([(s.case_id, side(s)) for s in self._seen]) for side in (_live, _other)]
        movements: dict[str, int] = {}
        for seen in self._seen:
            key = f"{BANDS[seen.live[0]]} -> {BANDS[seen.other[0]]}"
            movements[key] = movements.get(key, 0) + 1
        rows = [_row(s, places[0][s.case_id], places[1][s.case_id]) for s in self._seen]
        named = {s.case_id for s in self._seen if s.compartment is None or s.compartment in compartments}
        everyone = [r for r in rows if r["places"] or r["bands"] or r["why"]]
        moved = [r for r in everyone if r["case_id"] in named]
        moved.sort(key=lambda r: (-abs(r["bands"]), -abs(r["places"]), r["case_id"]))
        return {
            "live": {"model": self.live.label, "sha256": self.live.digest},
            "shadow": {"model": self.other.label, "sha256": self.other.digest},
            "cases": len(rows),
            "raised": sum(r["bands"] > 0 for r in rows),
            "lowered": sum(r["bands"] < 0 for r in rows),
            "movements": dict(sorted(movements.items())),
            "largest_move": max((abs(r["places"]) for r in rows), default=0),
            "moves": moved[:limit],
            "moves_not_listed": max(0, len(moved) - limit),
            "moves_restricted": len(everyone) - len(moved),
        }

    def write(self, settings: Settings, night: Night) -> str:
        """Write runs/<run>/shadow.json; returns its name below the run's folder."""
        files.write_json(run_dir(settings, night.run_id) / "shadow.json", self.report())
        return "shadow.json"


def _live(seen: ShadowSeen) -> tuple[int, float]:
    return seen.live


def _other(seen: ShadowSeen) -> tuple[int, float]:
    return seen.other


def _places(ranked: list[tuple[str, tuple[int, float]]]) -> dict[str, int]:
    ordered = sorted(ranked, key=lambda x: (-x[1][0], -x[1][1], x[0]))
    return {case: place for place, (case, _) in enumerate(ordered, 1)}


def _why(live: Weighed, other: Weighed) -> list[tuple[str, float]]:
    """Features whose raw contribution differs, the largest difference first. (Family limits can make the sum of these
    differ from the difference of the scores.)"""
    before, after = _raw(live), _raw(other)
    differences = [
        (label, difference)
        for name, label in dict.fromkeys([*before, *after])
        if (difference := round(after.get((name, label), 0.0) - before.get((name, label), 0.0), 2))
    ]
    return sorted(differences, key=lambda d: (-abs(d[1]), d[0]))[:5]


def _raw(weighed: Weighed) -> dict[tuple[str, str], float]:
    """What each feature adds without limits."""
    said = {(e.feature.name, e.feature.label): raw for e, _, raw in weighed.said}
    return said | {(e.feature.name, f"Not known: {e.feature.label}"): e.unknown for e in weighed.unknown if e.unknown}


def _row(seen: ShadowSeen, place: int, shadow_place: int) -> dict[str, Any]:
    return {
        "case_id": seen.case_id,
        "band_live": BANDS[seen.live[0]],
        "band_shadow": BANDS[seen.other[0]],
        "bands": seen.other[0] - seen.live[0],
        "score_live": seen.live[1],
        "score_shadow": seen.other[1],
        "place_live": place,
        "place_shadow": shadow_place,
        "places": place - shadow_place,
        "why": "; ".join(f"{label} {difference:+g}" for label, difference in seen.why),
    }
