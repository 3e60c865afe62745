"""Deconfliction between sources: an activist group's suspect who is also met by an undercover officer.

A link between referrals of two sources that policy/lists.yaml names (`sources_in_conflict`) states a fact for the cases of
both, with the link as its evidence, so that nobody acts before the other side was asked. A referral that is restricted
tells the other side nothing: only its own case, which the restricted roles read, states the fact.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import policy
from pipeline.assess.evidence.case_file import ListHit
from pipeline.assess.links.strength import STRENGTHS
from pipeline.lake import Lake
from pipeline.settings import Settings


def hits(settings: Settings, lake: Lake, links: pa.Table) -> list[ListHit]:
    """Facts that follow from links between sources, ordered as `links` (current ones, schemas/records/links.json).

    Links weaker than `implies_from` imply none. Raises SettingsError for a policy file that cannot be used.
    """
    rules = policy.load(settings, "lists").data
    found = _between_forces(rules["forces_in_conflict"], lake, links)
    strengths = STRENGTHS[STRENGTHS.index(rules["implies_from"]) :]
    chosen = links.filter(pc.is_in(links["strength"], value_set=pa.array(strengths)))
    if not rules["sources_in_conflict"] or not chosen.num_rows:
        return found
    referrals = _sides(lake, chosen, ["referral_id", "source", "compartment"])
    for rule in rules["sources_in_conflict"]:
        found += _between(rule, chosen, referrals)
    return found


def _sides(lake: Lake, links: pa.Table, columns: list[str]) -> pa.Table:
    """The referrals on both sides of links."""
    ids = pc.unique(pa.chunked_array([*links["left"].chunks, *links["right"].chunks], pa.string()))
    return lake.read("referrals", columns, where=("referral_id", ids))


def _between(rule: dict[str, Any], links: pa.Table, referrals: pa.Table) -> list[ListHit]:
    concerned = referrals.filter(pc.is_in(referrals["source"], value_set=pa.array(rule["sources"])))
    columns = (concerned[name].to_pylist() for name in ("referral_id", "source", "compartment"))
    of = {referral: (source, compartment) for referral, source, compartment in zip(*columns, strict=True)}
    ids = pa.array(sorted(of), pa.string())
    both = pc.and_(pc.is_in(links["left"], value_set=ids), pc.is_in(links["right"], value_set=ids))
    near = links.filter(both).select(["link_id", "left", "right", "explanation"])
    return _warned(rule, near, of, "Referrals of")


def _between_forces(rule: dict[str, Any], lake: Lake, links: pa.Table) -> list[ListHit]:
    """Referrals of two forces that share an account or a person: somebody else may be about to act on the same suspect."""
    strengths = STRENGTHS[STRENGTHS.index(rule["strength"]) :]
    strong = pc.is_in(links["strength"], value_set=pa.array(strengths))
    chosen = links.filter(pc.and_(strong, pc.is_in(links["kind"], value_set=pa.array(rule["kinds"], pa.string()))))
    if not chosen.num_rows:
        return []
    referrals = _sides(lake, chosen, ["referral_id", "force_code", "compartment"])
    columns = (referrals[name].to_pylist() for name in ("referral_id", "force_code", "compartment"))
    of = {referral: (force, compartment) for referral, force, compartment in zip(*columns, strict=True) if force}
    near = chosen.select(["link_id", "left", "right", "explanation"])
    return _warned(rule, near, of, "Referrals of forces")


def _warned(rule: dict[str, Any], near: pa.Table, of: dict[str, tuple[str, str | None]], who: str) -> list[ListHit]:
    """A hit on each side of every link whose sides differ in what `of` gives first; the compartment, given second, of one side
    keeps it from the other."""
    found = []
    for row in near.to_pylist():
        if row["left"] not in of or row["right"] not in of:
            continue
        (here, restricted_here), (there, restricted_there) = of[row["left"]], of[row["right"]]
        if here == there:
            continue
        note = f"{who} {' and '.join(sorted((here, there)))} share it. {row['explanation']}"
        sides = ((row["left"], restricted_here, restricted_there), (row["right"], restricted_there, restricted_here))
        for referral, own, other in sides:
            if other is None or own is not None:
                found.append(ListHit(referral, None, rule["implies"], row["link_id"], note))
    return found
