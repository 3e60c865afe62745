"""Which authority a notification goes to: one for each place that its rule names, from the addresses of the case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.assess.evidence.inputs import CaseFile, Place

WORDS = {"work": "place of work", "child_home": "the child's home", "suspect_home": "the suspect's home"}
"""Kinds of place, as shown."""

CHILD_FORCE = "child_force"
"""Kind of the notification for the area of another force in which a child lives."""


def addressed(
    notifications: Sequence[Mapping[str, Any]], case: CaseFile, forces: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The notifications with the authority that each goes to, and one for every other force in whose area a child lives,
    also when the suspect lives in ours (City of London Police paper, paragraph 10: most referrals). `forces` are names by
    code.

    Where no place that the rule names is known, one notification is left whose authority is to be found out.
    """
    found: list[dict[str, Any]] = []
    for item in notifications:
        due = dict(item)
        kinds = due.pop("places", ())
        found += [due] if not kinds else list(_by_authority(due, kinds, case.places))
    return found + list(_other_forces(case.places, forces))


def _by_authority(due: dict[str, Any], kinds: Sequence[str], places: Sequence[Place]) -> Iterator[dict[str, Any]]:
    known = [place for place in places if place.kind in kinds]
    if not known:
        where = " or ".join(WORDS[kind] for kind in kinds)
        reason = f"{due['reason']} Which authority is to be told is not known: {where} has no known postcode."
        if elsewhere := sorted({p.services for p in places if p.services}):
            reason += f" Other places of the case lie in {', '.join(elsewhere)}."
        yield due | {"label": f"{due['label']}: authority not known", "reason": reason, "place": kinds[0]}
        return
    listed = set()
    for place in known:
        authority = place.services or place.authority
        if (key := (place.kind, authority, place.force)) in listed:
            continue
        listed.add(key)
        named = authority or "authority not known"
        yield due | {
            "label": f"{due['label']}, {named} ({WORDS[place.kind]})",
            "place": place.kind,
            "authority": authority,
            "force_code": place.force,
            "evidence": [*due["evidence"], {"table": "subjects", "id": place.row, "note": WORDS[place.kind]}],
        }


def _other_forces(places: Sequence[Place], forces: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    listed = set()
    for place in places:
        if place.kind != "child_home" or not place.elsewhere or place.force in listed:
            continue
        listed.add(place.force)
        name = forces.get(str(place.force), f"force {place.force}")
        yield {
            "kind": CHILD_FORCE,
            "label": f"{name} ({place.force}): a child lives in their area",
            "reason": "A child in this case lives in the area of another force, which has to be told whoever investigates.",
            "evidence": [{"table": "subjects", "id": place.row, "note": WORDS["child_home"]}],
            "place": "child_home",
            "authority": place.services or place.authority,
            "force_code": place.force,
        }
