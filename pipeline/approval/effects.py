"""What a built release would do to the queue: the cases that would stand in another band, before anything is written.

The matches that retro-matching would write are made and laid over the lake in memory, and every case touched by one is
assessed twice by the same engine, without and with them. So a case moves here only for what the release changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hashsets.release.releases import Release
from pipeline import policy, records
from pipeline.assess import touched
from pipeline.assess.evidence.case_file import Bulk, case_id
from pipeline.assess.links import conflicts, lists
from pipeline.assess.links.stored import current
from pipeline.assess.models.model import Model
from pipeline.contract import Night
from pipeline.lake import Commit, Lake, Part
from pipeline.lake.parts import Where
from pipeline.matching import flood, retro
from pipeline.settings import Settings


class SupposedLake(Lake):
    """A lake as it would read with some rows more. Reading of whole tables knows them; nothing can be written to it."""

    def __init__(self, lake: Lake, more: Mapping[str, pa.Table]) -> None:
        self.__dict__.update(lake.__dict__)
        self._more = more

    def read(
        self, table: str, columns: Sequence[str] | None = None, *, stage: str | None = None,
        parts: Iterable[Part] | None = None, commits: Iterable[Commit] | None = None, where: Where | None = None,
    ) -> pa.Table:  # fmt: skip
        """As `Lake.read`; the rows supposed come last, are of the stage `retro`, and belong to no part or commit."""
        rows = super().read(table, columns, stage=stage, parts=parts, commits=commits, where=where)
        more = self._more.get(table)
        if more is None or stage not in {None, "retro"} or parts is not None or commits is not None:
            return rows
        if where is not None:
            more = more.filter(pc.is_in(more[where[0]], value_set=where[1]))
        return pa.concat_tables([rows, more.select(rows.column_names).cast(rows.schema)])

    def supposed_rows(self, table: str) -> pa.Table:
        """The rows that are only supposed."""
        return self._more[table]

    def commit(self, *_: Any, **__: Any) -> Commit:
        """Raises TypeError: what is only supposed is not written."""
        raise TypeError("a supposed lake is only read")


Progressed = Callable[[int, int], None]
"""Told how many units of earlier nights are matched, and of how many."""


def supposed(
    settings: Settings, night: Night, release: Release, watched: Progressed = lambda _done, _all: None
) -> SupposedLake:
    """The lake as it would be after retro-matching against `release`, floods included."""
    lake = Lake.of(settings)
    tables, contents, done = [], 0, 0
    behind = retro.behind(lake, release.number)
    everything = sum(len(units) for _, units in behind)
    for since, units in behind:
        with retro.ReleaseChange(settings, night, lake, release, since) as change:
            for batch in retro.batches(lake, units):
                tables.append(change.rows(batch)[0])
                done += len(batch)
                watched(done, everything)
        parts = [part for parts in retro.unit_parts(lake, units).values() for part in parts]
        contents += sum(part.rows for part in parts if part.table == "fingerprints")
    matches = pa.concat_tables([records.build("matches", []), *tables])
    rules = policy.load(settings, "matching").data["flood"]
    floods = records.build("floods", flood.flooding(flood.near(matches), contents, rules, night))
    return SupposedLake(lake, {"matches": matches, "floods": floods})


def moved(
    settings: Settings, night: Night, release: Release, watched: Progressed = lambda _done, _all: None
) -> tuple[dict[str, int], int]:
    """How many cases would move ("band to band" to their number), and how many were looked at."""
    after = supposed(settings, night, release, watched)
    before = Lake.of(settings)
    chains = touched.Chains.read(before)
    referrals = frozenset(chains.members(_referrals(before, after)))
    if not referrals:
        return {}, 0
    model = Model.load(settings)
    bands = [_bands(settings, model, lake, referrals, chains.root) for lake in (before, after)]
    changed = Counter(f"{band} to {bands[1][case]}" for case, band in bands[0].items() if bands[1][case] != band)
    return dict(sorted(changed.items())), len(bands[0])


def _referrals(before: Lake, after: SupposedLake) -> set[str]:
    """Referrals that hold a content or file of which there are supposed matches, or matches with media that would flood."""
    new = after.supposed_rows("matches")
    flooded = after.supposed_rows("floods")["media_key"].combine_chunks()
    near = before.read("matches", ["sha256", "file_id", "media_key"])
    near = near.filter(pc.is_in(near["media_key"], value_set=flooded))
    found: set[str] = set()
    for column in ("sha256", "file_id"):
        values = pa.concat_arrays([t[column].drop_null().combine_chunks() for t in (new, near)])
        if len(values):
            rows = before.read("media_files", ["referral_id"], where=(column, values.unique()))
            found.update(rows["referral_id"].to_pylist())
    return found


def _bands(
    settings: Settings, model: Model, lake: Lake, referrals: frozenset[str], root: Mapping[str, str]
) -> dict[str, str]:
    """Case to band, of the cases of these referrals, by what `lake` says."""
    links = current(lake)
    own = pa.array(sorted(referrals), pa.string())
    links = links.filter(pc.or_(pc.is_in(links["left"], value_set=own), pc.is_in(links["right"], value_set=own)))
    hits = lists.hits(settings, links) + conflicts.hits(settings, lake, links)
    bulk = Bulk(settings, model, lake, links, hits, _assessed(lake, referrals), referrals, root)
    return {case.case_id: model.assess(case).band for case in bulk.cases()}


def _assessed(lake: Lake, referrals: Collection[str]) -> frozenset[str]:
    """Those of the referrals' own cases that have an assessment."""
    own = pa.array(sorted(map(case_id, referrals)), pa.string())
    return frozenset(lake.read("assessments", ["case_id"], where=("case_id", own))["case_id"].to_pylist())
