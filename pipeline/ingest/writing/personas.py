"""Names of covert sources by the referral that gave them, so that a supplement which does not repeat them is masked too.

They are read from the compartment's own narrative entries, by referral, and only for a supplement of a UCOL referral.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import pyarrow as pa
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
        self._held: dict[str, list[str]] = {}

    def learn(self, referral: str, names: list[str]) -> None:
        """Names that a referral of this run gives."""
        if names:
            self._learnt.setdefault(referral, []).extend(names)

    def carry(self, draft: Draft, members: Iterable[str]) -> None:
        """Mask in a draft the names that the other referrals of its chain give."""
        listed = list(members)
        self._look_up(listed)
        names = [n for m in listed for n in (*self._held.get(m, ()), *self._learnt.get(m, ()))]
        if names:
            draft.personas += names
            masking.mask(draft)

    def _look_up(self, referrals: Iterable[str]) -> None:
        fresh = sorted(set(referrals) - self._held.keys())
        self._held.update((referral, []) for referral in fresh)
        if self._lake is None or not fresh:
            return
        columns = ["referral_id", "compartment", "kind", "text"]
        table = self._lake.read("narratives", columns, where=("referral_id", pa.array(fresh, pa.string())))
        own = pc.and_(pc.equal(table["compartment"], COMPARTMENT), pc.equal(table["kind"], "note"))
        notes = table.filter(pc.and_(own, pc.starts_with(table["text"], _NOTE)))
        for referral, text in zip(notes["referral_id"].to_pylist(), notes["text"].to_pylist(), strict=True):
            self._held[referral].extend(_names(text.removeprefix(_NOTE)))


def _names(written: str) -> list[str]:
    """The names in a note: a list as JSON, or one name as it is."""
    try:
        listed = json.loads(written)
    except ValueError:
        listed = [written]
    return [n for n in (listed if isinstance(listed, list) else [written]) if isinstance(n, str)]
