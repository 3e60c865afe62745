"""Names of covert sources by the referral that gave them, so that a supplement which does not repeat them is masked too.

They are read from the compartment's own narrative entries, part by part, and only in a run that takes in a supplement of
a UCOL referral.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property

import pyarrow.compute as pc

from pipeline.ingest.reports.draft import Draft
from pipeline.ingest.sources.covert import COMPARTMENT
from pipeline.ingest.writing import masking
from pipeline.lake import Lake

_NOTE = "personas: "


class KnownPersonas:
    """What the lake holds and what this run has learnt."""

    def __init__(self, lake: Lake | None) -> None:
        self._lake = lake
        self._learnt: dict[str, list[str]] = {}

    def learn(self, referral: str, names: list[str]) -> None:
        """Names that a referral of this run gives."""
        if names:
            self._learnt.setdefault(referral, []).extend(names)

    def carry(self, draft: Draft, members: Iterable[str]) -> None:
        """Mask in a draft the names that the other referrals of its chain give."""
        names = [n for m in members for n in (*self._held.get(m, ()), *self._learnt.get(m, ()))]
        if names:
            draft.personas += names
            masking.mask(draft)

    @cached_property
    def _held(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        if self._lake is None:
            return found
        for part in self._lake.parts("narratives"):
            table = self._lake.read("narratives", ["referral_id", "compartment", "kind", "text"], parts=[part])
            own = pc.and_(pc.equal(table["compartment"], COMPARTMENT), pc.equal(table["kind"], "note"))
            notes = table.filter(pc.and_(own, pc.starts_with(table["text"], _NOTE)))
            for referral, text in zip(notes["referral_id"].to_pylist(), notes["text"].to_pylist(), strict=True):
                found.setdefault(referral, []).extend(_names(text.removeprefix(_NOTE)))
        return found


def _names(written: str) -> list[str]:
    """The names in a note: a list as JSON, or one name as it is."""
    try:
        listed = json.loads(written)
    except ValueError:
        listed = [written]
    return [n for n in (listed if isinstance(listed, list) else [written]) if isinstance(n, str)]
