"""What a match is worth, in four levels that mean something; the rules are `levels` in policy/matching.yaml.

| level | what it says |
|---|---|
| exact | the same bytes as a known file |
| near | the plain hashes lie within the radius of their publishers |
| altered | the same picture altered: an alteration that was found explains the difference |
| similar | a similar scene, to be checked: the picture, another of its series, or a template that both share |

An alteration explains the difference when it brings the picture within `altered.radius`, and at least `altered.gain` bits nearer
than it lies unaltered. A neighbour in a series is about as far with and without any alteration; a true copy is far without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EXACT, NEAR, ALTERED, SIMILAR = LEVELS = ("exact", "near", "altered", "similar")
"""In the order of every list: the strongest first, what is only to be checked last."""

GRADES = ("TRUSTED", "INDICATIVE", "DISPUTED", "WITHDRAWN", "BENIGN")
"""Grades of known media in the order of every list."""

_FIXED = {"exact": EXACT, "claimed": EXACT, "near": NEAR, "video": NEAR, "unrefined": SIMILAR}


def of(kind: str, distance: int, plain: int | None, rules: dict[str, Any]) -> str:
    """Level of a match of some kind at `distance` bits. `plain`: bits between the unaltered picture and the known one.

    Where `plain` is not known (a frame that was asked in no plain form) nothing is known to be explained: similar.
    """
    if kind in _FIXED:
        return _FIXED[kind]
    altered = rules["levels"]["altered"]
    explained = plain is not None and plain - distance >= altered["gain"]
    return ALTERED if distance <= altered["radius"] and explained else SIMILAR


def place(match: Mapping[str, Any]) -> int:
    """Where a match stands in a list: by its level, then by the grade of the known item. What is not named comes last."""
    level, grade = match.get("level"), match.get("grade")
    by_level = LEVELS.index(level) if level in LEVELS else len(LEVELS)
    return by_level * 10 + (GRADES.index(grade) if grade in GRADES else len(GRADES))
