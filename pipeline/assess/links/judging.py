"""From the values that two referrals share to links: what only repeats another value left out, each pair and kind one link."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

import pyarrow as pa

from pipeline.algorithms import DIGESTS
from pipeline.assess.links.strength import SAID_BETTER, LinkRules, Sighting, Verdict, strongest

REPEATED = ("file_hash", "supplement", "username_elsewhere")
"""Kinds of which some values can only repeat others: how many different ones there are is known when all have been judged."""

ON_SERVICE = ("username", "user_id", "other_case")
"""Kinds of accounts on a service, whose names are usernames elsewhere too."""


def judge(
    rules: LinkRules, shared: pa.Table, sightings: Mapping[tuple[str, str, str], list[Sighting]]
) -> list[dict[str, Any]]:
    """Judge shared values and fold those of one pair and kind into one link. `shared` has a, b, kind, value, n (its holders) and
    at_least: how many different values the pair shares of the kind at least where it is judged by some of them only, otherwise null."""
    pairs: dict[tuple[str, str], list[tuple[str, str, int]]] = {}
    cut: dict[tuple[str, str], dict[str, int]] = {}
    for a, b, kind, value, holders, at_least in zip(*[c.to_pylist() for c in shared.columns], strict=True):
        pairs.setdefault((a, b), []).append((kind, value, holders))
        if at_least is not None:
            cut.setdefault((a, b), {})[kind] = at_least
    links = []
    shown: dict[int, dict[str, Any]] = {}  # a sighting of a value that many share stands in many links
    for (a, b), values in pairs.items():
        groups: dict[str, list[tuple[str, Verdict]]] = {}
        some = cut.get((a, b), {})
        alone = len(values) == 1 and values[0][0] != "supplement"  # then there is nothing that it could repeat
        for kind, value, holders in values if alone else _distinct(a, b, values, sightings, some):
            verdict = rules.judge(kind, value, sightings[kind, value, a], sightings[kind, value, b], holders)
            if verdict is not None:
                groups.setdefault(kind, []).append((value, verdict))
        for kind in sorted(groups):
            found = _fold(a, b, groups[kind], rules.data["evidence"], shown)
            links.append(found | _counted(kind, found, some.get(kind)))
    return links


def _counted(kind: str, link: Mapping[str, Any], at_least: int | None) -> dict[str, Any]:
    """How many values a link has, and that in words if there are several: exact but where only some were judged of a kind of which
    some can repeat others."""
    number = max(link["shared"], at_least or 0)
    some = "At least " if at_least is not None and kind in REPEATED else ""
    words = f" {some}{number} values in common." if number > 1 else ""
    return {"shared": number, "explanation": link["explanation"] + words}


def _distinct(
    a: str,
    b: str,
    values: Iterable[tuple[str, str, int]],
    sightings: Mapping[tuple[str, str, str], list[Sighting]],
    cut: Container[str] = (),
) -> list[tuple[str, str, int]]:
    """Leave out what only repeats another value: a username elsewhere that is also shared on its service, weaker
    digests of a file, known media when the very files are shared, and a report's number when one extends the other or
    when both only bear it, since each sender counts for itself. Where not all accounts on services are here (`cut`), any
    username elsewhere may repeat one of the others, and none says anything."""
    listed = list(values)
    kinds = {kind for kind, _, _ in listed}
    on_service = {value.rpartition("\x1f")[2].casefold() for kind, value, _ in listed if kind in ON_SERVICE}
    unsure = any(kind in cut for kind in ON_SERVICE)
    hashes: dict[Any, tuple[int, str]] = {}
    for kind, value, _ in listed:
        if kind == "file_hash":
            files = tuple(tuple(s.row_id for s in sightings[kind, value, side]) for side in (a, b))
            rank = DIGESTS.index(value.partition(":")[0])
            hashes[files] = min(hashes.get(files, (9, "")), (rank, value))
    best = {value for _, value in hashes.values()}
    extends = any(kind == "supplement" and not value.startswith("report:") for kind, value, _ in listed)
    return [
        (kind, value, n)
        for kind, value, n in listed
        if not (kind == "username_elsewhere" and (unsure or value in on_service))
        and not (kind == "file_hash" and value not in best)
        and not (kind == "known_media" and "file_hash" in kinds)
        and kinds.isdisjoint(SAID_BETTER.get(kind, ()))
        and not (
            kind == "supplement" and value.startswith("report:") and (extends or _only_borne(value, a, b, sightings))
        )
    ]


def _only_borne(value: str, a: str, b: str, sightings: Mapping[tuple[str, str, str], list[Sighting]]) -> bool:
    """Whether a report's number is the own one of both referrals and neither names it as an earlier one."""
    return all(s.source == "referrals:own" for side in (a, b) for s in sightings["supplement", value, side])


def _fold(
    a: str, b: str, values: list[tuple[str, Verdict]], limit: int, shown: dict[int, dict[str, Any]]
) -> dict[str, Any]:
    """One link from the judged values of one pair and kind; the strongest value gives kind, strength and reason. `shown`: by
    identity what was made of the sightings so far."""
    strength, ordered = values[0][1].strength, values
    if len(values) > 1:
        strength = strongest([v.strength for _, v in values])
        ordered = sorted(values, key=lambda x: (x[1].strength != strength, x[0]))
    top = ordered[0][1]
    return {
        "left": a,
        "right": b,
        "kind": top.kind,
        "strength": strength,
        "shared": len(values),
        "explanation": top.reason,
        "evidence": [
            {
                "value": value.replace("\x1f", " / "),
                "strength": verdict.strength,
                "left": [_shown(s, shown) for s in verdict.left[:limit]],
                "right": [_shown(s, shown) for s in verdict.right[:limit]],
            }
            for value, verdict in ordered[:limit]
        ],
    }


def _shown(sighting: Sighting, shown: dict[int, dict[str, Any]]) -> dict[str, Any]:
    found = shown.get(id(sighting))
    if found is None:
        found = shown[id(sighting)] = sighting.as_dict()
    return found
