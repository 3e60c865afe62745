"""`triage model check`: what must hold of a risk model whatever its weights, tested on the file itself.

The same promises are tested on generated cases by the test suite; here a person who has edited the file learns at once
which promise the edit would break.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline import policy
from pipeline.assess.features import FEATURES
from pipeline.assess.model import BANDS, Model
from pipeline.settings import Settings

ACCESS = ("access_to_children", "access_to_child_victim", "lives_with_children")
"""The features of which each alone has to outweigh any amount of known material."""


@dataclass(frozen=True)
class Promise:
    """One promise, whether the model keeps it, and the figures behind that."""

    promise: str
    kept: bool
    figures: str


def check(settings: Settings, model: Model) -> list[Promise]:
    """Every promise with its outcome. (That every name is declared and no weight is negative is checked at load.)"""
    return [
        _order(model),
        _vocabulary(settings, model),
        _known_material(model),
        _severity(model),
        _one_new_file(model),
        _graded(model),
        _unknown(model),
        _floors(model),
        _limits(model),
    ]


def _order(model: Model) -> Promise:
    rising = all(a < b for a, b in zip(model.least, model.least[1:], strict=False)) and model.least[0] == 0
    sooner = all(a > b for a, b in zip(model.hours, model.hours[1:], strict=False))
    figures = ", ".join(f"{b} from {s:g} in {h:g} h" for b, s, h in zip(BANDS, model.least, model.hours, strict=True))
    return Promise(
        "A higher band needs a higher score and has an earlier target; the lowest starts at 0",
        rising and sooner,
        figures,
    )


def _vocabulary(settings: Settings, model: Model) -> Promise:
    stated = set(policy.load(settings, "facts").data["facts"])
    read = {name for f in FEATURES.values() for name in f.facts}
    odd = sorted(stated ^ (read | set(model.data["reading"]["not_weighed"])))
    return Promise(
        "Every fact of policy/facts.yaml is read by a feature or named as not weighed, and no other",
        not odd,
        ", ".join(odd) or f"{len(read)} facts",
    )


def _known_material(model: Model) -> Promise:
    volume = sum(_limit(model, family) for family in ("known_material", "severity", "circulation"))
    least = min(e.weight - e.unknown for e in model.entries if e.feature.name in ACCESS)
    room = min(_limit(model, "access"), least)
    return Promise(
        "No volume, category or spread of known material outranks access to a child",
        volume < room,
        f"at most {volume:g} against {room:g}",
    )


def _severity(model: Model) -> Promise:
    alone = _limit(model, "severity") + _limit(model, "known_material") + sum(e.unknown for e in model.entries)
    return Promise(
        "Known images of any number, category and age, with nothing else known, stay below medium",
        alone < model.least[1],
        f"at most {alone:g} against {model.least[1]:g}",
    )


def _one_new_file(model: Model) -> Promise:
    weight = next(e.weight for e in model.entries if e.feature.name == "unknown_files")
    known = next(e.weight for e in model.entries if e.feature.name == "known_files")
    return Promise(
        "One possibly new file weighs more than any number of known ones",
        weight / 4 > known,
        f"{weight / 4:g} against {known:g}",
    )


def _graded(model: Model) -> Promise:
    odd = [e.feature.name for e in model.entries if e.feature.graded and e.unknown]
    return Promise(
        "No unknown counts more than a small yes: graded features count nothing while unknown",
        not odd,
        ", ".join(odd) or "none does",
    )


def _unknown(model: Model) -> Promise:
    everything = sum(e.unknown for e in model.entries)
    return Promise(
        "A case of which nothing is known stays below medium",
        everything < model.least[1],
        f"{everything:g} against {model.least[1]:g}",
    )


def _floors(model: Model) -> Promise:
    names = [e.feature.name for e in model.entries if e.floor == BANDS.index("very_high")]
    needed = {"child_at_immediate_risk", "live_offending"}
    return Promise(
        "A child at risk now is always in the highest band", needed <= set(names), ", ".join(names) or "no floor"
    )


def _limits(model: Model) -> Promise:
    odd = sorted({e.feature.name for e in model.entries if e.weight > model.limits[e.family]})
    return Promise("No feature weighs more than its family can add", not odd, ", ".join(odd) or "none does")


def _limit(model: Model, family: str) -> float:
    return model.limits[model.families.index(family)]
